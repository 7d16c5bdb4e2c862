"""From webhooks to contacts, conversations and messages, in any order."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta

import pytest

from channels_app.models import Contact, Conversation, MediaState, Message, Template
from core import clock
from dispatch.models import Link, OutboxEntry
from integrations.models import Event, Issue
from meter.models import UsageRecord
from tenants.context import in_organization
from tests.channels_app.conftest import change, let_in, status_of, text_from, webhook

SENT = "wamid.dGVzdC0sent-by-us"


def sent_message(integration, deliver):
    """A message of ours that the vendor has accepted, in the conversation with Joana."""
    deliver("message_text__phone")
    conversation = Conversation.objects.get()
    return Message.objects.create(
        integration=integration,
        conversation=conversation,
        contact=conversation.contact,
        direction="outbound",
        type="text",
        text="Hi",
        content={"body": "Hi"},
        status="sent",
        external_id=SENT,
        occurred_at=clock.now() - timedelta(days=1),
    )


class TestReceiving:
    def test_writes_contact_conversation_and_message(self, integration, deliver):
        deliver("message_text__phone")

        message = Message.objects.get()
        assert (message.type, message.direction, message.status) == ("text", "inbound", "delivered")
        assert message.content == {"body": message.text}
        assert (message.contact.phone, message.contact.name) == ("+15550100101", "Joana Exemplo")
        assert message.conversation.unread_count == 1
        assert message.conversation.last_inbound_at == message.occurred_at
        usage = UsageRecord.objects.get(link_id=integration.id)
        assert (usage.unit, usage.quantity) == ("messages_in", 1)

    def test_writes_nothing_twice(self, deliver):
        deliver("message_text__phone")

        deliver("message_text__phone")

        assert Message.objects.count() == Contact.objects.count() == Event.objects.count() == 1
        assert UsageRecord.objects.count() == 1

    def test_leaves_the_other_organization_untouched(self, deliver, other_organization):
        deliver("message_text__phone")

        with in_organization(other_organization):
            assert not Message.objects.exists()
            assert not Contact.objects.exists()

    def test_keeps_a_message_that_names_nobody(self, deliver):
        deliver("message_text__no_sender")

        message = Message.objects.get()
        assert message.contact is None
        assert message.conversation.contact is None

    def test_keeps_group_messages_apart(self, deliver):
        deliver("message_text__group")
        deliver("message_text__phone")

        groups = [conversation.group_id for conversation in Conversation.objects.order_by("id")]
        assert [bool(group) for group in groups] == [True, False]

    @pytest.mark.parametrize("name", ["message_image__caption", "message_audio__voice", "message_document__filename"])
    def test_asks_for_the_file(self, integration, deliver, name):
        deliver(name)

        message = Message.objects.get()
        entry = OutboxEntry.objects.get(kind="media.download")
        assert message.media_state == MediaState.WAITING
        assert message.content["id"]
        assert "url" not in message.content
        assert (entry.object_id, entry.link_id) == (str(message.id), integration.id)

    @pytest.mark.parametrize(
        "name",
        [
            "message_button__quick_reply", "message_contacts__card", "message_interactive__list_reply",
            "message_location__named", "message_new_kind__stored", "message_order__items",
            "message_system__identity", "message_text__referral", "message_text__reply",
            "message_unsupported__subtype", "message_sticker__animated",
        ],
    )  # fmt: skip
    def test_keeps_every_type(self, deliver, name):
        delivery = deliver(name)

        assert delivery.status == "processed"
        assert Message.objects.count() == 1


class TestContacts:
    def test_joins_what_was_known_by_phone_and_by_user_id(self, integration, deliver):
        deliver("message_text__phone")
        deliver("message_text__bsuid_only")
        assert Contact.objects.count() == 2
        first = Contact.objects.order_by("id")[0]

        deliver("message_text__bsuid_and_phone")

        contact = Contact.objects.get()
        assert contact.pk == first.pk
        assert (contact.phone, contact.bsuid) == ("+15550100101", "BR.20000000000000000017")
        conversation = Conversation.objects.get()
        assert conversation.messages.count() == conversation.unread_count == 3
        assert set(Message.objects.values_list("contact", flat=True)) == {contact.pk}

    def test_follows_a_changed_user_id(self, deliver):
        deliver("message_text__bsuid_and_phone")

        deliver("user_id_update__bsuid")

        assert Contact.objects.get().bsuid == "BR.20000000000000000099"

    def test_joins_when_the_new_user_id_wrote_before_the_change_was_told(self, integration, deliver):
        deliver("message_text__bsuid_and_phone")
        new = "BR.20000000000000000099"
        let_in(integration, text_from("+15550100101", "Me again", at=clock.now(), user_id=new))
        assert Contact.objects.count() == 2

        deliver("user_id_update__bsuid")

        contact = Contact.objects.get()
        assert (contact.bsuid, contact.messages.count()) == (new, 2)

    def test_follows_a_changed_number(self, deliver):
        deliver("message_text__phone")

        deliver("message_system__number_changed")

        assert Contact.objects.get().phone == "+15550100122"

    def test_gives_a_recycled_number_to_its_new_owner(self, integration, deliver):
        deliver("message_text__bsuid_and_phone")

        let_in(integration, text_from("+15550100101", "New here", at=clock.now(), user_id="BR.777"))

        former, owner = Contact.objects.order_by("id")
        assert (former.bsuid, former.phone) == ("BR.20000000000000000017", "")
        assert (owner.bsuid, owner.phone) == ("BR.777", "+15550100101")
        assert owner.messages.get().text == "New here"

    def test_does_not_mix_a_person_with_the_former_owner_of_their_new_number(self, integration, deliver):
        let_in(integration, text_from("+15550100122", "I was here first", at=clock.now()))
        former = Contact.objects.get()
        Contact.objects.filter(pk=former.pk).update(created_at=clock.now() - timedelta(days=400))
        deliver("message_text__phone")

        deliver("message_system__number_changed")

        former.refresh_from_db()
        assert (former.phone, former.messages.count()) == ("", 1)
        assert Contact.objects.get(phone="+15550100122").name == "Joana Exemplo"

    def test_remembers_the_latest_wish_about_marketing(self, integration, deliver):
        deliver("user_preferences__stop")
        assert Contact.objects.get().marketing_stopped

        let_in(integration, webhook("user_preferences__resume", **{"1795430400": "1795430401"}))
        let_in(integration, webhook("user_preferences__stop", **{"1795430400": "1795430000"}))

        assert not Contact.objects.get().marketing_stopped

    def test_can_be_reached_again_once_they_write(self, deliver):
        deliver("message_text__phone")
        Contact.objects.update(blocked_reason="recipient_unreachable")

        deliver("message_text__reply")

        assert Contact.objects.get().blocked_reason == ""


class TestActsOnMessages:
    def test_reacts(self, integration, deliver):
        target = sent_message(integration, deliver)

        deliver("message_reaction__emoji")

        target.refresh_from_db()
        who = str(target.contact_id)
        assert target.reactions[who]["emoji"] == "👍"
        assert Message.objects.filter(type="reaction", reply_to=SENT).count() == 1
        assert Conversation.objects.get().unread_count == 1

    def test_edits_a_message_that_arrives_later(self, deliver):
        deliver("message_edit__text")

        deliver("message_text__phone")

        message = Message.objects.get(type="text")
        assert message.text == "tamanho G"
        assert message.edited_at is not None

    def test_nobody_edits_what_another_person_wrote(self, integration, deliver):
        deliver("message_text__phone")

        let_in(integration, webhook("message_edit__text", **{"15550100101": "15550100133"}))

        assert Message.objects.get(type="text").edited_at is None

    def test_marks_what_the_sender_took_back(self, integration, deliver):
        deliver("message_revoke__plain")
        body = webhook("message_revoke__plain").decode()
        target = body.split('"original_message_id"')[1].split('"')[1]

        let_in(integration, text_from("+15550100101", "Oops", at=clock.now(), external_id=target))

        assert Message.objects.get(type="text").is_deleted


class TestStatuses:
    def test_never_moves_backwards_whatever_the_order(self, integration, deliver):
        message = sent_message(integration, deliver)
        now = clock.now().replace(microsecond=0)
        times = {"sent": now - timedelta(seconds=9), "delivered": now - timedelta(seconds=6), "read": now}

        for order in itertools.permutations(times):
            Event.objects.filter(type="message.status_changed").delete()
            Message.objects.filter(pk=message.pk).update(status="queued", sent_at=None, delivered_at=None, read_at=None)
            for status in order:
                let_in(integration, status_of(SENT, status, at=times[status]))
            message.refresh_from_db()

            assert message.status == "read"
            assert (message.sent_at, message.delivered_at, message.read_at) == tuple(times.values())

    def test_is_matched_by_our_id_before_the_vendors_is_known(self, integration, deliver):
        message = sent_message(integration, deliver)
        Message.objects.filter(pk=message.pk).update(external_id="", status="queued")

        let_in(integration, status_of(SENT, "delivered", at=clock.now(), callback=str(message.id)))

        message.refresh_from_db()
        assert (message.status, message.external_id) == ("delivered", SENT)

    def test_waits_for_the_echo_of_its_message(self, integration, deliver):
        body = webhook("smb_message_echoes__text").decode()
        echoed = body.split('"id":"wamid')[-1] if '"id":"wamid' in body else body.split('"id": "wamid')[-1]
        external_id = "wamid" + echoed.split('"')[0]

        let_in(integration, status_of(external_id, "read", at=clock.now()))
        deliver("smb_message_echoes__text")

        message = Message.objects.get()
        assert (message.is_echo, message.status) == (True, "read")

    def test_fails_with_the_remedy(self, integration, deliver):
        message = sent_message(integration, deliver)

        deliver("status_failed__window_closed")

        message.refresh_from_db()
        assert message.status == "failed"
        assert message.error["code"] == "provider_rejected"
        assert message.error["vendor_code"] == "131047"
        assert "template" in message.error["next_action"]

    def test_a_delivery_told_later_proves_a_failure_wrong(self, integration, deliver):
        message = sent_message(integration, deliver)
        deliver("status_failed__window_closed")

        let_in(integration, status_of(SENT, "delivered", at=clock.now()))

        message.refresh_from_db()
        assert (message.status, message.error) == ("delivered", None)

    def test_a_person_who_cannot_be_reached_is_written_to_no_more(self, integration, deliver):
        message = sent_message(integration, deliver)
        error = {"code": 131026, "title": "Message undeliverable"}

        let_in(integration, status_of(SENT, "failed", at=clock.now(), errors=[error]))

        message.contact.refresh_from_db()
        assert message.contact.blocked_reason == "recipient_unreachable"

    def test_a_payment_problem_opens_an_issue(self, integration, deliver):
        sent_message(integration, deliver)
        error = {"code": 131042, "title": "Payment issue"}

        let_in(integration, status_of(SENT, "failed", at=clock.now(), errors=[error]))

        integration.refresh_from_db()
        assert integration.health == "degraded"
        assert Issue.objects.get().cause == "permission_error"


class TestTheAccount:
    def test_ends_when_the_app_is_removed(self, integration, deliver):
        deliver("account_update__partner_removed")

        integration.refresh_from_db()
        assert integration.status == "disconnected"
        assert Issue.objects.get(resolved_at=None).cause == "account:partner"

    def test_comes_back(self, integration, deliver):
        deliver("account_update__offboarded")

        let_in(integration, webhook("account_update__reconnected", **{"1795430000": "1795430999"}))

        integration.refresh_from_db()
        assert integration.status == "active"
        assert not Issue.objects.filter(resolved_at=None).exists()

    def test_a_restriction_degrades_it_until_it_ends(self, integration, deliver):
        deliver("account_update__disable")
        integration.refresh_from_db()
        assert integration.health == "degraded"

        let_in(integration, webhook("account_update__reinstated", **{"1795430000": "1795430999"}))

        integration.refresh_from_db()
        assert integration.health == "healthy"
        assert Issue.objects.get().resolved_at is not None

    def test_news_that_was_overtaken_changes_nothing(self, integration, deliver):
        let_in(integration, webhook("account_update__reinstated", **{"1795430000": "1795430999"}))

        deliver("account_update__disable")

        integration.refresh_from_db()
        assert integration.health == "healthy"
        assert not Issue.objects.filter(resolved_at=None).exists()

    def test_limits_become_facts(self, integration, deliver):
        deliver("business_capability__tier")

        integration.refresh_from_db()
        assert integration.facts["tier"].startswith("TIER_")

    def test_a_credential_that_is_said_to_have_lapsed_is_checked_at_once(self, integration):
        Link.objects.update(next_check_at=clock.now() + timedelta(hours=1))

        let_in(integration, change("messages", errors=[{"code": 190, "title": "Access token has expired"}]))

        integration.refresh_from_db()
        assert integration.status == "active"
        assert Link.objects.get(pk=integration.pk).next_check_at <= clock.now()


class TestTemplates:
    def test_follow_their_review(self, deliver):
        deliver("template_status__approved")

        template = Template.objects.get()
        assert (template.name, template.language, template.status) == ("order_update", "pt_BR", "approved")
        assert template.category == "utility"

    def test_a_text_longer_than_its_column_keeps_back_nothing(self, deliver):
        raw = json.loads(webhook("template_status__approved"))
        raw["entry"][0]["changes"][0]["value"]["message_template_language"] = "x" * 400
        raw["entry"][0]["changes"][0]["value"]["event"] = "Y" * 400

        delivery = deliver(body=json.dumps(raw).encode())

        assert delivery.status == "processed"
        assert Template.objects.get().language == "x" * 15
