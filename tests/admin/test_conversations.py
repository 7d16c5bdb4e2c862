"""Reading and answering conversations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from channels_app.admin.bubbles import bubbles
from channels_app.admin.composing import template_content
from channels_app.models import Conversation, Direction, Message, Template
from channels_app.services.template_rules import placeholders
from core import clock
from dispatch.models import OutboxEntry
from tenants.context import in_organization
from tests.admin.conftest import Place

JSON = {"HTTP_ACCEPT": "application/json"}
PAGE = "channels_app/conversation/{conversation}/"


@pytest.fixture
def owner(place: Place, member: Callable[..., Any], enter: Callable[[Any], Client]) -> Client:
    """The browser of an owner."""
    return enter(member("owner"))


def _message(place: Place, **facts: Any) -> Message:
    """Add a message to the conversation of a place; the organization is entered by the caller."""
    conversation = Conversation.objects.get(pk=place.ids["conversation"])
    values: dict[str, Any] = {"type": "text", "direction": Direction.OUTBOUND, "occurred_at": clock.now()}
    return Message.objects.create(
        integration=conversation.integration, conversation=conversation, **{**values, **facts}
    )


ODD: tuple[Any, ...] = (None, 7, "text", [], [[]], ["text"], [None], {}, {"text": []}, [{"rows": "text", "name": 7}])
"""What stands where an object or a list of objects is expected."""


class TestOddContent:
    @pytest.mark.parametrize(
        ("type_", "names"),
        [
            ("contacts", ("contacts", "contacts.0.name", "contacts.0.phones")),
            ("interactive", ("action", "action.buttons", "action.sections", "action.parameters", "body", "footer")),
            ("template", ("name", "language", "components")),
            ("order", ("items", "product_items")),
            ("location", ("latitude", "name")),
            ("text", ("body",)),
        ],
    )
    def test_closes_no_conversation(self, type_: str, names: tuple[str, ...], place: Place, owner: Client) -> None:
        with in_organization(place.organization):
            for name in names:
                for odd in ODD:
                    _message(place, type=type_, content=_placed(name, odd))

        answer = owner.get(place.url(PAGE + "change/?n=500"))

        assert answer.status_code == 200
        assert owner.get(place.url("channels_app/conversation/")).status_code == 200


def _placed(name: str, value: Any) -> dict[str, Any]:
    """Put a value at a dotted path of a message's content."""
    first, _dot, rest = name.partition(".")
    if not rest:
        return {first: value}
    return {first: [_placed(rest.removeprefix("0."), value)] if rest.startswith("0.") else _placed(rest, value)}


class TestPage:
    def test_opening_marks_as_read_for_those_who_may_answer(self, place: Place, owner: Client) -> None:
        page = owner.get(place.url(PAGE + "change/")).content.decode()

        assert "Hello there" in page
        with in_organization(place.organization):
            assert Conversation.objects.get().unread_count == 0

    def test_a_viewer_reads_and_changes_nothing(
        self, place: Place, member: Callable[..., Any], enter: Callable[[Any], Client]
    ) -> None:
        page = enter(member("viewer")).get(place.url(PAGE + "change/")).content.decode()

        assert "Hello there" in page
        assert 'id="composer"' not in page
        with in_organization(place.organization):
            assert Conversation.objects.get().unread_count == 1

    def test_offers_templates_when_the_window_is_closed(self, place: Place, owner: Client) -> None:
        with in_organization(place.organization):
            Conversation.objects.update(last_inbound_at=clock.now() - timedelta(hours=25))

        page = owner.get(place.url(PAGE + "change/")).content.decode()

        assert 'id="composer"' not in page
        assert "order_update" in page
        assert "within 24 hours" in page

    def test_escapes_what_people_write(self, place: Place, owner: Client) -> None:
        with in_organization(place.organization):
            _message(place, text="<script>alert(1)</script>", direction=Direction.INBOUND)

        page = owner.get(place.url(PAGE + "change/")).content.decode()

        assert "<script>alert" not in page
        assert "&lt;script&gt;" in page

    def test_live_answers_the_same_until_something_changes(self, place: Place, owner: Client) -> None:
        owner.get(place.url(PAGE + "change/"))
        first = owner.get(place.url(PAGE + "live/"), **JSON).json()
        second = owner.get(place.url(PAGE + "live/"), **JSON).json()
        with in_organization(place.organization):
            Message.objects.update(text="Changed")

        third = owner.get(place.url(PAGE + "live/"), **JSON).json()

        assert first["version"] == second["version"] != third["version"]
        assert "Changed" in third["html"]


class TestSend:
    def test_accepts_a_text_and_leaves_the_sending_to_the_worker(self, place: Place, owner: Client) -> None:
        answer = owner.post(place.url(PAGE + "send/"), {"text": "We are on it."}, **JSON)

        assert answer.status_code == 202
        with in_organization(place.organization):
            message = Message.objects.get(direction=Direction.OUTBOUND)
            assert (message.text, message.status) == ("We are on it.", "queued")
            assert OutboxEntry.objects.filter(kind="message.send", object_id=str(message.pk)).exists()

    def test_says_why_a_text_is_refused(self, place: Place, owner: Client) -> None:
        with in_organization(place.organization):
            Conversation.objects.update(last_inbound_at=clock.now() - timedelta(hours=25))

        answer = owner.post(place.url(PAGE + "send/"), {"text": "Hi"}, **JSON)

        assert answer.status_code == 422
        assert "approved template" in answer.json()["detail"]
        with in_organization(place.organization):
            assert not Message.objects.filter(direction=Direction.OUTBOUND).exists()

    def test_sends_a_template_with_its_variables(self, place: Place, owner: Client) -> None:
        template = place.ids["template"]
        data = {"template": str(template), f"{template}__body__1": "Ana", f"{template}__body__2": "A-1"}

        owner.post(place.url(PAGE + "send/"), data)

        page = owner.get(place.url(PAGE + "change/")).content.decode()
        assert "Hi Ana, your order A-1 is ready." in page

    def test_a_template_of_another_organization_is_no_choice(
        self, place: Place, other_place: Place, owner: Client
    ) -> None:
        answer = owner.post(place.url(PAGE + "send/"), {"template": str(other_place.ids["template"])}, **JSON)

        assert answer.status_code == 422

    def test_writes_first_to_a_new_number_by_template(self, place: Place, owner: Client) -> None:
        template = place.ids["template"]
        data = {"template": str(template), f"{template}__body__1": "Bo", f"{template}__body__2": "2"}

        answer = owner.post(
            place.url("channels_app/conversation/new/"),
            {**data, "integration": str(place.ids["integration"]), "to": "+55 11 98765-0009"},
        )

        assert answer.status_code == 302
        with in_organization(place.organization):
            assert Message.objects.get(contact__phone="+5511987650009").type == "template"


class TestMedia:
    def test_serves_only_harmless_types_inside_the_page(
        self, place: Place, owner: Client, settings: Any, tmp_path: Any
    ) -> None:
        from storage.services import keep_file

        settings.MEDIA_ROOT = str(tmp_path)
        with in_organization(place.organization):
            page = keep_file(name="x.html", content_type="text/html", content=b"<script>1</script>", purpose="test")
            picture = keep_file(name="x.png", content_type="image/png", content=b"\x89PNG", purpose="test")
            rows = [
                _message(place, type=kind, media_file_id=file.pk, media_state="kept")
                for kind, file in (("document", page), ("image", picture))
            ]

        answers = [owner.get(place.url(f"{PAGE}media/{row.pk}/")) for row in rows]

        assert answers[0]["Content-Type"] == "application/octet-stream"
        assert answers[0]["Content-Disposition"].startswith("attachment")
        assert answers[1]["Content-Type"] == "image/png"
        assert all("sandbox" in answer["Content-Security-Policy"] for answer in answers)

    def test_a_message_of_another_conversation_is_not_there(
        self, place: Place, other_place: Place, owner: Client
    ) -> None:
        assert owner.get(place.url(f"{PAGE}media/{other_place.ids['message']}/")).status_code == 404


class TestBubbles:
    def test_read_every_type(self, place: Place) -> None:
        contents: dict[str, dict[str, Any]] = {
            "text": {"body": "Hi"},
            "location": {"latitude": 1.5, "longitude": 2.5, "name": "Shop"},
            "contacts": {"contacts": [{"name": {"formatted_name": "Bo"}, "phones": [{"phone": "+15550100102"}]}]},
            "interactive": {
                "type": "button",
                "body": {"text": "Choose"},
                "action": {"buttons": [{"type": "reply", "reply": {"id": "1", "title": "Yes"}}]},
            },
            "order": {"items": [{"quantity": 2, "product_retailer_id": "mug"}]},
            "image": {},
            "system": {"kind": "x"},
            "never_heard_of": {"a": [1]},
        }
        with in_organization(place.organization):
            rows = [_message(place, type=kind, content=content) for kind, content in contents.items()]

            shown = {bubble.type: bubble for bubble in bubbles(rows)}

        assert shown["location"].lines[0] == "Shop"
        assert shown["contacts"].lines == ["Bo · +15550100102"]
        assert list(shown["interactive"].choices) == ["Yes"]
        assert shown["order"].lines == ["2 x mug"]
        assert shown["never_heard_of"].kind == "never_heard_of"

    def test_show_reactions_quotes_deletions_and_reasons(self, place: Place) -> None:
        with in_organization(place.organization):
            rows = [
                _message(place, text="A", external_id="wamid.a", reactions={"us": {"emoji": "+1", "at": ""}}),
                _message(place, text="B", reply_to="wamid.a"),
                _message(place, text="secret", is_deleted=True),
                _message(
                    place,
                    text="C",
                    status="failed",
                    error={"message": "The provider is down.", "next_action": "Wait."},
                ),
            ]

            first, second, third, fourth = bubbles(rows)

        assert first.reactions == "+1"
        assert second.quote == "A"
        assert third.is_deleted
        assert third.text == ""
        assert (fourth.reason, fourth.remedy) == ("The provider is down.", "Wait.")

    def test_ask_the_database_twice_at_most(self, place: Place, django_assert_max_num_queries: Any) -> None:
        with in_organization(place.organization):
            rows = [_message(place, text=str(number), reply_to="wamid.1", type="text") for number in range(20)]
            with django_assert_max_num_queries(2):
                bubbles(rows)


class TestTemplateContent:
    def test_fills_header_body_and_address_of_a_button(self) -> None:
        template = Template(
            name="t",
            language="en",
            components=[
                {"type": "HEADER", "format": "IMAGE"},
                {"type": "BODY", "text": "Hi {{name}}"},
                {"type": "BUTTONS", "buttons": [{"type": "URL", "text": "Go", "url": "https://example.com/{{1}}"}]},
            ],
        )

        content = template_content(
            template, {"header__link": "https://example.com/i.png", "body__name": "Ana", "button0__1": "x"}
        )

        assert content["components"] == [
            {"type": "header", "parameters": [{"type": "image", "image": {"link": "https://example.com/i.png"}}]},
            {"type": "body", "parameters": [{"type": "text", "text": "Ana", "parameter_name": "name"}]},
            {"type": "button", "sub_type": "url", "index": "0", "parameters": [{"type": "text", "text": "x"}]},
        ]

    def test_names_each_variable_once(self) -> None:
        assert placeholders("{{1}} and {{ 2 }} and {{1}}") == ["1", "2"]
