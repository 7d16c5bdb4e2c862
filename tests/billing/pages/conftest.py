"""A seller of the stand-in, connected with a public key, and payments that wait on our page for a card."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.http import HttpResponse
from django.test import Client

from audit.services import Actor
from billing.models import Payment
from billing.services import card_pages
from billing.services.payments import vendor_request
from core.ids import new_id
from integrations.services import connect
from tenants.context import in_organization
from tests.sandbox.conftest import free_port
from tests.sandbox.conftest import sandbox as sandbox  # noqa: PLC0414 - a fixture
from tests.sandbox.conftest import server as server  # noqa: PLC0414 - a fixture
from tests.sandbox.mercadopago import CPF, Shop
from tests.sandbox.mercadopago import shop as shop  # noqa: PLC0414 - a fixture

ACTOR = Actor.system("test")
RETURN_URL = "https://shop.example.com/thanks?order=7"


@pytest.fixture
def integration(organization: Any, shop: Shop, settings: Any) -> Any:
    """The seller's account, connected by the form."""
    settings.PUBLIC_URL = f"http://127.0.0.1:{free_port()}"
    settings.PROVIDER_OVERRIDES = {"mercadopago": {"": shop.url}}
    token = shop.token()
    with in_organization(organization):
        return connect.connect(
            provider="mercadopago",
            name="",
            environment="test",
            credentials={"access_token": token["token"], "public_key": token["public_key"]},
            settings={"country": "BR"},
            actor=ACTOR,
        )


@pytest.fixture
def waiting(organization: Any, integration: Any) -> Callable[..., Payment]:
    """Ask for 58.80 by card without a token: a payment that waits on our page."""

    def ask(**changes: Any) -> Payment:
        facts = {
            "amount_minor": 5880,
            "currency": "BRL",
            "method": "card",
            "description": "Bolo de fubá",
            "payer": {"email": "comprador@example.com"},
            "return_url": RETURN_URL,
        }
        with in_organization(organization):
            row = Payment(id=new_id(), integration=integration, **{**facts, **changes})
            return card_pages.begin(row, vendor_request(row), actor=ACTOR)

    return ask


@pytest.fixture
def give(client: Client, shop: Shop) -> Callable[..., HttpResponse]:
    """Give a card to the page of a payment, as its script does; the holder's name decides."""

    def post(payment: Payment, name: str = "APRO", **changes: Any) -> Any:
        body = {
            "token": changes.pop("token", None) or shop.card_token(name),
            "payment_method_id": "visa",
            "issuer_id": "",
            "installments": 1,
            "tax_id": CPF,
            **changes,
        }
        return client.post(path_of(payment), json.dumps(body), content_type="application/json")

    return post


@pytest.fixture
def read(organization: Any) -> Callable[[Payment], Payment]:
    """Read a payment again."""

    def again(payment: Payment) -> Payment:
        with in_organization(organization):
            return Payment.objects.select_related("integration").get(pk=payment.pk)

    return again


def path_of(payment: Payment) -> str:
    """Return the path of a payment's page."""
    return urlsplit(payment.next_action["redirect"]["url"]).path
