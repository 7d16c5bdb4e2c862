"""What a message may contain: one rule per type, with the limits of the provider card."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.fields import FieldProblem, Rule, anything, choice, flag, inner, listed, number, record, text, url

LIST_ROWS = 10
CAPTION = text(most=1024)
OPAQUE = text(most=512)
MESSAGE_ID = text(most=256)


def media(**more: Rule) -> Rule:
    """Accept a file by `id` or by `link`."""
    return record(optional={"id": text(most=64), "link": url(), **more}, one_of=("id", "link"))


CONTACT = record(
    {"name": record(
        {"formatted_name": text(most=512)},
        {part: text(most=256) for part in ("first_name", "last_name", "middle_name", "suffix", "prefix")},
    )},
    {
        "phones": listed(record(
            {"phone": text(most=32)}, {"type": text(most=32), "wa_id": text(most=32, pattern="[0-9]+")},
        )),
        "emails": listed(record({"email": text(most=256)}, {"type": text(most=32)})),
        "urls": listed(record({"url": text(most=2000)}, {"type": text(most=32)})),
        "addresses": listed(record(optional={
            part: text(least=0, most=512)
            for part in ("street", "city", "state", "zip", "country", "country_code", "type")
        })),
        "org": record(optional={part: text(most=256) for part in ("company", "department", "title")}),
        "birthday": text(pattern=r"\d{4}-\d{2}-\d{2}"),
    },
)  # fmt: skip

HEADER_KINDS: Mapping[str, Rule] = {
    "text": record({"type": choice("text"), "text": text(most=60)}),
    "image": record({"type": choice("image"), "image": media()}),
    "video": record({"type": choice("video"), "video": media()}),
    "document": record({"type": choice("document"), "document": media(filename=text(most=240))}),
}
BODY = record({"text": text(most=1024)})
FOOTER = record({"text": text(most=60)})
REPLY_BUTTON = record(
    {"type": choice("reply"), "reply": record({"id": text(most=256), "title": text(most=20)})},
)
ROW = record({"id": text(most=200), "title": text(most=24)}, {"description": text(least=0, most=72)})
SECTION = record({"rows": listed(ROW, least=1, most=10)}, {"title": text(least=0, most=24)})
PRODUCT_SECTION = record(
    {"product_items": listed(record({"product_retailer_id": text(most=256)}), least=1, most=30)},
    {"title": text(most=24)},
)
FLOW_PARAMETERS = record(
    {"flow_message_version": choice("3"), "flow_cta": text(most=30)},
    {
        "flow_id": text(most=64), "flow_name": text(most=256), "flow_token": text(most=512),
        "mode": choice("draft", "published"), "flow_action": choice("navigate", "data_exchange"),
        "flow_action_payload": record(optional={"screen": text(most=128), "data": anything}),
    },
    one_of=("flow_id", "flow_name"),
)  # fmt: skip
CATALOG_ACTION = record({"name": choice("catalog_message")}, {"parameters": anything})

# type of an interactive message: (rule of its action, whether a body is required, kinds of header it may have)
INTERACTIVE: Mapping[str, tuple[Rule, bool, tuple[str, ...]]] = {
    "button": (
        record({"buttons": listed(REPLY_BUTTON, least=1, most=3)}), True, ("text", "image", "video", "document"),
    ),
    "list": (record({"button": text(most=20), "sections": listed(SECTION, least=1, most=10)}), True, ("text",)),
    "cta_url": (
        record({
            "name": choice("cta_url"),
            "parameters": record({"display_text": text(most=20), "url": url()}),
        }),
        True, ("text", "image", "video", "document"),
    ),
    "flow": (record({"name": choice("flow"), "parameters": FLOW_PARAMETERS}), True, ("text",)),
    "product": (
        record({"catalog_id": text(most=64), "product_retailer_id": text(most=256)}), False, (),
    ),
    "product_list": (
        record({"catalog_id": text(most=64), "sections": listed(PRODUCT_SECTION, least=1, most=10)}), True, ("text",),
    ),
    "catalog_message": (CATALOG_ACTION, True, ()),
    "location_request_message": (record({"name": choice("send_location")}), True, ()),
    "request_contact_info": (record({"name": choice("request_contact_info")}), True, ()),
}  # fmt: skip


def interactive(value: object, path: str) -> None:
    """Check an interactive message by the rule of its type."""
    kind = _kind(value, path, allowed=INTERACTIVE)
    action, needs_body, headers = INTERACTIVE[kind]
    required: dict[str, Rule] = {"type": choice(kind), "action": action}
    optional: dict[str, Rule] = {"footer": FOOTER}
    (required if needs_body else optional)["body"] = BODY
    if headers:
        optional["header"] = _header(headers)
    record(required, optional)(value, path)
    if isinstance(value, dict):
        _unique_choices(value["action"], inner(path, "action"))


def parameter(value: object, path: str) -> None:
    """Check one parameter of a template component by the rule of its type."""
    kind = _kind(value, path, allowed=PARAMETERS)
    record({"type": choice(kind), kind: PARAMETERS[kind]}, {"parameter_name": text(most=64)})(value, path)


PARAMETERS: Mapping[str, Rule] = {
    "text": text(most=32768),
    "payload": text(most=256),
    "currency": record({
        "fallback_value": text(), "code": text(least=3, most=3), "amount_1000": number(least=-(10**15), most=10**15),
    }),
    "date_time": record({"fallback_value": text()}),
    "image": media(),
    "video": media(),
    "document": media(filename=text(most=240)),
    "location": record(
        {"latitude": number(least=-90, most=90), "longitude": number(least=-180, most=180)},
        {"name": text(), "address": text()},
    ),
    "coupon_code": text(most=20),
    "action": anything,
}  # fmt: skip
PARAMETER_LIST = listed(parameter, most=100)
COMPONENT = record(
    {"type": choice("header", "body", "button", "HEADER", "BODY", "BUTTON")},
    {
        "parameters": PARAMETER_LIST,
        "sub_type": choice("quick_reply", "url", "copy_code", "flow", "QUICK_REPLY", "URL", "COPY_CODE", "FLOW"),
        "index": anything,
    },
)

TYPES: Mapping[str, Rule] = {
    "text": record({"body": text(most=4096)}, {"preview_url": flag}),
    "template": record(
        {"name": text(most=512), "language": record({"code": text(most=15)}, {"policy": choice("deterministic")})},
        {"components": listed(COMPONENT, most=20)},
    ),
    "image": media(caption=CAPTION),
    "video": media(caption=CAPTION),
    "audio": media(voice=flag),
    "document": media(caption=CAPTION, filename=text(most=240)),
    "sticker": media(),
    "location": record(
        {"latitude": number(least=-90, most=90), "longitude": number(least=-180, most=180)},
        {"name": text(most=1000), "address": text(most=1000)},
    ),
    "contacts": listed(CONTACT, least=1, most=257),
    "interactive": interactive,
    "reaction": record({"message_id": MESSAGE_ID, "emoji": text(least=0, most=16)}),
}

ADDRESSING: Mapping[str, Rule] = {
    "recipient_type": choice("individual", "group"),
    "to": text(most=64),
    "recipient": text(most=160),
    "context": record({"message_id": MESSAGE_ID}),
    "biz_opaque_callback_data": OPAQUE,
}
READ = record(
    {"messaging_product": choice("whatsapp"), "status": choice("read"), "message_id": MESSAGE_ID},
    {"typing_indicator": record({"type": choice("text")})},
)


class UnsupportedType(FieldProblem):
    """The message type does not exist."""


def message(value: object, path: str) -> None:
    """Check a whole call to /messages: a message, or a mark as read."""
    if isinstance(value, dict) and "status" in value:
        READ(value, path)
        return
    kind = value.get("type", "text") if isinstance(value, dict) else "text"
    if kind not in TYPES:
        raise UnsupportedType("invalid", "type", f"Param type must be one of {{{', '.join(TYPES)}}}.")
    record(
        {"messaging_product": choice("whatsapp"), kind: TYPES[kind]}, {**ADDRESSING, "type": choice(kind)},
    )(value, path)  # fmt: skip
    if isinstance(value, dict) and not ("to" in value or "recipient" in value):
        raise FieldProblem("missing", "to", "The parameter to is required.")


def _kind(value: object, path: str, *, allowed: Mapping[str, object]) -> str:
    if not isinstance(value, dict) or "type" not in value:
        raise FieldProblem("missing", inner(path, "type"), f"The parameter {inner(path, 'type')} is required.")
    if value["type"] not in allowed:
        names = ", ".join(allowed)
        raise FieldProblem("invalid", inner(path, "type"), f"Param {inner(path, 'type')} must be one of {{{names}}}.")
    return str(value["type"])


def _header(kinds: tuple[str, ...]) -> Rule:
    def rule(value: object, path: str) -> None:
        HEADER_KINDS[_kind(value, path, allowed={kind: None for kind in kinds})](value, path)

    return rule


def _unique_choices(action: dict[str, list[dict[str, object]]], path: str) -> None:
    rows: list[dict[str, object]] = [
        *(dict(button["reply"]) for button in action.get("buttons", ()) if isinstance(button["reply"], dict)),
        *(row for section in action.get("sections", ()) for row in _rows(section)),
    ]
    ids = [row["id"] for row in rows]
    if len(set(map(str, ids))) != len(ids):
        raise FieldProblem("invalid", path, f"Param {path} names the same id twice.")
    if len(ids) > LIST_ROWS:
        raise FieldProblem("invalid", path, f"Param {path} may have at most {LIST_ROWS} rows in all.")


def _rows(section: dict[str, object]) -> list[dict[str, object]]:
    rows = section.get("rows")
    return rows if isinstance(rows, list) else []
