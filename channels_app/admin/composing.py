"""What the composer offers: whether the channel's window is open, and templates with a field per variable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from channels_app.contract import SendsMessages
from channels_app.models import Conversation, Template
from channels_app.services.template_rules import component, placeholders
from core import clock
from integrations.models import Integration

MEDIA_HEADERS = frozenset({"IMAGE", "VIDEO", "DOCUMENT"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Whether free messages are taken now, and until when; `is_limited` false is a channel without a window."""

    is_open: bool
    is_limited: bool
    closes_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One input of the template picker."""

    name: str
    label: str
    example: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A template that may be sent."""

    template: Template
    header: str
    body: str
    footer: str
    variables: tuple[Variable, ...]


def window_of(conversation: Conversation) -> Window:
    """Tell whether this person may be written to freely; the service decides anew when something is sent."""
    provider = conversation.integration.provider_class
    window_s = provider.window_s if issubclass(provider, SendsMessages) else None
    if window_s is None:
        return Window(is_open=True, is_limited=False)
    last = conversation.last_inbound_at
    if last is None:
        return Window(is_open=False, is_limited=True)
    closes_at = last + timedelta(seconds=window_s)
    return Window(is_open=closes_at > clock.now(), is_limited=True, closes_at=closes_at)


def offers(integration: Integration) -> list[Offer]:
    """Return the approved templates of an integration."""
    rows = Template.objects.filter(integration=integration, status="approved").order_by("name", "language")
    return [_offer(row) for row in rows[:200]]


def template_content(template: Template, values: Mapping[str, str]) -> dict[str, Any]:
    """Build the `template` part of a message from the picker's inputs, in the vendor's component form."""
    components = []
    header = component(template.components, "HEADER")
    media_kind = str(header.get("format", "")).upper()
    if media_kind in MEDIA_HEADERS:
        kind = media_kind.lower()
        link = values.get("header__link", "")
        components.append({"type": "header", "parameters": [{"type": kind, kind: {"link": link}}]})
    elif parameters := _parameters(str(header.get("text", "")), values, prefix="header"):
        components.append({"type": "header", "parameters": parameters})
    body = str(component(template.components, "BODY").get("text", ""))
    if parameters := _parameters(body, values, prefix="body"):
        components.append({"type": "body", "parameters": parameters})
    for index, button in _variable_buttons(template):
        parameters = _parameters(button, values, prefix=f"button{index}")
        components.append({"type": "button", "sub_type": "url", "index": str(index), "parameters": parameters})
    return {"name": template.name, "language": template.language, "components": components}


def _offer(template: Template) -> Offer:
    header = component(template.components, "HEADER")
    text, body = str(header.get("text", "")), str(component(template.components, "BODY").get("text", ""))
    variables = [
        *([Variable(name="header__link", label=_("Link of the file"), example="https://example.com/file")]
          if str(header.get("format", "")).upper() in MEDIA_HEADERS else []),
        *_variables(text, prefix="header"),
        *_variables(body, prefix="body"),
        *(item for index, url in _variable_buttons(template) for item in _variables(url, prefix=f"button{index}")),
    ]  # fmt: skip
    return Offer(
        template=template,
        header=text,
        body=body,
        footer=str(component(template.components, "FOOTER").get("text", "")),
        variables=tuple(variables),
    )


def _variables(text: str, *, prefix: str) -> list[Variable]:
    return [Variable(name=f"{prefix}__{name}", label="{{" + name + "}}") for name in placeholders(text)]


def _variable_buttons(template: Template) -> list[tuple[int, str]]:
    """Return index and address of the buttons whose address ends in a variable."""
    buttons = component(template.components, "BUTTONS").get("buttons") or []
    return [
        (index, str(button["url"]))
        for index, button in enumerate(buttons)
        if str(button.get("type", "")).upper() == "URL" and placeholders(str(button.get("url", "")))
    ]


def _parameters(text: str, values: Mapping[str, str], *, prefix: str) -> list[dict[str, str]]:
    parameters = []
    for name in placeholders(text):
        parameter = {"type": "text", "text": values.get(f"{prefix}__{name}", "")}
        parameters.append(parameter if name.isdigit() else {**parameter, "parameter_name": name})
    return parameters
