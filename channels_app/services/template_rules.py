"""What a template's text asks for, and whether a message brings it. Checked before a message is accepted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from channels_app.contract import Template as TemplateContent
from channels_app.models import Template
from channels_app.services.readiness import refuse

PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")
MEDIA_HEADERS = frozenset({"IMAGE", "VIDEO", "DOCUMENT", "LOCATION"})


def placeholders(text: str) -> list[str]:
    """Return the names of a template text's variables, each once, in order: "1", "2" or names."""
    return list(dict.fromkeys(PLACEHOLDER.findall(text)))


def component(components: Sequence[Mapping[str, Any]], kind: str) -> Mapping[str, Any]:
    """Return a template's component of a kind such as "BODY"; empty where it has none."""
    return next((item for item in objects(components) if str(item.get("type", "")).upper() == kind), {})


def objects(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects of what should be a list of them."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []


def check_parameters(template: Template, content: TemplateContent) -> None:
    """
    Compare a message's parameters with the template's variables; a template whose text is not known passes.

    :raises ValidationFailed: at `template.components`, with the part and the variables it wants
    """
    if not template.components:
        return
    for kind in ("HEADER", "BODY"):
        wanted = component(template.components, kind)
        given = objects(component(content.components, kind).get("parameters"))
        if kind == "HEADER" and str(wanted.get("format", "")).upper() in MEDIA_HEADERS:
            _check_media_header(wanted, given)
        else:
            _check_text(kind.lower(), placeholders(str(wanted.get("text", ""))), given)
    _check_buttons(template, content)


def _check_text(part: str, names: list[str], given: list[Mapping[str, Any]]) -> None:
    if given and not names:
        refuse("template.components", f"The {part} of this template has no variables: give no parameters for it.")
    if len(names) != len(given):
        asked = ", ".join("{{" + name + "}}" for name in names)
        refuse("template.components", f"The {part} of this template has {asked}: give a parameter for each, in order.")
    named = [name for name in names if not name.isdecimal()]
    missing = sorted(set(named) - {str(item.get("parameter_name", "")) for item in given})
    if missing:
        refuse("template.components", f"The {part} of this template lacks parameter_name {', '.join(missing)}.")


def _check_media_header(wanted: Mapping[str, Any], given: list[Mapping[str, Any]]) -> None:
    if len(given) != 1:
        kind = str(wanted["format"]).lower()
        refuse("template.components", f"This template has a {kind} above its text: give one header parameter with it.")


def _check_buttons(template: Template, content: TemplateContent) -> None:
    given = {
        str(item.get("index", "")): objects(item.get("parameters"))
        for item in content.components
        if str(item.get("type", "")).lower() == "button"
    }
    for index, button in enumerate(objects(component(template.components, "BUTTONS").get("buttons"))):
        is_variable = str(button.get("type", "")).upper() == "URL" and placeholders(str(button.get("url", "")))
        if is_variable and len(given.get(str(index), [])) != 1:
            refuse("template.components", f"The link of button {index} ends in a variable: give one parameter for it.")
