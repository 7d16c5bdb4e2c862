"""What is sent, and what is refused before it is sent."""

from __future__ import annotations

from typing import Any

import pytest

from channels_app.contract import (
    Contacts,
    Content,
    Interactive,
    Location,
    Media,
    MessageType,
    OutgoingMessage,
    Reaction,
    Template,
    Text,
    read_content,
)
from integrations.contract import RequestRejected, Unavailable, UnexpectedResponse
from tests.wire import Wire

MESSAGES = "/v26.0/100000000000001/messages"
PHONE = "+15550100101"
BSUID = "BR.20000000000000000017"
TEXT = Text(body="Olá")


def message(content: Content = TEXT, *, kind: MessageType = MessageType.TEXT, **changes: Any) -> OutgoingMessage:
    return OutgoingMessage(**{"id": "our-message-17", "to": PHONE, "type": kind, "content": content, **changes})


BUTTONS = {"buttons": [{"type": "reply", "reply": {"id": "m", "title": "Tamanho M"}}]}
LIST = {"button": "Ver cores", "sections": [{"title": "Cores", "rows": [{"id": "blue", "title": "Azul"}]}]}
FLOW = {"name": "flow", "parameters": {"flow_message_version": "3", "flow_id": "1700", "flow_cta": "Abrir"}}
LINK = {"name": "cta_url", "parameters": {"display_text": "Abrir", "url": "https://example.com/"}}

SENT: list[tuple[MessageType, Content, Any]] = [
    (MessageType.TEXT, Text(body="Olá", preview_url=True), {"body": "Olá", "preview_url": True}),
    (
        MessageType.TEMPLATE,
        Template(name="order_update", language="pt_BR", components=({"type": "body", "parameters": []},)),
        {"name": "order_update", "language": {"code": "pt_BR"}, "components": [{"type": "body", "parameters": []}]},
    ),
    (MessageType.IMAGE, Media(id="41", caption="a etiqueta"), {"id": "41", "caption": "a etiqueta"}),
    (MessageType.VIDEO, Media(link="https://example.com/v.mp4"), {"link": "https://example.com/v.mp4"}),
    (MessageType.AUDIO, Media(id="42", voice=True), {"id": "42", "voice": True}),
    (MessageType.DOCUMENT, Media(id="43", filename="nota.pdf"), {"id": "43", "filename": "nota.pdf"}),
    (MessageType.STICKER, Media(id="44"), {"id": "44"}),
    (
        MessageType.LOCATION,
        Location(latitude=0.0, longitude=-46.6, name="Aqui"),
        {"latitude": 0.0, "longitude": -46.6, "name": "Aqui"},
    ),
    (
        MessageType.CONTACTS,
        Contacts(contacts=({"name": {"formatted_name": "Ana"}},)),
        [{"name": {"formatted_name": "Ana"}}],
    ),
    (
        MessageType.INTERACTIVE,
        Interactive(kind="button", text="Qual?", action=BUTTONS, footer="loja", header={"type": "text", "text": "Oi"}),
        {
            "type": "button",
            "header": {"type": "text", "text": "Oi"},
            "body": {"text": "Qual?"},
            "footer": {"text": "loja"},
            "action": BUTTONS,
        },
    ),
    (
        MessageType.INTERACTIVE,
        Interactive(kind="location_request_message", text="Onde?"),
        {"type": "location_request_message", "body": {"text": "Onde?"}, "action": {"name": "send_location"}},
    ),
    (
        MessageType.REACTION,
        Reaction(message_id="wamid.x", emoji=""),
        {"message_id": "wamid.x", "emoji": ""},
    ),
]  # fmt: skip

REFUSED: list[tuple[str, OutgoingMessage]] = [
    ("to", message(to="nobody")),
    ("id", message(id="x" * 513)),
    ("text", message(Media(id="1"))),
    ("text.body", message(Text(body=" "))),
    ("text.body", message(Text(body="x" * 4097))),
    ("template.name", message(Template(name="Order Update", language="en"), kind=MessageType.TEMPLATE)),
    ("template.language", message(Template(name="order_update", language="português"), kind=MessageType.TEMPLATE)),
    ("image.id", message(Media(id="1", link="https://example.com/"), kind=MessageType.IMAGE)),
    ("image.id", message(Media(), kind=MessageType.IMAGE)),
    ("video.link", message(Media(link="file:///etc/hosts"), kind=MessageType.VIDEO)),
    ("audio.caption", message(Media(id="1", caption="x"), kind=MessageType.AUDIO)),
    ("image.caption", message(Media(id="1", caption="x" * 1025), kind=MessageType.IMAGE)),
    ("location.latitude", message(Location(latitude=91, longitude=0), kind=MessageType.LOCATION)),
    ("location.longitude", message(Location(latitude=0, longitude=float("nan")), kind=MessageType.LOCATION)),
    ("contacts", message(Contacts(contacts=()), kind=MessageType.CONTACTS)),
    ("contacts.0.name.formatted_name", message(Contacts(contacts=({},)), kind=MessageType.CONTACTS)),
    ("reaction.message_id", message(Reaction(message_id=""), kind=MessageType.REACTION)),
]

REFUSED_INTERACTIVE: list[tuple[str, Interactive]] = [
    ("type", Interactive(kind="hologram", text="x")),
    ("body.text", Interactive(kind="button", text="", action=BUTTONS)),
    ("body.text", Interactive(kind="button", text="x" * 1025, action=BUTTONS)),
    ("footer.text", Interactive(kind="button", text="x", action=BUTTONS, footer="x" * 61)),
    ("header.text", Interactive(kind="button", text="x", action=BUTTONS, header={"type": "text", "text": "x" * 61})),
    ("action.buttons", Interactive(kind="button", text="x")),
    ("action.buttons", Interactive(kind="button", text="x", action={"buttons": BUTTONS["buttons"] * 4})),
    ("action.buttons.0.reply", Interactive(kind="button", text="x", action={"buttons": [{"reply": {"id": "m"}}]})),
    (
        "action.buttons.0.reply.title",
        Interactive(kind="button", text="x", action={"buttons": [{"reply": {"id": "m", "title": "x" * 21}}]}),
    ),
    ("action.button", Interactive(kind="list", text="x", action={**LIST, "button": ""})),
    ("action.sections", Interactive(kind="list", text="x", action={**LIST, "sections": []})),
    ("action.sections", Interactive(kind="list", text="x", action={**LIST, "sections": LIST["sections"] * 11})),
    ("action.sections", Interactive(kind="list", text="x", action={**LIST, "sections": [{"rows": [{"id": "1"}]}]})),
    ("action.parameters", Interactive(kind="cta_url", text="x", action={"parameters": {"display_text": "x"}})),
    ("action.parameters", Interactive(kind="flow", text="x", action={"parameters": {}})),
]


class TestSend:
    @pytest.mark.parametrize(("kind", "content", "written"), SENT)
    def test_writes_every_type_in_the_vendors_form(
        self, wire: Wire, whatsapp: Any, kind: MessageType, content: Content, written: Any
    ) -> None:
        wire.answer("POST", MESSAGES, "send__ok")

        sent = whatsapp.send(message(content, kind=kind))

        assert wire.last("POST", MESSAGES).json == {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": PHONE,
            "type": kind.value,
            kind.value: written,
            "biz_opaque_callback_data": "our-message-17",
        }
        assert (sent.external_id, sent.phone, sent.vendor_status) == ("wamid.dGVzdC0sent-by-us", PHONE, "")

    @pytest.mark.parametrize("action", [LIST, FLOW, LINK])
    def test_takes_lists_flows_and_links(self, wire: Wire, whatsapp: Any, action: dict[str, Any]) -> None:
        kind = {"Ver cores": "list"}.get(action.get("button", ""), action.get("name", ""))
        wire.answer("POST", MESSAGES, "send__ok")

        whatsapp.send(message(Interactive(kind=kind, text="x", action=action), kind=MessageType.INTERACTIVE))

        assert wire.last("POST", MESSAGES).json["interactive"]["action"] == action

    def test_a_reply_names_its_message(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("POST", MESSAGES, "send__ok")

        whatsapp.send(message(reply_to="wamid.theirs"))

        assert wire.last("POST", MESSAGES).json["context"] == {"message_id": "wamid.theirs"}

    @pytest.mark.parametrize(
        ("to", "written"),
        [
            ("15550100101", {"recipient_type": "individual", "to": PHONE}),
            ("+1 (555) 010-0101", {"recipient_type": "individual", "to": PHONE}),
            (BSUID, {"recipient_type": "individual", "recipient": BSUID}),
            ("120363000000000017@g.us", {"recipient_type": "group", "to": "120363000000000017@g.us"}),
        ],
    )
    def test_names_phones_user_ids_and_groups(
        self, wire: Wire, whatsapp: Any, to: str, written: dict[str, str]
    ) -> None:
        wire.answer("POST", MESSAGES, "send__bsuid")

        sent = whatsapp.send(message(to=to))

        body = wire.last("POST", MESSAGES).json
        assert {name: body[name] for name in ("recipient_type", "to", "recipient") if name in body} == written
        assert sent.bsuid == (BSUID if to == BSUID else None)  # the answer repeats whom it speaks of

    def test_carries_token_and_proof(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("POST", MESSAGES, "send__ok")

        whatsapp.send(message())

        seen = wire.last("POST", MESSAGES)
        assert seen.headers["authorization"] == "Bearer EAAtest-planted-access-token"
        assert len(seen.query["appsecret_proof"]) == 64

    def test_without_the_apps_secret_there_is_no_proof(self, wire: Wire) -> None:
        wire.answer("POST", MESSAGES, "send__ok")

        wire.connect(secrets={"access_token": "EAAtest-other"}).send(message())

        assert wire.last("POST", MESSAGES).query == {}

    def test_uses_the_operators_version(self, wire: Wire) -> None:
        settings = {**wire.fixtures.conformance["connection"]["settings"], "graph_version": "v25.0"}
        wire.answer("POST", MESSAGES.replace("v26.0", "v25.0"), "send__ok")

        wire.connect(settings=settings).send(message())

        assert len(wire.calls) == 1

    def test_tells_that_a_template_is_held(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("POST", MESSAGES, "send__held")

        held = whatsapp.send(message(Template(name="order_update", language="en"), kind=MessageType.TEMPLATE))

        assert held.vendor_status == "held_for_quality_assessment"

    def test_a_broken_connection_is_perhaps_sent_and_tried_once(self, wire: Wire, whatsapp: Any) -> None:
        wire.reset("POST", MESSAGES)

        with pytest.raises(Unavailable) as caught:
            whatsapp.send(message())

        assert caught.value.reason == "maybe_sent"
        assert len(wire.calls) == 1

    @pytest.mark.parametrize("fixture", ["send__no_id", "not_json", "not_an_object"])
    def test_an_answer_without_an_id_is_unexpected(self, wire: Wire, whatsapp: Any, fixture: str) -> None:
        wire.answer("POST", MESSAGES, fixture)

        with pytest.raises(UnexpectedResponse):
            whatsapp.send(message())


class TestCheckMessage:
    @pytest.mark.parametrize(("field", "refused"), REFUSED, ids=[field for field, _ in REFUSED])
    def test_refuses_with_field_and_remedy_before_any_call(
        self, wire: Wire, whatsapp: Any, field: str, refused: OutgoingMessage
    ) -> None:
        with pytest.raises(RequestRejected) as caught:
            whatsapp.send(refused)

        assert caught.value.field == field
        assert field in caught.value.next_action
        assert wire.calls == []

    @pytest.mark.parametrize(("field", "content"), REFUSED_INTERACTIVE)
    def test_refuses_interactive_messages_with_field_and_remedy(
        self, whatsapp: Any, field: str, content: Interactive
    ) -> None:
        with pytest.raises(RequestRejected) as caught:
            whatsapp.check_message(message(content, kind=MessageType.INTERACTIVE))

        assert caught.value.field == f"interactive.{field}"

    def test_takes_texts_of_full_length(self, whatsapp: Any) -> None:
        whatsapp.check_message(message(Text(body="x" * 4096)))

    def test_outside_the_window_only_templates_go(self, whatsapp: Any) -> None:
        assert whatsapp.window_s == 24 * 3600
        assert whatsapp.types_outside_window == {MessageType.TEMPLATE}


class TestReadContent:
    @pytest.mark.parametrize(
        ("kind", "data", "content"),
        [
            ("text", {"body": "Olá"}, Text(body="Olá")),
            ("template", {"name": "n", "language": {"code": "en"}}, Template(name="n", language="en")),
            ("template", {"name": "n", "language": "en"}, Template(name="n", language="en")),
            ("image", {"link": "https://example.com/"}, Media(link="https://example.com/")),
            ("location", {"latitude": 1, "longitude": 2}, Location(latitude=1.0, longitude=2.0)),
            ("contacts", [{"name": {}}], Contacts(contacts=({"name": {}},))),
            ("contacts", {"contacts": [{"name": {}}]}, Contacts(contacts=({"name": {}},))),
            ("reaction", {"message_id": "m"}, Reaction(message_id="m")),
            (
                "interactive",
                {"type": "list", "body": {"text": "Qual?"}, "footer": {"text": "f"}, "action": LIST},
                Interactive(kind="list", text="Qual?", footer="f", action=LIST),
            ),
        ],
    )
    def test_builds_the_content_that_callers_write(self, kind: str, data: Any, content: Content) -> None:
        assert read_content(MessageType(kind), data) == content

    @pytest.mark.parametrize(
        ("kind", "data", "field"),
        [
            ("text", "Olá", "text"),
            ("text", {}, "text.body"),
            ("text", {"body": 7}, "text.body"),
            ("text", {"body": "x", "preview_url": "yes"}, "text.preview_url"),
            ("template", {"name": "n"}, "template.language"),
            ("template", {"name": "n", "language": {}}, "template.language.code"),
            ("template", {"name": "n", "language": "en", "components": [7]}, "template.components"),
            ("image", {}, "image.id"),
            ("location", {"latitude": True, "longitude": 2}, "location.latitude"),
            ("contacts", [], "contacts"),
            ("interactive", {"body": "x"}, "interactive.type"),
            ("interactive", {"type": "list", "action": []}, "interactive.action"),
            ("reaction", {"emoji": "x"}, "reaction.message_id"),
        ],
    )
    def test_names_the_field_that_is_wrong(self, kind: str, data: Any, field: str) -> None:
        with pytest.raises(RequestRejected) as caught:
            read_content(MessageType(kind), data)

        assert (caught.value.field, caught.value.reason) == (field, "malformed")
