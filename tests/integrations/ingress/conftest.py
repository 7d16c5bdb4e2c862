"""A connected WhatsApp integration without a vendor: the ingress needs its routes and secrets only."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from core.secret import Secrets
from dispatch.models import WebhookDelivery
from integrations.contract import AccountKey
from integrations.models import Integration
from integrations.services import credentials, links
from tenants.context import in_organization

APP_SECRET = "app-secret-of-a-test"
VERIFY_TOKEN = "verify-token-of-a-test"


@dataclass
class Connected:
    """One integration and the path of its webhook."""

    organization: Any
    integration: Integration
    path: str
    secret: str


@pytest.fixture
def connected(organization: Any) -> Connected:
    """WhatsApp number 1001 of account 2001, in acme."""
    return connect(organization, number="1001", waba="2001")


def connect(organization: Any, *, number: str, waba: str, secret: str = APP_SECRET) -> Connected:
    """Store what a successful connect stores, with given accounts."""
    with in_organization(organization):
        integration = Integration.objects.create(
            provider="whatsapp", name="WhatsApp", environment="test", account_external_id=number,
            settings={"phone_number_id": number, "waba_id": waba},
        )  # fmt: skip
        secrets = Secrets({"access_token": "token", "app_secret": secret, "verify_token": VERIFY_TOKEN})
        credentials.store(integration, {name: value.reveal() for name, value in secrets.items()})
        keys = [AccountKey(value=f"phone_number:{number}"), AccountKey(value=f"waba:{waba}", shared=True)]
        links.claim_accounts(integration, keys)
        integration.webhook_url = links.make_webhook_route(integration, secrets)
        integration.save()
        links.mirror(integration)
    path = integration.webhook_url.removeprefix("https://registry.example")
    return Connected(organization, integration, path, secret)


def text_message(
    text: str = "Olá", *, number: str = "1001", waba: str = "2001", wamid: str = "wamid.A"
) -> dict[str, Any]:
    """Compose one callback with one text message."""
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550100001", "phone_number_id": number},
        "contacts": [{"profile": {"name": "Ana"}, "wa_id": "15550100100"}],
        "messages": [
            {"from": "15550100100", "id": wamid, "timestamp": "1790000000", "type": "text", "text": {"body": text}}
        ],
    }
    entry = {"id": waba, "changes": [{"field": "messages", "value": value}]}
    return {"object": "whatsapp_business_account", "entry": [entry]}


@pytest.fixture
def post(client: Client) -> Callable[..., Any]:
    """Post raw bytes or JSON, signed as the vendor signs unless told otherwise."""

    def send(path: str, body: Any, *, secret: str = APP_SECRET, signature: str | None = None) -> Any:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        by_vendor = signed(raw, secret)
        header = {"HTTP_X_HUB_SIGNATURE_256": by_vendor if signature is None else signature}
        if header["HTTP_X_HUB_SIGNATURE_256"] == "":
            header = {}
        return client.generic("POST", path, raw, content_type="application/json", **header)

    return send


def signed(raw: bytes, secret: str = APP_SECRET) -> str:
    """Sign a body as the vendor does."""
    return "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


def deliveries() -> list[WebhookDelivery]:
    """All stored deliveries, oldest first, seen from public."""
    return list(WebhookDelivery.objects.order_by("received_at", "id"))
