"""One callback of the platform's app carries facts of many organizations."""

from __future__ import annotations

import json

import pytest

from dispatch import inbox
from dispatch.models import OAuthApp, WebhookDelivery
from integrations.models import Event
from integrations.services import deliveries as service
from integrations.services.crew import work_deliveries
from integrations.services.quarantine import release as release_quarantine
from tenants.context import in_organization
from tests.integrations.ingress.conftest import connect, deliveries, text_message

pytestmark = pytest.mark.django_db

PLATFORM_SECRET = "secret-of-the-platform-app"
PATH = "/webhooks/whatsapp/"


@pytest.fixture(autouse=True)
def platform_app(db):
    """The platform's own Meta app."""
    inbox._APP_CACHE.clear()
    app = OAuthApp(provider="whatsapp", label="platform", client_id="731")
    inbox.seal_app_secrets(app, {"app_secret": PLATFORM_SECRET, "verify_token": "platform-verify"})
    app.save()
    yield app
    inbox._APP_CACHE.clear()


def both(first: dict, second: dict) -> dict:
    """Join two callbacks into one POST."""
    return {**first, "entry": [*first["entry"], *second["entry"]]}


def events_of(organization) -> list[str]:
    """External ids of an organization's events."""
    with in_organization(organization):
        return sorted(Event.objects.values_list("external_id", flat=True))


class TestPlatformUrl:
    """`/webhooks/<provider>/`."""

    def test_splits_one_post_over_the_organizations(self, connected, other_organization, post):
        connect(other_organization, number="1002", waba="2002")
        message = both(text_message(wamid="wamid.ours"), text_message(number="1002", waba="2002", wamid="wamid.theirs"))

        assert post(PATH, message, secret=PLATFORM_SECRET).status_code == 200
        work_deliveries()
        work_deliveries()

        assert events_of(connected.organization) == ["wamid.ours"]
        assert events_of(other_organization) == ["wamid.theirs"]

    def test_a_part_holds_nothing_of_the_other_organization(self, connected, other_organization, post):
        other = connect(other_organization, number="1002", waba="2002")
        secret_text = "only for globex"
        theirs = text_message(secret_text, number="1002", waba="2002", wamid="wamid.theirs")
        message = both(text_message(wamid="wamid.ours"), theirs)
        post(PATH, message, secret=PLATFORM_SECRET)
        work_deliveries()

        ours = WebhookDelivery.objects.get(link_id=connected.integration.id)
        theirs = WebhookDelivery.objects.get(link_id=other.integration.id)
        assert secret_text not in service.body_of(ours).decode()
        assert secret_text in service.body_of(theirs).decode()

    def test_destroys_the_whole_body_after_the_split(self, connected, post):
        post(PATH, text_message(), secret=PLATFORM_SECRET)
        work_deliveries()

        parent = WebhookDelivery.objects.get(part_of=None)
        part = WebhookDelivery.objects.exclude(part_of=None).get()
        assert parent.sealed_body is None
        assert part.part_of == parent.id
        assert len(bytes(part.part_digest)) == 32

    def test_trusts_the_platform_secret_only(self, connected, post):
        assert post(PATH, text_message(), secret=connected.secret).status_code == 401
        assert deliveries() == []

    def test_an_unknown_account_waits_and_arrives_when_it_connects(self, connected, other_organization, post):
        post(PATH, text_message(number="1003", waba="2003", wamid="wamid.early"), secret=PLATFORM_SECRET)
        work_deliveries()
        waiting = WebhookDelivery.objects.exclude(part_of=None).get()
        assert waiting.status == "quarantined"
        assert waiting.organization_schema is None

        connect(other_organization, number="1003", waba="2003")
        assert release_quarantine(provider="whatsapp") == 1
        work_deliveries()

        assert events_of(other_organization) == ["wamid.early"]
        assert events_of(connected.organization) == []

    def test_a_shared_account_reaches_every_number_of_its_organization(self, organization, post):
        first = connect(organization, number="1001", waba="2001")
        second = connect(organization, number="1009", waba="2001")
        change = {"field": "account_update", "value": {"event": "ACCOUNT_VIOLATION", "violation_info": {}}}
        entry = {"id": "2001", "time": 1790000000, "changes": [change]}
        body = {"object": "whatsapp_business_account", "entry": [entry]}

        post(PATH, body, secret=PLATFORM_SECRET)
        work_deliveries()
        work_deliveries()

        with in_organization(organization):
            links = set(Event.objects.values_list("integration_id", flat=True))
        assert links == {first.integration.id, second.integration.id}

    def test_the_challenge_is_answered_with_the_platform_token(self, client):
        query = {"hub.mode": "subscribe", "hub.challenge": "7", "hub.verify_token": "platform-verify"}

        assert client.get(PATH, query).content == b"7"
        assert client.get(PATH, {**query, "hub.verify_token": "x"}).status_code == 403

    def test_a_provider_without_a_shared_callback_has_no_platform_url(self, post):
        assert post("/webhooks/pix/", text_message(), secret=PLATFORM_SECRET).status_code == 404

    def test_garbage_becomes_a_dead_letter(self, post):
        post(PATH, b"[1, 2]", secret=PLATFORM_SECRET)
        work_deliveries()

        (delivery,) = deliveries()
        assert delivery.status == "dead"
        assert delivery.error_text
        assert json.loads(service.body_of(delivery)) == [1, 2]
