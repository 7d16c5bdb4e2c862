"""Messages that had to wait: released in order, under the rules of the channel as they are by then."""

from __future__ import annotations

from datetime import timedelta

import pytest

from channels_app.models import Contact, Message, Template
from channels_app.services import send_message
from channels_app.services.templates import sync_templates
from core import clock
from dispatch.models import Link, OutboxEntry, Vendor
from integrations.contract import AuthenticationFailed
from integrations.services import lifecycle, outbox_actions
from integrations.services.outbox import release_held, release_parked
from tests.channels_app.conftest import PHONE

MESSAGES = "/v26.0/100000000000001/messages"
TEMPLATES = "/v26.0/200000000000001/message_templates"


@pytest.fixture
def send(integration, actor):
    """Send a text to Joana, or to somebody else."""

    def run(text="Hi", *, to=PHONE, type="text", content=None):
        return send_message(integration=integration, to=to, type=type, content=content or {"body": text}, actor=actor)

    return run


@pytest.fixture
def window(written):
    """Joana wrote just now."""
    return written()


@pytest.fixture
def template(integration):
    """An approved template for marketing."""
    return Template.objects.create(
        integration=integration, name="spring_sale", language="pt_BR", category="marketing", status="approved"
    )


@pytest.fixture
def broken(integration):
    """The integration asks for a reconnect."""
    integration.mark_needs_reauth(cause="test", next_action="Reconnect.")
    integration.save()
    Link.objects.filter(pk=integration.pk).update(status="needs_reauth")
    return integration


@pytest.fixture
def park(send, written, work, broken):
    """Let a message wait for the reconnect; the person wrote some time before."""

    def run(*texts: str, ago: timedelta = timedelta(), **more):
        written(ago=ago)
        messages = [send(text, **more) for text in texts or ("Hi",)]
        work()
        return messages[0]

    return run


@pytest.fixture
def release(broken, work):
    """Reconnect the account and let what waited go on; returns the entry."""

    def run() -> OutboxEntry:
        broken.mark_connected()
        broken.save()
        Link.objects.filter(pk=broken.pk).update(status="active")
        release_parked(broken)
        work()
        return OutboxEntry.objects.filter(kind="message.send").first()

    return run


def bodies(vendor) -> list[str]:
    """The texts that reached the vendor."""
    return [call.json["text"]["body"] for call in vendor.calls if call.json]


SALE = {"name": "spring_sale", "language": "pt_BR", "components": []}


class TestReleased:
    def test_goes_out_in_its_order(self, park, release, vendor):
        first = park("0", "1", "2")
        assert vendor.calls == []
        vendor.answer("POST", MESSAGES, "send__ok", times=1)

        release()

        first.refresh_from_db()
        assert bodies(vendor)[0] == "0"
        assert first.status == "sent"

    def test_is_not_sent_into_a_window_that_closed_meanwhile(self, park, release, vendor, later):
        message = park(ago=timedelta(hours=23))
        later(timedelta(hours=2))

        entry = release()

        message.refresh_from_db()
        assert vendor.calls == []
        assert (message.status, entry.status, entry.intent_at) == ("failed", "failed", None)
        assert message.error["reason"] == "no_longer_allowed"
        assert "send an approved template" in message.error["next_action"]

    def test_is_sent_when_the_person_wrote_again_meanwhile(self, park, release, vendor, written, later):
        message = park(ago=timedelta(hours=23))
        later(timedelta(hours=2))
        written("Still there?")
        vendor.answer("POST", MESSAGES, "send__ok")

        release()

        message.refresh_from_db()
        assert message.status == "sent"

    @pytest.mark.usefixtures("template")
    def test_a_template_still_goes_when_the_window_closed(self, park, release, vendor, later):
        message = park(type="template", content=SALE, ago=timedelta(hours=23))
        later(timedelta(hours=2))
        vendor.answer("POST", MESSAGES, "send__ok")

        release()

        message.refresh_from_db()
        assert message.status == "sent"

    @pytest.mark.usefixtures("template")
    @pytest.mark.parametrize("change", [{"marketing_stopped": True}, {"blocked_reason": "recipient_unreachable"}])
    def test_is_not_sent_to_who_wants_or_takes_none_any_more(self, park, release, vendor, change):
        message = park(type="template", content=SALE)
        Contact.objects.update(**change)

        release()

        message.refresh_from_db()
        assert (vendor.calls, message.status, message.error["reason"]) == ([], "failed", "no_longer_allowed")

    def test_expires_with_its_remedy_when_nobody_reconnects(self, park, work, later):
        message = park()
        later(timedelta(days=3, seconds=1))
        OutboxEntry.objects.update(status="waiting", next_attempt_at=clock.now())

        work()

        message.refresh_from_db()
        assert (message.status, message.error["code"]) == ("expired", "integration_not_ready")
        assert message.error["next_action"]

    def test_held_by_an_incident_goes_out_when_it_ends(self, send, vendor, written, work):
        written()
        message = send()
        Vendor.objects.create(provider="whatsapp", incident="down", incident_class="Unavailable")
        work()
        assert vendor.calls == []
        vendor.answer("POST", MESSAGES, "send__ok")
        Vendor.objects.update(incident="", incident_class="")
        release_held("whatsapp")

        work()

        message.refresh_from_db()
        assert message.status == "sent"


class TestCanceled:
    def test_by_a_person_fails_and_says_so(self, park, actor, vendor):
        message = park()
        entry = OutboxEntry.objects.get(kind="message.send")

        outbox_actions.cancel(entry, actor=actor)

        message.refresh_from_db()
        assert (message.status, message.error["code"]) == ("failed", "integration_not_ready")
        assert "canceled" in message.error["message"]
        assert vendor.calls == []

    def test_by_a_disconnect_fails_files_that_were_not_fetched(self, integration, deliver, vendor, work, actor):
        deliver("message_image__caption")
        for method in ("GET", "POST", "DELETE"):
            vendor.answer(method, "*", "success")

        lifecycle.disconnect(integration, actor=actor)
        work()

        entry = OutboxEntry.objects.get(kind="media.download")
        assert (entry.status, entry.error_class) == ("canceled", "Canceled")
        assert entry.done_at is not None
        assert Message.objects.get().media_state == "failed"


class TestRefusedCredential:
    @pytest.mark.usefixtures("window")
    def test_that_a_check_finds_in_order_costs_one_more_try(self, send, vendor, work, later):
        vendor.play("ok")
        vendor.answer("POST", MESSAGES, "send__ok")
        vendor.answer("POST", MESSAGES, "error__190", times=1)
        message = send()

        work()
        later(timedelta(seconds=6))
        work()

        message.refresh_from_db()
        assert (message.status, message.integration.status) == ("sent", "active")

    @pytest.mark.parametrize(("scenario", "status"), [("ok", "active"), ("unauthorized", "needs_reauth")])
    def test_of_a_call_that_somebody_waits_for_is_checked_before_it_is_believed(
        self, integration, vendor, actor, scenario, status
    ):
        vendor.play(scenario)
        vendor.answer("GET", TEMPLATES, "error__190")

        with pytest.raises(AuthenticationFailed):
            sync_templates(integration, actor=actor)

        integration.refresh_from_db()
        assert integration.status == status
