"""Message templates: list, create, edit, delete, review; and filling one for a send."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.fields import anything, choice, flag, listed, number, record, text
from sandbox.meta.errors import graph_error, no_such_object
from sandbox.meta.graph import GraphCall, Operation, choose_fields, page
from sandbox.store import Document
from sandbox.whatsapp.state import State, new_number
from sandbox.whatsapp.webhooks import Webhooks

MANAGEMENT = ("whatsapp_business_management",)
MOST_TEMPLATES = 250
TEXT_CHARS = 1024
DELETED_NAME_BLOCKED_S = 30 * 86400
PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")
TOUCHING_PLACEHOLDERS = re.compile(r"\}\}\s*\{\{")
CATEGORIES = ("AUTHENTICATION", "MARKETING", "UTILITY")
FIELDS = (
    "id", "name", "status", "category", "language", "components", "parameter_format", "quality_score",
    "rejected_reason", "previous_category", "sub_category",
)  # fmt: skip
LIST_QUERY = frozenset({"fields", "limit", "after", "before", "name", "status", "category", "language"})

BUTTON = record(
    {"type": choice("QUICK_REPLY", "URL", "PHONE_NUMBER", "COPY_CODE", "OTP", "FLOW", "REQUEST_CONTACT_INFO")},
    {
        "text": text(most=25), "url": text(most=2000), "phone_number": text(most=20), "example": anything,
        "otp_type": choice("COPY_CODE", "ONE_TAP", "ZERO_TAP"), "flow_id": text(most=64), "flow_action": text(most=32),
        "navigate_screen": text(most=64),
    },
)  # fmt: skip
# type of a component: its rule
COMPONENTS = {
    "HEADER": record(
        {"type": choice("HEADER"), "format": choice("TEXT", "IMAGE", "VIDEO", "DOCUMENT", "LOCATION")},
        {"text": text(most=60), "example": anything},
    ),
    "BODY": record(
        {"type": choice("BODY")},
        {"text": text(most=1024), "example": anything, "add_security_recommendation": flag},
    ),
    "FOOTER": record(
        {"type": choice("FOOTER")},
        {"text": text(most=60), "code_expiration_minutes": number(least=1, most=90)},
    ),
    "BUTTONS": record({"type": choice("BUTTONS"), "buttons": listed(BUTTON, least=1, most=10)}),
}


def component(value: object, path: str) -> None:
    """Check one component by the rule of its type."""
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in COMPONENTS:
        raise graph_error(100, message=f"Param {path}['type'] must be one of {{{', '.join(COMPONENTS)}}}.")
    COMPONENTS[kind](value, path)


PARTS = listed(component, least=1, most=4)
CREATED = record(
    {
        "name": text(most=512, pattern="[a-z0-9_]+"),
        "language": text(most=10, pattern="[a-z]{2,3}(_[A-Z]{2})?"),
        "category": choice(*CATEGORIES),
        "components": PARTS,
    },
    {
        "parameter_format": choice("POSITIONAL", "NAMED", "positional", "named"), "allow_category_change": flag,
        "message_send_ttl_seconds": number(least=30, most=2592000),
    },
)  # fmt: skip
EDITED = record(optional={
    "components": PARTS, "category": choice(*CATEGORIES), "message_send_ttl_seconds": number(least=30, most=2592000),
})  # fmt: skip


class Templates:
    """Operations on templates and their review."""

    def __init__(self, state: State, webhooks: Webhooks) -> None:
        self._state = state
        self._webhooks = webhooks

    def operations(self) -> Sequence[Operation]:
        """Return the operations of templates."""
        edge = "message_templates"
        return (
            Operation(name="templates.list", method="GET", node="waba", edge=edge, handler=self.list_page,
                      scopes=MANAGEMENT, query=LIST_QUERY),
            Operation(name="templates.create", method="POST", node="waba", edge=edge, handler=self.create,
                      scopes=MANAGEMENT, body=CREATED),
            Operation(name="templates.delete", method="DELETE", node="waba", edge=edge, handler=self.delete,
                      scopes=MANAGEMENT, query=frozenset({"name", "hsm_id"})),
            Operation(name="templates.show", method="GET", node="template", handler=self.show, scopes=MANAGEMENT,
                      query=frozenset({"fields"})),
            Operation(name="templates.edit", method="POST", node="template", handler=self.edit, scopes=MANAGEMENT,
                      body=EDITED),
        )  # fmt: skip

    def list_page(self, call: GraphCall) -> Document:
        """Return one page of the account's templates; the query filters."""
        filters = {name: call.query[name] for name in ("name", "status", "category", "language") if name in call.query}
        found = [
            template
            for template in self._state.templates.all(owner=call.node["id"])
            if filters.items() <= template.items()
        ]
        return page(call, [self._shown(call, template) for template in found], base_url=self._state.frame.base_url)

    def show(self, call: GraphCall) -> Document:
        """Return the asked fields of one template."""
        return self._shown(call, call.node)

    def create(self, call: GraphCall) -> Document:
        """Take a template in; it is PENDING until the review ends."""
        body, waba_id = call.body, call.node["id"]
        self._refuse_taken_name(body["name"], body["language"], waba_id=waba_id)
        template = self.add(
            waba_id=waba_id, name=body["name"], language=body["language"], category=body["category"],
            components=body["components"], parameter_format=body.get("parameter_format", "POSITIONAL").upper(),
            status="PENDING",
        )  # fmt: skip
        self._schedule_review(template)
        return {"id": template["id"], "status": "PENDING", "category": template["category"]}

    def edit(self, call: GraphCall) -> Document:
        """Change a template and review it again; one in review cannot be changed."""
        if call.node["status"] not in ("APPROVED", "REJECTED", "PAUSED"):
            raise graph_error(100, message="The message template cannot be edited in its status.", subcode=2388023)
        if not call.body:
            raise graph_error(100, message="The parameter components is required.")
        changes = {name: call.body[name] for name in ("components", "category") if name in call.body}
        template = self._state.templates.change(call.node["id"], **changes, status="PENDING", rejected_reason="NONE")
        self._schedule_review(template)
        return {"success": True}

    def delete(self, call: GraphCall) -> Document:
        """Delete all languages of a name, or the one with the id `hsm_id`."""
        if "name" not in call.query:
            raise graph_error(100, message="The parameter name is required.")
        wanted = {"name": call.query["name"]} | ({"id": call.query["hsm_id"]} if "hsm_id" in call.query else {})
        found = [
            template
            for template in self._state.templates.all(owner=call.node["id"])
            if wanted.items() <= template.items()
        ]
        if not found:
            raise no_such_object("DELETE", call.query["name"])
        for template in found:
            self._state.templates.delete(template["id"])
            if template["status"] == "APPROVED":
                key = f"{call.node['id']}:{template['name']}:{template['language']}"
                self._state.deleted_templates.put(key, {"at": self._state.frame.now()})
        return {"success": True}

    def add(
        self, *, waba_id: str, name: str, language: str, category: str, components: list[Document], status: str,
        parameter_format: str = "POSITIONAL",
    ) -> Document:  # fmt: skip
        """Write a template down."""
        digest = hashlib.sha256(f"{waba_id}:{name}:{language}".encode()).digest()
        template_id = str(10**15 + int.from_bytes(digest[:6])) if status == "APPROVED" else new_number()
        template = {
            "id": template_id, "waba_id": waba_id, "name": name, "language": language, "category": category,
            "components": components, "parameter_format": parameter_format, "status": status,
            "quality_score": {"score": "UNKNOWN"}, "rejected_reason": "NONE", "targets": [waba_id],
        }  # fmt: skip
        return self._state.templates.put(template_id, template, owner=waba_id)

    def review(self, job: Document, attempts: int) -> None:
        """End the review: refuse placeholders that touch, approve the rest."""
        template = self._state.templates.get(job["template"])
        if template is None or template["status"] != "PENDING":
            return
        body = component_text(template, "BODY")
        if TOUCHING_PLACEHOLDERS.search(body):
            self.set_status(template["id"], status="REJECTED", reason="INVALID_FORMAT")
        else:
            self.set_status(template["id"], status="APPROVED")

    def set_status(self, template_id: str, *, status: str, reason: str = "NONE") -> Document:
        """Move a template to a status and tell the app; :raises KeyError: no such template."""
        template = self._state.templates.change(template_id, status=status, rejected_reason=reason)
        value: dict[str, Any] = {
            "event": status, "message_template_id": int(template["id"]), "message_template_name": template["name"],
            "message_template_language": template["language"], "reason": reason,
            "message_template_category": template["category"],
        }  # fmt: skip
        if reason == "INVALID_FORMAT":
            value["rejection_info"] = {
                "reason": "Two parameters stand side by side with no words between them.",
                "recommendation": "Put words between the parameters so that each one has a context.",
            }
        self._webhooks.emit("message_template_status_update", value, waba=self._state.wabas.get(template["waba_id"]))
        return template

    def find(self, *, waba_id: str, name: str, language: str) -> Document:
        """Return the template a send names; :raises Refused: 132001, 132015 or 132016."""
        for template in self._state.templates.all(owner=waba_id):
            if template["name"] == name and template["language"] == language:
                if template["status"] == "APPROVED":
                    return template
                if template["status"] in NOT_SENDABLE:
                    code, details = NOT_SENDABLE[template["status"]]
                    raise graph_error(code, details, product="whatsapp")
        raise graph_error(132001, f"template name ({name}) does not exist in {language}", product="whatsapp")

    def _shown(self, call: GraphCall, template: Document) -> Document:
        values = {name: template.get(name) for name in FIELDS}
        default = ("name", "parameter_format", "components", "language", "status", "category")
        return choose_fields(call, values, default=default, node="MessageTemplate")

    def _refuse_taken_name(self, name: str, language: str, *, waba_id: str) -> None:
        existing = self._state.templates.all(owner=waba_id)
        if len(existing) >= MOST_TEMPLATES:
            raise graph_error(100, "Message template limit of 250 is reached.", subcode=2388019)
        if any(entry["name"] == name and entry["language"] == language for entry in existing):
            raise graph_error(100, "There is already content in this language for this template.", subcode=2388024)
        deleted = self._state.deleted_templates.get(f"{waba_id}:{name}:{language}")
        if deleted and self._state.frame.now() - deleted["at"] < DELETED_NAME_BLOCKED_S:
            details = "The name was used by a deleted template; it can be used again after 30 days."
            raise graph_error(100, details, subcode=2388023)

    def _schedule_review(self, template: Document) -> None:
        after_s = self._state.frame.settings.template_review_s
        if after_s is not None:
            body = {"template": template["id"]}
            self._state.frame.runner.schedule(vendor="whatsapp", name="review", body=body, after_s=after_s)


NOT_SENDABLE = {
    "PAUSED": (132015, "Template is paused due to low quality so it cannot be sent in a template message."),
    "DISABLED": (132016, "Template is disabled: it was paused too many times for low quality."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A template with its parameters, as the phone shows it."""

    header: str
    body: str
    footer: str
    buttons: list[Document]


def fill(template: Document, sent: Sequence[Document]) -> Filled:
    """
    Put the sent parameters into the template.

    :raises Refused: 132000 wrong count, 132012 wrong kind or name, 132005 text too long
    """
    by_type: dict[str, Document] = {}
    for part in sent:
        kind = part["type"].lower()
        if kind != "button":
            by_type[kind] = part
    header = _fill_header(template, by_type.get("header", {}).get("parameters", []))
    body = _fill_text(
        component_text(template, "BODY"), by_type.get("body", {}).get("parameters", []), template=template, part="body"
    )
    buttons = _fill_buttons(template, [part for part in sent if part["type"].lower() == "button"])
    return Filled(header=header, body=body, footer=component_text(template, "FOOTER"), buttons=buttons)


def component_text(template: Document, kind: str) -> str:
    """Return the text of one component, or nothing."""
    return str(next((part.get("text", "") for part in template["components"] if part["type"] == kind), ""))


def _fill_header(template: Document, parameters: Sequence[Document]) -> str:
    header = next((part for part in template["components"] if part["type"] == "HEADER"), None)
    if header is None or header["format"] == "TEXT":
        return _fill_text((header or {}).get("text", ""), parameters, template=template, part="header")
    wanted = header["format"].lower()
    if len(parameters) != 1:
        raise _count_error("header", got=len(parameters), wanted=1)
    if parameters[0]["type"] != wanted:
        raise graph_error(132012, f"header: Format mismatch, expected {header['format']}", product="whatsapp")
    return f"[{wanted}]"


def _fill_text(pattern: str, parameters: Sequence[Document], *, template: Document, part: str) -> str:
    names = list(dict.fromkeys(PLACEHOLDER.findall(pattern)))
    if len(parameters) != len(names):
        raise _count_error(part, got=len(parameters), wanted=len(names))
    named = template["parameter_format"] == "NAMED"
    values: dict[str, str] = {}
    for position, parameter in enumerate(parameters):
        name = str(parameter.get("parameter_name")) if named else names[position]
        if name not in names:
            raise graph_error(132012, f"{part}: parameter name ({name}) is not in the template", product="whatsapp")
        if parameter["type"] not in ("text", "currency", "date_time"):
            raise graph_error(132012, f"{part}: expected a text parameter", product="whatsapp")
        values[name] = parameter_text(parameter)
    filled = PLACEHOLDER.sub(lambda match: values[match.group(1)], pattern)
    if len(filled) > TEXT_CHARS:
        raise graph_error(132005, f"{part}: the filled text is longer than {TEXT_CHARS} characters", product="whatsapp")
    return filled


def _fill_buttons(template: Document, sent: Sequence[Document]) -> list[Document]:
    buttons = [
        dict(button)
        for part in template["components"] if part["type"] == "BUTTONS"
        for button in part["buttons"]
    ]  # fmt: skip
    filled_positions = set()
    for part in sent:
        position = int(part.get("index", -1))
        if not 0 <= position < len(buttons) or buttons[position]["type"].lower() != part.get("sub_type", "").lower():
            raise graph_error(132012, f"button: no {part.get('sub_type')} button at {position}", product="whatsapp")
        value = next((parameter_text(parameter) for parameter in part["parameters"]), "")
        buttons[position] |= {"value": value}
        filled_positions.add(position)
    for position, button in enumerate(buttons):
        needs_value = button["type"] == "URL" and PLACEHOLDER.search(button.get("url", ""))
        if needs_value and position not in filled_positions:
            raise graph_error(132012, f"button: the URL at {position} needs a parameter", product="whatsapp")
    return buttons


def parameter_text(parameter: Document) -> str:
    """Return what one parameter shows."""
    kind = parameter["type"]
    if kind in ("text", "payload"):
        return str(parameter[kind])
    value = parameter.get(kind)
    return str(value.get("fallback_value", "")) if isinstance(value, dict) else ""


def _count_error(part: str, *, got: int, wanted: int) -> Exception:
    details = f"{part}: number of localizable_params ({got}) does not match the expected number of params ({wanted})"
    return graph_error(132000, details, product="whatsapp")
