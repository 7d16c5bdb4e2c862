"""A payment by card without a token, asked for by the API: it leads to our page, is canceled and ends there."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from billing.models import Payment
from billing.outbox import SETTLE_PAYMENT, Looked
from billing.services import card_pages
from dispatch.models import OutboxEntry
from integrations.services.crew import work_outbox
from tenants.context import in_organization
from tests.billing.pages.conftest import ACTOR, RETURN_URL

pytestmark = pytest.mark.django_db

PAYMENTS = "/api/v1/billing/payments/"


def asked(integration: Any, **changes: Any) -> dict[str, Any]:
    """Return the body of a payment by card without a token."""
    return {
        "integration": str(integration.pk),
        "amount_minor": 5880,
        "currency": "BRL",
        "method": "card",
        "payer": {"email": "comprador@example.com"},
        "return_url": RETURN_URL,
        **changes,
    }


class TestByApi:
    def test_leads_to_the_page_and_can_be_canceled(self, integration: Any, api: Any, client: Client) -> None:
        made = api().post(PAYMENTS, asked(integration))

        assert made.status_code == 201, made.content
        payment = made.json()
        url = payment["next_action"]["redirect"]["url"]
        assert (payment["status"], payment["next_action"]["kind"]) == ("requires_action", "redirect")
        assert client.get(urlsplit(url).path).status_code == 200
        canceled = api().post(f"{PAYMENTS}{payment['id']}/cancel/")
        assert (canceled.status_code, canceled.json()["status"]) == (200, "canceled")
        assert "no longer" not in client.get(urlsplit(url).path).content.decode()

    def test_without_a_way_back_a_token_is_needed(self, integration: Any, api: Any) -> None:
        refused = api().post(PAYMENTS, asked(integration, return_url="", payer={"email": "a@example.com"}))

        assert refused.status_code == 422

    def test_the_worker_knows_the_end_of_a_page(self, integration: Any, api: Any) -> None:
        payment = api().post(PAYMENTS, asked(integration)).json()
        OutboxEntry.objects.filter(kind="card_page.expire").update(next_attempt_at="2026-01-01T00:00:00Z")

        work_outbox()

        entry = OutboxEntry.objects.get(kind="card_page.expire", object_id=payment["id"])
        assert entry.status == "done"

    def test_a_declined_card_is_not_taken_for_a_lost_one(
        self, api: Any, organization: Any, integration: Any, give: Any, read: Any
    ) -> None:
        row = api().post(PAYMENTS, asked(integration)).json()
        with in_organization(organization):
            payment = Payment.objects.select_related("integration").get(pk=row["id"])
        give(payment, "FUND")
        with in_organization(organization):
            assert card_pages.claim(payment, installments=1, actor=ACTOR)
            entry = OutboxEntry.objects.filter(kind="payment.settle", object_id=row["id"]).first()
            found = SETTLE_PAYMENT.call(entry, payment.integration)
            assert isinstance(found, Looked)
            assert found.state is not None
            SETTLE_PAYMENT.settle(entry, payment.integration, found)

        assert (read(payment).status, read(payment).external_id) == ("processing", "")
