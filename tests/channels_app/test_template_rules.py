"""A template's variables are compared before a message is accepted."""

from __future__ import annotations

import pytest

from channels_app.contract import Template as TemplateContent
from channels_app.models import Template
from channels_app.services.template_rules import check_parameters
from core.errors import ValidationFailed

NUMBERED = [{"type": "BODY", "text": "Hi {{1}}, order {{2}} left."}]
NAMED = [{"type": "BODY", "text": "Hi {{name}}."}]
PICTURE = [{"type": "HEADER", "format": "IMAGE"}, {"type": "BODY", "text": "Look."}]
LINK = [{"type": "BODY", "text": "Track."}, {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Ok"},
        {"type": "URL", "text": "Open", "url": "https://example.com/{{1}}"}]}]  # fmt: skip


def parameters(kind: str, *values: dict, **facts: str) -> dict:
    """One component of a message."""
    return {"type": kind, "parameters": list(values), **facts}


def text(value: str, **facts: str) -> dict:
    """One text parameter."""
    return {"type": "text", "text": value, **facts}


def check(components: list, *given: dict) -> None:
    """Compare a made-up template with a message."""
    template = Template(name="order", language="en", components=components)
    check_parameters(template, TemplateContent(name="order", language="en", components=tuple(given)))


@pytest.mark.parametrize(
    ("components", "given"),
    [
        (NUMBERED, [parameters("body", text("Ana"), text("8841"))]),
        (NAMED, [parameters("BODY", text("Ana", parameter_name="name"))]),
        (PICTURE, [parameters("header", {"type": "image", "image": {"id": "1"}})]),
        (LINK, [parameters("button", text("8841"), sub_type="url", index="1")]),
        ([], [parameters("body", text("a template whose text is not known"))]),
    ],
)
def test_takes_what_fits(components, given):
    check(components, *given)


@pytest.mark.parametrize(
    ("components", "given", "says"),
    [
        (NUMBERED, [], "{{1}}, {{2}}"),
        (NUMBERED, [parameters("body", text("Ana"))], "a parameter for each"),
        (NAMED, [parameters("body", text("Ana"))], "parameter_name name"),
        (PICTURE, [], "image above its text"),
        (PICTURE, [parameters("body", text("x")), parameters("header", {"type": "image"})], "no variables"),
        (LINK, [], "button 1"),
    ],
)
def test_refuses_what_the_channel_would_refuse_later(components, given, says):
    with pytest.raises(ValidationFailed) as error:
        check(components, *given)

    assert says in error.value.errors["template.components"][0]
