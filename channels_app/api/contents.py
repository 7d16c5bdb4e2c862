"""What OpenAPI says of the `<type>: {…}` part of a message, by type. Reading and refusing it is the contract's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels_app.contract import MEDIA_TYPES, MessageType

Schema = Mapping[str, Any]

_TEXT: Schema = {"type": "string"}
_OBJECTS: Schema = {"type": "array", "items": {"type": "object", "additionalProperties": True}}


def _object(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


_MEDIA = {
    **_object(id=_TEXT, link=_TEXT, caption=_TEXT, filename=_TEXT, voice={"type": "boolean"}),
    "description": "Either `id`, of a file uploaded to /channels/media/ or the vendor's, or `link`.",
}

CONTENTS: Mapping[MessageType, Schema] = {
    MessageType.TEXT: _object(("body",), body=_TEXT, preview_url={"type": "boolean"}),
    MessageType.TEMPLATE: _object(
        ("name", "language"),
        name=_TEXT,
        language={"oneOf": [_TEXT, _object(("code",), code=_TEXT)]},
        components=_OBJECTS,
    ),
    **dict.fromkeys(sorted(MEDIA_TYPES), _MEDIA),
    MessageType.LOCATION: _object(
        ("latitude", "longitude"), latitude={"type": "number"}, longitude={"type": "number"}, name=_TEXT, address=_TEXT
    ),
    MessageType.CONTACTS: {"oneOf": [_OBJECTS, _object(("contacts",), contacts=_OBJECTS)]},
    MessageType.INTERACTIVE: _object(
        ("type", "action"),
        type={"type": "string", "examples": ["button", "list", "cta_url", "flow"]},
        header={"type": "object", "additionalProperties": True},
        body=_object(("text",), text=_TEXT),
        footer=_object(("text",), text=_TEXT),
        action={"type": "object", "additionalProperties": True},
    ),
    MessageType.REACTION: _object(
        ("message_id",), message_id=_TEXT, emoji={**_TEXT, "description": "Empty takes the reaction back."}
    ),
}
