"""PIX from connection to money, against the sandbox's bank: form, live check, ingress, worker, ladder."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from audit.services import Actor
from billing.models import Evidence, Payment, Rung
from dispatch.models import DeliveryStatus, OutboxEntry, WebhookDelivery
from integrations.contract import Misconfigured
from integrations.models import Issue
from integrations.services import connect, drift
from integrations.services.crew import work_deliveries, work_outbox
from tenants.context import in_organization
from tests.billing.providers.pix_bank import static_settings
from tests.sandbox.conftest import Receiver, Sandbox
from tests.sandbox.conftest import receiver as receiver  # noqa: PLC0414 - a fixture
from tests.sandbox.conftest import sandbox as sandbox  # noqa: PLC0414 - a fixture
from tests.sandbox.conftest import server as server  # noqa: PLC0414 - a fixture
from tests.sandbox.pix import Business

pytestmark = pytest.mark.django_db


@pytest.fixture
def business(sandbox: Sandbox, receiver: Receiver) -> Business:
    """A business whose bank posts to the receiver."""
    found = Business.number(sandbox, 0)
    found.listen(receiver.url)
    return found


def connected(organization: Any, business: Business, *, base_url: str = "", token_url: str = "") -> Any:
    """Connect the business's bank by the form, at the addresses that the sandbox names unless others are given."""
    account = business.account
    pair = business.sandbox.control("POST", f"/pix/clients/{account['id']}/certificate", {"days": 365})
    with in_organization(organization):
        return connect.connect(
            provider="pix",
            name="",
            environment="test",
            credentials={
                "client_id": account["id"], "client_secret": account["secret"],
                "certificate": pair["certificate"], "private_key": pair["private_key"],
            },
            settings={
                "mode": "bank", "pix_key": business.key, "key_type": "random", "merchant_name": account["name"],
                "merchant_city": account["city"], "base_url": base_url or account["base_url"],
                "token_url": token_url or account["token_url"],
            },
            actor=Actor.system("test"),
        )  # fmt: skip


@pytest.fixture
def integration(organization: Any, business: Business, settings: Any) -> Any:
    """The business's bank, connected to an organization; the operator allows its address."""
    settings.EGRESS_ALLOW = ["127.0.0.1:*"]
    return connected(organization, business)


@pytest.fixture
def deliver(integration: Any, receiver: Receiver, client: Client) -> Any:
    """Hand what the bank posts next to the ingress, and let the worker work; returns the ingress's status."""
    path = urlsplit(integration.webhook_url).path

    def hand_over() -> int:
        answer = client.generic("POST", f"{path}?ignorar=/pix", receiver.next()[2], content_type="application/json")
        work_deliveries()
        return answer.status_code

    return hand_over


class TestFromConnectionToMoney:
    def test_a_connection_claims_no_key_and_knows_when_its_certificate_ends(
        self, organization: Any, integration: Any, business: Business
    ) -> None:
        assert (integration.account_external_id, integration.account_keys) == (business.key, [])
        assert {"takes_payments", "refunds_payments", "makes_static_codes"} <= set(integration.capabilities)
        with in_organization(organization):
            assert integration.current_credential.expires_at is not None

    def test_an_address_that_the_operator_did_not_allow_is_not_reached(
        self, organization: Any, business: Business, settings: Any
    ) -> None:
        settings.EGRESS_ALLOW = []

        with pytest.raises(Misconfigured):
            connected(organization, business)

    @pytest.mark.parametrize(
        ("base_url", "token_url"),
        [
            ("https://pix.bank.example/api/v2", "https://login.bank.example/oauth/token"),
            ("https://api.bank.example/pix/v2", "https://api.bank.example/auth/realms/bank/token"),
            ("", ""),
        ],
    )
    def test_the_sandbox_takes_the_place_of_any_bank(
        self, organization: Any, business: Business, settings: Any, base_url: str, token_url: str
    ) -> None:
        settings.EGRESS_ALLOW = []
        settings.SANDBOX, settings.SANDBOX_URL = True, business.sandbox.url

        made = connected(organization, business, base_url=base_url, token_url=token_url)

        assert made.settings["base_url"] == (base_url or business.account["base_url"])
        assert "takes_payments" in made.capabilities

    def test_a_paid_charge_is_believed_once_however_often_it_is_told(
        self, organization: Any, integration: Any, business: Business, deliver: Any
    ) -> None:
        txid = business.charge()["txid"]
        business.pay(txid, repeat=3)

        assert [deliver() for _ in range(3)] == [200] * 3
        with in_organization(organization):
            (payment,) = Payment.objects.all()
            assert (payment.external_id, payment.status, payment.amount_minor) == (txid, "succeeded", 5880)
            assert Evidence.objects.filter(moved_to="succeeded").count() == 1

    def test_the_evidence_does_not_speak_of_a_signature_that_nobody_made(
        self, organization: Any, integration: Any, business: Business, deliver: Any
    ) -> None:
        business.pay(business.charge()["txid"])

        deliver()

        with in_organization(organization):
            evidence = Evidence.objects.get(moved_to="succeeded")
            (step,) = [step for step in evidence.rungs if step["rung"] == Rung.SIGNATURE]
            assert step["detail"] == "the vendor's own answer, over its certificate"

    def test_a_forgery_moves_nothing(
        self, organization: Any, integration: Any, business: Business, deliver: Any
    ) -> None:
        txid = business.charge()["txid"]
        forged = {"to": business.key, "pix": [{"txid": txid, "valor": "58.80"}]}
        business.sandbox.control("POST", "/pix/callbacks/forged", forged)

        assert deliver() == 200
        assert WebhookDelivery.objects.get().status == DeliveryStatus.DEAD
        with in_organization(organization):
            assert not Payment.objects.exists()


class TestStatic:
    def test_is_connected_without_a_credential_and_as_often_as_wanted(self, organization: Any) -> None:
        """Nobody proves a typed key, so nobody is kept out by one."""
        with in_organization(organization):
            made = [
                connect.connect(
                    provider="pix", name="", environment="live", credentials={}, settings=static_settings(),
                    actor=Actor.system("test"),
                )
                for _ in range(2)
            ]  # fmt: skip

        assert [(row.account_external_id, row.account_keys) for row in made] == [("", []), ("", [])]
        assert made[0].capabilities == ["makes_static_codes"]
        assert made[0].account_label == "PIX c***@loja-teste.example.com"

    def test_nobody_posts_to_it_and_nothing_is_said_to_be_broken(self, organization: Any) -> None:
        with in_organization(organization):
            made = connect.connect(
                provider="pix", name="", environment="live", credentials={}, settings=static_settings(),
                actor=Actor.system("test"),
            )  # fmt: skip

        work_outbox()

        with in_organization(organization):
            assert OutboxEntry.objects.get(kind="webhook.register").status == "done"
            assert drift.inspect(made).found is drift.Found.NOT_ASKED
            assert not Issue.objects.exists()
