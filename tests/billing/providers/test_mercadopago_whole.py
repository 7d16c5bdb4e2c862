"""MercadoPago from connection to money, against its stand-in: form, live check, ingress, worker, ladder."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from audit.services import Actor
from billing.contract import PaymentRequest
from billing.models import Evidence, Payment
from dispatch.models import DeliveryStatus, WebhookDelivery
from integrations.services import connect
from integrations.services.crew import work_deliveries
from tenants.context import in_organization
from tests.billing.providers.test_mercadopago_sandbox import asked, provider_of
from tests.sandbox.conftest import Receiver, Sandbox
from tests.sandbox.conftest import receiver as receiver  # noqa: PLC0414 - a fixture
from tests.sandbox.conftest import sandbox as sandbox  # noqa: PLC0414 - a fixture
from tests.sandbox.conftest import server as server  # noqa: PLC0414 - a fixture
from tests.sandbox.mercadopago import Shop, shop_of
from tests.sandbox.mercadopago import notified as notified  # noqa: PLC0414 - a fixture
from tests.sandbox.mercadopago import shop as shop  # noqa: PLC0414 - a fixture

pytestmark = pytest.mark.django_db


@pytest.fixture
def integration(organization: Any, notified: Shop, settings: Any) -> Any:
    """The seller, connected by the form to an organization."""
    settings.PROVIDER_OVERRIDES = {"mercadopago": {"": notified.url}}
    with in_organization(organization):
        return connect.connect(
            provider="mercadopago",
            name="",
            environment="test",
            credentials={
                "access_token": notified.token()["token"],
                "webhook_secret": notified.app["webhook"]["secret"],
            },
            settings={"country": "BR"},
            actor=Actor.system("test"),
        )


@pytest.fixture
def deliver(integration: Any, receiver: Receiver, client: Client) -> Any:
    """Hand what the vendor posts next to the ingress, and let the worker work; returns the ingress's status."""
    path = urlsplit(integration.webhook_url).path

    def hand_over() -> int:
        arrived, headers, body = receiver.next()
        kept = {name: value for name, value in headers.items() if name in ("x-signature", "x-request-id")}
        answer = client.generic(
            "POST", f"{path}?{urlsplit(arrived).query}", body, content_type="application/json", headers=kept
        )
        work_deliveries()
        return answer.status_code

    return hand_over


def made(shop: Shop, **changes: Any) -> str:
    """Make a PIX that is known at the vendor alone; return its id."""
    request: PaymentRequest = asked(**changes)
    return provider_of(shop).create_payment(request).external_id


class TestFromConnectionToMoney:
    def test_the_account_is_proved_and_its_seller_id_found(self, integration: Any, notified: Shop) -> None:
        assert integration.account_external_id == str(notified.seller_id)
        assert integration.settings == {"country": "BR", "collector_id": str(notified.seller_id)}
        assert {"takes_payments", "takes_pix"} <= set(integration.capabilities)

    def test_a_paid_pix_is_believed_once_however_often_it_is_told(
        self, organization: Any, integration: Any, notified: Shop, deliver: Any
    ) -> None:
        external_id = made(notified)
        notified.act({"id": external_id}, "pay")
        notified.control("POST", "/deliveries", {"mode": "duplicate", "payment_id": external_id, "count": 2})

        statuses = [deliver() for _ in range(4)]

        assert statuses == [200] * 4
        with in_organization(organization):
            (payment,) = Payment.objects.all()
            assert (payment.external_id, payment.status, payment.amount_minor) == (external_id, "succeeded", 5880)
            assert Evidence.objects.filter(moved_to="succeeded").count() == 1

    def test_a_swapped_body_a_forgery_and_a_foreign_payment_move_nothing(
        self, organization: Any, integration: Any, notified: Shop, sandbox: Sandbox, deliver: Any
    ) -> None:
        external_id = made(notified)
        assert deliver() == 200
        foreign = {"seller_id": shop_of(sandbox, "MLA").seller_id, "amount": 1, "payment_method_id": "visa"}
        other = notified.control("POST", "/payments", foreign)["id"]

        def play(mode: str) -> int:
            named = {"other_payment_id": other} if mode != "forged" else {}
            notified.control("POST", "/deliveries", {"mode": mode, "payment_id": external_id, **named})
            status: int = deliver()
            return status

        assert [play("swapped_body"), play("forged"), play("foreign")] == [401, 401, 200]
        dead = WebhookDelivery.objects.get(status=DeliveryStatus.DEAD)
        assert dead.error_class == "NotFound"
        with in_organization(organization):
            assert [payment.status for payment in Payment.objects.all()] == ["requires_action"]

    def test_the_simulator_leaves_no_trace_but_an_event(
        self, organization: Any, integration: Any, notified: Shop, deliver: Any
    ) -> None:
        external_id = made(notified)
        deliver()
        notified.control("POST", "/deliveries", {"mode": "simulator", "payment_id": external_id})

        assert deliver() == 200
        assert not WebhookDelivery.objects.filter(status=DeliveryStatus.DEAD).exists()
        with in_organization(organization):
            assert Payment.objects.count() == 1

    def test_a_seller_who_leaves_ends_the_integration(
        self, organization: Any, integration: Any, notified: Shop, deliver: Any
    ) -> None:
        notified.control("POST", f"/apps/{notified.app['id']}/deauthorize", {"seller_id": notified.seller_id})

        assert deliver() == 200
        with in_organization(organization):
            integration.refresh_from_db()
        assert integration.status != "active"

    def test_nothing_that_is_kept_shows_the_token(
        self, organization: Any, integration: Any, notified: Shop, deliver: Any
    ) -> None:
        made(notified)
        deliver()

        with in_organization(organization):
            kept = json.dumps([payment.vendor_payload for payment in Payment.objects.all()])
        assert notified.token()["token"] not in kept
