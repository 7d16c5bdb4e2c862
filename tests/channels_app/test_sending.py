"""Accepting messages by the channel's rules, and sending them once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from audit.models import AuditEntry
from channels_app.models import Contact, Conversation, Message, Template
from channels_app.services import keep_upload, mark_read, send_message, send_typing
from channels_app.services.readiness import NotReady
from core import clock
from core.errors import ValidationFailed
from dispatch.models import OutboxEntry, OutboxStatus
from integrations.models import Issue
from meter.models import UsageRecord
from tests.channels_app.conftest import PHONE, change, let_in, status_of

MESSAGES = "/v26.0/100000000000001/messages"
SENT = "wamid.dGVzdC0sent-by-us"


@pytest.fixture
def send(integration, actor):
    """Send to Joana, a text unless said otherwise."""

    def run(*, to=PHONE, type="text", content=None, **more):
        content = {"body": "Hi"} if content is None else content
        return send_message(integration=integration, to=to, type=type, content=content, actor=actor, **more)

    return run


@pytest.fixture
def window(written):
    """Joana wrote just now."""
    return written()


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    """Files of a test go away with it."""
    settings.MEDIA_ROOT = str(tmp_path)


@pytest.fixture
def template(integration):
    """An approved template."""
    return Template.objects.create(
        integration=integration, name="order_update", language="pt_BR", category="utility", status="approved"
    )


def body(*texts: str) -> dict:
    """The parameters of a template's body."""
    return {"type": "body", "parameters": [{"type": "text", "text": text} for text in texts]}


def refused(error) -> tuple[str, str]:
    """The field and the text of a refusal."""
    ((field, texts),) = error.value.errors.items()
    return field, texts[0]


class TestRules:
    def test_accepts_a_text_within_the_window(self, send, written):
        conversation = written()

        message = send(to="1 (555) 010-0101")

        assert (message.status, message.direction, message.text) == ("queued", "outbound", "Hi")
        assert message.conversation == conversation
        entry = OutboxEntry.objects.get(kind="message.send")
        assert (entry.object_id, entry.object_key) == (str(message.id), f"conversation:{conversation.id}")
        assert AuditEntry.objects.get(action="message.accepted").target_id == str(message.id)

    def test_refuses_a_text_outside_the_window_with_the_remedy(self, send, written):
        written(ago=timedelta(hours=24, seconds=1))

        with pytest.raises(ValidationFailed) as error:
            send()

        field, text = refused(error)
        assert field == "type"
        assert "approved template" in text
        assert not Message.objects.filter(direction="outbound").exists()
        assert not OutboxEntry.objects.filter(kind="message.send").exists()

    def test_refuses_a_text_to_a_stranger(self, send):
        with pytest.raises(ValidationFailed):
            send(to="+15550100199")

        assert not Contact.objects.exists()

    def test_accepts_an_approved_template_to_a_stranger(self, send, template):
        message = send(to="+15550100199", type="template", content={"name": "order_update", "language": "pt_BR"})

        assert message.contact.phone == "+15550100199"

    @pytest.mark.parametrize("status", ["pending", "rejected", "paused"])
    def test_refuses_a_template_that_is_not_approved(self, send, template, vendor, status):
        Template.objects.update(status=status)
        vendor.answer("GET", "/v26.0/200000000000001/message_templates", "templates__page_2")

        with pytest.raises(ValidationFailed) as error:
            send(type="template", content={"name": "order_update", "language": "pt_BR"})

        assert refused(error)[0] == "template.name"

    def test_asks_the_vendor_for_an_unknown_template_once(self, send, vendor):
        vendor.answer("GET", "/v26.0/200000000000001/message_templates", "templates__page_2")
        vendor.answer("GET", "/v26.0/200000000000001/message_templates", "templates__page_1", times=1)

        content = {"name": "order_update", "language": {"code": "pt_BR"}, "components": [body("8841")]}
        message = send(type="template", content=content)
        with pytest.raises(ValidationFailed):
            send(type="template", content={"name": "never_seen", "language": "en"})

        assert message.status == "queued"
        assert len(vendor.calls) == 2

    def test_refuses_marketing_to_who_stopped_it(self, send, template, written):
        written()
        Contact.objects.update(marketing_stopped=True)
        Template.objects.update(category="marketing")

        with pytest.raises(ValidationFailed) as error:
            send(type="template", content={"name": "order_update", "language": "pt_BR"})

        assert "marketing" in refused(error)[1]

    def test_refuses_a_code_to_who_has_no_phone_number(self, send, template, deliver):
        deliver("message_text__bsuid_only")
        Template.objects.update(category="authentication")

        with pytest.raises(ValidationFailed) as error:
            send(
                to=str(Contact.objects.get().id),
                type="template",
                content={"name": "order_update", "language": "pt_BR"},
            )

        field, text = refused(error)
        assert field == "to"
        assert "phone number" in text

    def test_refuses_who_cannot_be_reached(self, send, written):
        written()
        Contact.objects.update(blocked_reason="recipient_unreachable")

        with pytest.raises(ValidationFailed) as error:
            send()

        assert refused(error)[0] == "to"

    @pytest.mark.parametrize(
        ("type_", "content", "field"),
        [
            ("text", {"body": ""}, "text.body"),
            ("text", {"body": 7}, "text.body"),
            ("text", "Hi", "text"),
            ("text", {"body": "x" * 4097}, "text.body"),
            ("image", {}, "image.id"),
            ("location", {"latitude": "north"}, "location.latitude"),
            ("location", {"latitude": 10**400, "longitude": 0}, "location.latitude"),
            ("carrier_pigeon", {}, "type"),
            ("reaction", {"message_id": "wamid.unknown", "emoji": "👍"}, "reaction.message_id"),
            ("image", {"id": "01930000-0000-7000-8000-00000000dead"}, "image.id"),
        ],
    )
    def test_names_the_field(self, send, written, type_, content, field):
        written()

        with pytest.raises(ValidationFailed) as error:
            send(type=type_, content=content)

        assert refused(error)[0] == field

    @pytest.mark.parametrize("to", ["", "  ", "hello", "01930000-0000-7000-8000-00000000dead", "x" * 500])
    def test_refuses_who_is_nobody(self, send, to):
        with pytest.raises(ValidationFailed) as error:
            send(to=to)

        assert refused(error)[0] == "to"

    @pytest.mark.parametrize("status", ["disabled", "disconnected"])
    def test_refuses_an_integration_that_is_off(self, send, integration, written, status):
        written()
        getattr(integration, f"mark_{status}")()
        integration.save()

        with pytest.raises(NotReady) as error:
            send()

        assert error.value.code == "integration_not_ready"

    def test_answers_a_message_of_this_conversation_only(self, send, integration, written):
        conversation = written("Question")
        question = Message.objects.get()
        written("Elsewhere", phone="+15550100144")
        foreign = Message.objects.exclude(pk=question.pk).get()

        by_ours, by_theirs = send(reply_to=str(question.id)), send(reply_to=question.external_id)
        with pytest.raises(ValidationFailed) as error:
            send(reply_to=str(foreign.id))

        assert by_ours.reply_to == by_theirs.reply_to == question.external_id
        assert by_ours.conversation == conversation
        assert refused(error)[0] == "reply_to"


class TestSending:
    def test_sends_once_and_keeps_the_vendors_id(self, send, integration, vendor, written, work):
        written()
        vendor.answer("POST", MESSAGES, "send__ok")
        message = send()

        work()

        message.refresh_from_db()
        assert (message.status, message.external_id) == ("sent", SENT)
        assert message.sent_at is not None
        body = vendor.last("POST", MESSAGES).json
        assert (body["to"], body["text"]["body"]) == (PHONE, "Hi")
        assert body["biz_opaque_callback_data"] == str(message.id)
        assert UsageRecord.objects.get(unit="messages_out").quantity == 1
        work()
        assert len(vendor.calls) == 1

    def test_keeps_the_order_of_a_conversation(self, send, vendor, written, work):
        written()
        vendor.answer("POST", MESSAGES, "send__no_id")
        first, second = send(content={"body": "one"}), send(content={"body": "two"})

        work()

        assert [call.json["text"]["body"] for call in vendor.calls] == ["one"]
        assert OutboxEntry.objects.get(object_id=str(second.id)).status == OutboxStatus.WAITING
        assert first.status == "queued"

    def test_learns_the_user_id_from_the_answer(self, send, vendor, written, work, deliver):
        deliver("message_text__bsuid_only")
        contact = Contact.objects.get()
        vendor.answer("POST", MESSAGES, "send__bsuid")
        Conversation.objects.update(last_inbound_at=clock.now())

        message = send(to=str(contact.id))
        work()

        message.refresh_from_db()
        assert message.contact == contact
        assert vendor.last("POST", MESSAGES).json["recipient"] == "BR.20000000000000000017"

    def test_applies_a_status_that_overtook_the_answer(self, send, integration, vendor, written, work):
        written()
        message = send()
        let_in(integration, status_of(SENT, "read", at=clock.now()))
        vendor.answer("POST", MESSAGES, "send__ok")

        work()

        message.refresh_from_db()
        assert message.status == "read"

    @pytest.mark.parametrize("code", ["131047", "131026", "132001", "131042"])
    def test_fails_with_the_vendors_reason(self, send, vendor, written, work, code):
        written()
        vendor.answer("POST", MESSAGES, f"error__{code}")
        message = send()

        work()

        message.refresh_from_db()
        assert message.status == "failed"
        assert message.error["vendor_code"] == code
        assert message.error["next_action"]
        assert len(vendor.calls) == 1

    @pytest.mark.usefixtures("window")
    def test_uploads_a_file_and_sends_it(self, send, vendor, work, actor):
        file = keep_upload(
            environment="test", name="label.png", content_type="image/png", chunks=[b"\x89PNG test"], actor=actor
        )
        vendor.answer("POST", "/v26.0/100000000000001/media", "media_upload__ok")
        vendor.answer("POST", MESSAGES, "error__131016", times=1)
        message = send(type="image", content={"id": str(file.id), "caption": "Here"})

        work()
        OutboxEntry.objects.update(next_attempt_at=clock.now())
        vendor.answer("POST", MESSAGES, "send__ok")
        work()

        message.refresh_from_db()
        assert (message.status, message.media_file_id) == ("sent", file.id)
        image = vendor.last("POST", MESSAGES).json["image"]
        assert image["caption"] == "Here"
        assert image["id"] != str(file.id)
        uploads = [call for call in vendor.calls if call.path.endswith("/media")]
        assert len(uploads) == 1
        assert b"\x89PNG test" in uploads[0].body

    @pytest.mark.usefixtures("window")
    def test_a_lapsed_credential_parks_the_message_until_the_reconnect(self, send, integration, vendor, work):
        from integrations.services.outbox import release_parked

        vendor.answer("POST", MESSAGES, "error__190", times=1)
        vendor.play("unauthorized")
        message = send()
        work()
        entry = OutboxEntry.objects.get(kind="message.send")
        assert (integration.status, entry.status) == ("needs_reauth", OutboxStatus.PARKED)
        assert Issue.objects.get(resolved_at=None).cause == "authentication_error"
        waiting = send(content={"body": "Accepted meanwhile"})

        integration.mark_connected()
        integration.save()
        release_parked(integration)
        vendor.answer("POST", MESSAGES, "send__ok", times=1)
        work()

        message.refresh_from_db()
        assert message.status == "sent"
        assert waiting.status == "queued"

    def test_a_limit_of_one_person_holds_back_nobody_else(self, send, vendor, written, work):
        written()
        written(phone="+15550100144")
        other = send(to="+15550100144")
        OutboxEntry.objects.filter(object_id=str(other.id)).update(next_attempt_at=clock.now() + timedelta(seconds=30))
        vendor.answer("POST", MESSAGES, "error__131056")
        send()

        work()

        assert OutboxEntry.objects.get(object_id=str(other.id)).not_before is None


class TestUnknownOutcome:
    @pytest.fixture
    def broken(self, send, vendor, written, work):
        """A message whose connection broke after it was sent."""
        written()
        vendor.reset("POST", MESSAGES)
        message = send()
        work()
        return message

    def test_is_not_sent_again_blindly(self, broken, vendor, work, later):
        later(timedelta(minutes=2))

        work()

        broken.refresh_from_db()
        assert broken.status == "queued"
        assert len(vendor.calls) == 1

    def test_ends_as_soon_as_a_status_carries_our_id(self, broken, integration, vendor, work):
        let_in(integration, status_of(SENT, "delivered", at=clock.now(), callback=str(broken.id)))

        work()

        broken.refresh_from_db()
        assert (broken.status, broken.external_id) == ("delivered", SENT)
        assert OutboxEntry.objects.get(kind="message.send").status == OutboxStatus.DONE
        assert len(vendor.calls) == 1

    def test_fails_with_that_reason_when_none_comes(self, broken, integration, vendor, work, later):
        for _ in range(5):
            later(timedelta(minutes=2))
            work()

        broken.refresh_from_db()
        assert (broken.status, broken.error["reason"]) == ("failed", "outcome_unknown")
        assert len(vendor.calls) == 1

        let_in(integration, status_of(SENT, "sent", at=clock.now(), callback=str(broken.id)))

        broken.refresh_from_db()
        assert (broken.status, broken.error) == ("sent", None)

    def test_a_worker_that_died_in_the_call_sends_nothing_twice(self, send, vendor, written, work):
        written()
        message = send()
        OutboxEntry.objects.filter(object_id=str(message.id)).update(intent_at=clock.now())

        work()

        assert vendor.calls == []
        assert OutboxEntry.objects.get(object_id=str(message.id)).status == OutboxStatus.WAITING


class TestReading:
    def test_marks_here_and_at_the_vendor(self, integration, vendor, written, work, actor):
        conversation = written()
        vendor.answer("POST", MESSAGES, "success")

        read = mark_read(conversation, actor=actor)
        mark_read(conversation, actor=actor)
        work()

        message = Message.objects.get()
        assert (read.unread_count, message.status) == (0, "read")
        assert len(vendor.calls) == 1
        assert vendor.calls[0].json["message_id"] == message.external_id

    def test_typing_that_comes_too_late_is_dropped(self, vendor, written, work, actor, later):
        send_typing(written(), actor=actor)
        later(timedelta(seconds=26))

        work()

        assert vendor.calls == []
        assert OutboxEntry.objects.get(kind="message.typing").status == OutboxStatus.EXPIRED


class TestMediaIn:
    def test_is_fetched_and_kept(self, vendor, deliver, work):
        deliver("message_image__caption")
        Message.objects.update(content={"id": "410000000000001", "mime_type": "image/png"})
        vendor.answer("GET", "/v26.0/410000000000001", "media__ok")
        vendor.answer("GET", "/whatsapp_business/attachments/", "media_bytes__ok")

        work()

        from channels_app.services import media_of_message
        from storage.services import read_file

        message = Message.objects.get()
        file = media_of_message(message)
        assert (message.media_state, file.content_type) == ("kept", "image/png")
        assert len(read_file(file)) == file.size_bytes == 30
        assert UsageRecord.objects.get(unit="media_bytes").quantity == 30

    def test_says_when_it_did_not_come(self, vendor, deliver, work):
        deliver("message_image__caption")
        vendor.answer("GET", "*", "error__131052")

        work()

        assert Message.objects.get().media_state == "failed"


class TestWhomTheVendorMeans:
    def test_joins_the_contact_whose_number_the_vendor_writes_in_another_way(
        self, send, template, vendor, written, work
    ):
        conversation = written()
        vendor.answer("POST", MESSAGES, "send__other_form")
        message = send(to="+15550100177", type="template", content={"name": "order_update", "language": "pt_BR"})
        assert Contact.objects.count() == 2

        work()

        message.refresh_from_db()
        assert Contact.objects.get().phone == PHONE
        assert (message.conversation, message.status) == (conversation, "sent")
        assert Conversation.objects.count() == 1

    def test_learns_nothing_from_an_answer_about_somebody_else(self, send, template, vendor, written, work):
        written()
        vendor.answer("POST", MESSAGES, "send__ok")
        message = send(to="+15550100199", type="template", content={"name": "order_update", "language": "pt_BR"})

        work()

        message.refresh_from_db()
        assert (message.status, message.contact.phone) == ("sent", "+15550100199")
        assert Contact.objects.count() == 2

    def test_loses_no_message_when_the_vendor_gives_one_id_twice(self, send, vendor, written, work, integration):
        written()
        vendor.answer("POST", MESSAGES, "send__ok")
        first, second = send(content={"body": "one"}), send(content={"body": "two"})

        work()
        let_in(integration, status_of(SENT, "delivered", at=clock.now(), callback=str(second.id)))

        first.refresh_from_db()
        second.refresh_from_db()
        assert (first.status, first.external_id) == ("sent", SENT)
        assert (second.status, second.external_id) == ("delivered", "")

    def test_takes_the_place_of_its_own_echo(self, send, vendor, written, work, integration):
        written()
        message = send()
        echo = {"from": "15550100001", "to": PHONE[1:], "id": SENT, "timestamp": str(int(clock.now().timestamp()))}
        let_in(integration, change("message_echoes", message_echoes=[{**echo, "type": "text", "text": {"body": "Hi"}}]))
        assert Message.objects.filter(is_echo=True).exists()
        vendor.answer("POST", MESSAGES, "send__ok")

        work()

        sent = Message.objects.get(direction="outbound")
        assert (sent.pk, sent.external_id, sent.status) == (message.pk, SENT, "sent")

    def test_people_are_told_at_once_that_their_messages_are_reported(self, send, vendor, written, work):
        written()
        vendor.answer("POST", MESSAGES, "error__131048")
        message = send()

        work()

        message.refresh_from_db()
        assert message.status == "queued"
        assert Issue.objects.get(resolved_at=None).cause == "spam_limit"


class TestIntegrationsThatEnd:
    @pytest.mark.usefixtures("window")
    def test_fails_when_the_account_is_disconnected_before(self, send, integration, vendor, work, actor):
        from integrations.services.lifecycle import disconnect

        message = send()
        for method in ("GET", "POST", "DELETE"):
            vendor.answer(method, "*", "success")

        disconnect(integration, actor=actor)
        work()

        message.refresh_from_db()
        assert (message.status, message.error["code"]) == ("failed", "integration_not_ready")
        assert not any(call.path.endswith("/messages") for call in vendor.calls)

    def test_expires_when_nobody_reconnects(self, send, integration, written, work, later):
        from integrations.services.outbox import wake_expired

        written()
        integration.mark_needs_reauth(cause="test", next_action="Reconnect.")
        integration.save()
        message = send()
        work()
        later(timedelta(days=3, hours=1))

        wake_expired()
        work()

        message.refresh_from_db()
        assert (message.status, message.error["code"]) == ("expired", "integration_not_ready")
