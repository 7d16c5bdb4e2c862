"""Files of messages: what callers upload, what a message refers to, what came in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from django.db import transaction

from audit.services import Actor, Target, record
from channels_app.contract import Content, Media, MessageType
from channels_app.models import MediaState, Message
from channels_app.services.readiness import refuse
from core.errors import Conflict, NotFoundHere
from integrations.models import Integration
from storage import services as storage
from storage.models import StoredFile

RECEIVED = "channels.received"

_KINDS: Mapping[MessageType, str] = {
    MessageType.IMAGE: "image/",
    MessageType.VIDEO: "video/",
    MessageType.AUDIO: "audio/",
    MessageType.STICKER: "image/webp",
    MessageType.DOCUMENT: "",
}
"""Type of a message -> how the content type of its file begins."""


class MediaNotReady(Conflict):
    """The file of the message is on its way."""

    code = "media_not_ready"
    retry_after_s = 5


def keep_upload(*, environment: str, name: str, content_type: str, chunks: Iterable[bytes], actor: Actor) -> StoredFile:
    """
    Keep a file that is to be sent; messages name it by its id. It goes to the vendor when it is sent.

    :raises FileTooLarge: no channel takes a file of this size
    """
    written = storage.write_file(name=name, content_type=content_type, content=chunks)
    if not written.size_bytes:
        refuse("file", "The file is empty.")
    with transaction.atomic():
        file = storage.record_file(written, purpose=_purpose(environment))
        record(action="file.uploaded", actor=actor, target=Target(kind="file", id=str(file.id)))
    return file


def own_file_id(content: Content) -> UUID | None:
    """Return the id of the uploaded file that a content names; None for a vendor's id or a link."""
    if not isinstance(content, Media) or not content.id:
        return None
    try:
        return UUID(content.id)
    except ValueError:
        return None


def check_reference(integration: Integration, kind: MessageType, content: Media) -> None:
    """
    Check that an uploaded file is there and of a kind that fits the message.

    :raises ValidationFailed: it is not
    """
    file_id = own_file_id(content)
    if file_id is None:
        return
    file = StoredFile.objects.filter(pk=file_id, purpose=_purpose(integration.environment)).first()
    if file is None:
        refuse(f"{kind.value}.id", "There is no uploaded file with this id: upload it to /channels/media/ first.")
    elif not file.content_type.startswith(_KINDS[kind]):
        refuse(f"{kind.value}.id", f"This file is {file.content_type}; send it as another type, such as document.")


def media_of_message(message: Message) -> StoredFile:
    """
    Return the kept file of a message.

    :raises MediaNotReady: it is being fetched
    :raises NotFoundHere: the message has none, or it could not be fetched
    """
    if message.media_state == MediaState.WAITING:
        raise MediaNotReady("The file is being fetched from the channel; ask again shortly.")
    file = StoredFile.objects.filter(pk=message.media_file_id).first() if message.media_file_id else None
    if file is None:
        raise NotFoundHere(_MISSING.get(message.media_state, "This message has no file that is kept here."))
    return file


_MISSING: Mapping[str, str] = {
    MediaState.FAILED: "The channel did not give this file; ask the sender to send it again."
}


def _purpose(environment: str) -> str:
    """A test key's uploads are for test integrations only."""
    return f"channels.upload.{environment}"
