"""Does the provider hold against a strict stand-in that was written from the card by somebody else?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from channels_app.contract import (
    BusinessProfile,
    Contacts,
    Content,
    Interactive,
    Location,
    Media,
    MessageType,
    OutgoingMessage,
    Reaction,
    Template,
    TemplateDraft,
    Text,
)
from channels_app.providers.whatsapp import WhatsAppProvider
from core.secret import Secret
from integrations.contract import (
    AuthenticationFailed,
    CallReport,
    InboundEvent,
    NotFound,
    ProviderError,
    RequestRejected,
    Unavailable,
)
from tests.sandbox.conftest import CUSTOMER, Receiver, Sandbox
from tests.signatures import arrived

Connect = Callable[..., WhatsAppProvider]

MESSAGES: list[tuple[MessageType, Content]] = [
    (MessageType.TEXT, Text(body="Olá 😀 https://example.com/", preview_url=True)),
    (MessageType.IMAGE, Media(link="https://example.com/a.png", caption="uma foto")),
    (MessageType.VIDEO, Media(link="https://example.com/a.mp4")),
    (MessageType.AUDIO, Media(link="https://example.com/a.ogg")),
    (MessageType.STICKER, Media(link="https://example.com/a.webp")),
    (MessageType.DOCUMENT, Media(link="https://example.com/a.pdf", filename="a.pdf", caption="nota")),
    (MessageType.LOCATION, Location(latitude=-23.56, longitude=-46.65, name="Aqui", address="Rua Exemplo")),
    (
        MessageType.CONTACTS,
        Contacts(contacts=({"name": {"formatted_name": "Ana", "first_name": "Ana"}, "phones": []},)),
    ),
    (
        MessageType.INTERACTIVE,
        Interactive(
            kind="button",
            text="Qual?",
            header={"type": "text", "text": "Tamanho"},
            footer="loja",
            action={"buttons": [{"type": "reply", "reply": {"id": "m", "title": "M"}}]},
        ),
    ),
    (
        MessageType.INTERACTIVE,
        Interactive(
            kind="list",
            text="Qual?",
            action={"button": "Ver", "sections": [{"title": "Cores", "rows": [{"id": "blue", "title": "Azul"}]}]},
        ),
    ),
    (
        MessageType.INTERACTIVE,
        Interactive(
            kind="cta_url",
            text="Veja",
            action={"name": "cta_url", "parameters": {"display_text": "Abrir", "url": "https://example.com/"}},
        ),
    ),
    (
        MessageType.INTERACTIVE,
        Interactive(
            kind="flow",
            text="Preencha",
            action={
                "name": "flow",
                "parameters": {"flow_message_version": "3", "flow_id": "1700", "flow_cta": "Abrir"},
            },
        ),
    ),
    (MessageType.INTERACTIVE, Interactive(kind="location_request_message", text="Onde?")),
]


def outgoing(content: Content, *, kind: MessageType = MessageType.TEXT, reply_to: str = "") -> OutgoingMessage:
    return OutgoingMessage(id="our-message-17", to=f"+{CUSTOMER}", type=kind, content=content, reply_to=reply_to)


def events(receiver: Receiver, *, secret: str, count: int) -> list[InboundEvent]:
    """Take posts until they gave so many events, each verified by the app's secret."""
    found: list[InboundEvent] = []
    while len(found) < count:
        _path, headers, body = receiver.next()
        request = arrived(body, headers=headers)
        WhatsAppProvider.verify(request, [Secret(secret)])
        found.extend(WhatsAppProvider.parse(request))
    return found


class TestCheck:
    def test_proves_the_account_with_and_without_the_app(self, connect: Connect, sandbox: Sandbox) -> None:
        keys = [f"phone_number:{sandbox.account['phone_number_id']}", f"waba:{sandbox.account['waba_id']}"]

        assert [key.value for key in connect().check().account_keys] == keys
        assert [key.value for key in connect(app_id="").check().account_keys] == keys
        assert [key.value for key in connect(app_secret="").check().account_keys] == keys

    @pytest.mark.parametrize(
        ("changes", "error", "field"),
        [
            ({"access_token": "EAAtest-nobody"}, AuthenticationFailed, "access_token"),
            ({"app_secret": "0" * 32}, AuthenticationFailed, "app_secret"),
            ({"phone_number_id": "123456789"}, NotFound, "phone_number_id"),
            ({"waba_id": "123456789"}, NotFound, "waba_id"),
        ],
    )
    def test_blames_the_field_that_is_wrong(
        self, connect: Connect, changes: dict[str, str], error: type[ProviderError], field: str
    ) -> None:
        with pytest.raises(error) as caught:
            connect(**changes).check()

        assert caught.value.field == field

    def test_proves_no_account_of_somebody_else(self, connect: Connect, sandbox: Sandbox) -> None:
        other = sandbox.control("GET", "/whatsapp/accounts")["accounts"][1]

        with pytest.raises(NotFound):
            connect(waba_id=other["waba_id"]).check()
        with pytest.raises(NotFound):
            connect(waba_id=other["waba_id"], phone_number_id=other["phone_number_id"]).check()

    def test_proving_by_a_write_keeps_the_webhook(self, connect: Connect, sandbox: Sandbox, receiver: Receiver) -> None:
        connect().register_webhook(receiver.url)

        connect(app_id="").check()

        assert connect(webhook_url=receiver.url).inspect_webhook().registered


class TestSend:
    @pytest.mark.parametrize(("kind", "content"), MESSAGES, ids=[kind for kind, _ in MESSAGES])
    def test_every_type_is_accepted(
        self, connect: Connect, sandbox: Sandbox, kind: MessageType, content: Content
    ) -> None:
        sandbox.write()

        sent = connect().send(outgoing(content, kind=kind))

        assert sent.external_id in {item["id"] for item in sandbox.chat()}

    def test_replies_reactions_reads_and_typing_are_accepted(self, connect: Connect, sandbox: Sandbox) -> None:
        theirs = sandbox.write()["message_id"]
        whatsapp = connect()

        whatsapp.send(outgoing(Text(body="sim"), reply_to=theirs))
        whatsapp.send(outgoing(Reaction(message_id=theirs, emoji="👍"), kind=MessageType.REACTION))
        whatsapp.send(outgoing(Reaction(message_id=theirs), kind=MessageType.REACTION))
        whatsapp.mark_as_read(theirs)
        whatsapp.send_typing(theirs)

        assert len(sandbox.chat()) >= 2

    def test_outside_the_window_only_a_template_goes(self, connect: Connect) -> None:
        whatsapp = connect()
        with pytest.raises(RequestRejected) as caught:
            whatsapp.send(outgoing(Text(body="Olá")))
        (template,) = [
            item for item in whatsapp.list_templates() if (item.name, item.language) == ("order_update", "en")
        ]
        count = str(template.components).count("{{")
        body = {"type": "body", "parameters": [{"type": "text", "text": "x"}] * count}

        sent = whatsapp.send(
            outgoing(Template(name="order_update", language="en", components=(body,)), kind=MessageType.TEMPLATE)
        )

        assert caught.value.reason == "window_closed"
        assert sent.vendor_status == "accepted"

    @pytest.mark.parametrize("fault", ["reset", "html", "500", "empty"])
    def test_a_fault_is_typed_and_the_call_made_once(
        self, connect: Connect, sandbox: Sandbox, reports: list[CallReport], fault: str
    ) -> None:
        sandbox.write()
        sandbox.control("POST", "/faults", {"vendor": "whatsapp", "kind": fault, "times": 1})

        with pytest.raises(ProviderError) as caught:
            connect().send(outgoing(Text(body="Olá")))

        assert caught.value.name in {"Unavailable", "UnexpectedResponse"}
        assert len(reports) == 1
        assert not isinstance(caught.value, Unavailable) or caught.value.retryable


class TestMedia:
    def test_goes_up_comes_down_and_goes_away(self, connect: Connect, sandbox: Sandbox) -> None:
        whatsapp = connect()
        content = b"%PDF-1.4 composed for a test"

        media_id = whatsapp.upload_media(content, mime_type="application/pdf", filename="nota.pdf")

        assert whatsapp.download_media(media_id).content == content
        whatsapp.delete_media(media_id)
        whatsapp.delete_media(media_id)
        with pytest.raises(NotFound):
            whatsapp.download_media(media_id)


class TestAccount:
    def test_templates_profile_numbers_and_blocks(self, connect: Connect, sandbox: Sandbox) -> None:
        whatsapp = connect()
        sandbox.write()
        body = {"type": "BODY", "text": "Oi, {{1}}, tudo bem?", "example": {"body_text": [["Ana"]]}}

        made = whatsapp.create_template(
            TemplateDraft(name="greeting_17", language="pt_BR", category="utility", components=(body,))
        )
        whatsapp.update_profile(BusinessProfile(about="Aberto", websites=("https://example.com/",)))
        whatsapp.block_contacts([f"+{CUSTOMER}"])

        assert made.external_id in {item.external_id for item in whatsapp.list_templates()}
        assert whatsapp.get_profile().about == "Aberto"
        assert whatsapp.list_blocked() == [f"+{CUSTOMER}"]
        assert whatsapp.report_account().can_send == "available"
        whatsapp.unblock_contacts([f"+{CUSTOMER}"])
        whatsapp.delete_template("greeting_17")
        whatsapp.register_number("170017")
        assert whatsapp.list_blocked() == []


class TestWebhook:
    def test_what_a_customer_writes_arrives_and_our_id_comes_back(
        self, connect: Connect, sandbox: Sandbox, receiver: Receiver
    ) -> None:
        whatsapp = connect(webhook_url=receiver.url)
        whatsapp.register_webhook(receiver.url)
        secret = sandbox.account["app_secret"]

        sandbox.write(text="Olá, vocês abrem às 9h? 😀")
        (received,) = events(receiver, secret=secret, count=1)
        whatsapp.send(outgoing(Text(body="Sim")))
        statuses = events(receiver, secret=secret, count=2)

        assert received.data["text"] == "Olá, vocês abrem às 9h? 😀"
        assert received.account_key == f"phone_number:{sandbox.account['phone_number_id']}"
        assert {event.data["status"] for event in statuses} == {"sent", "delivered"}
        assert {event.data["callback_data"] for event in statuses} == {"our-message-17"}

    def test_is_removed_and_removing_again_is_safe(
        self, connect: Connect, sandbox: Sandbox, receiver: Receiver
    ) -> None:
        whatsapp = connect(webhook_url=receiver.url)
        whatsapp.register_webhook(receiver.url)
        assert whatsapp.inspect_webhook().registered

        whatsapp.unregister_webhook()
        whatsapp.unregister_webhook()

        assert not whatsapp.inspect_webhook().registered
        sandbox.write()
        assert receiver.silent()
