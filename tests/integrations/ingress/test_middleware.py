"""The short way of webhooks: what it keeps, what it leaves out, and who does not take it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from dispatch.models import WebhookDelivery
from integrations.ingress.middleware import WebhookMiddleware
from tenants.models import Domain
from tests.integrations.ingress.conftest import Connected, text_message


@pytest.mark.django_db
class TestShortWay:
    def test_leaves_out_what_a_vendor_has_no_use_for(self, connected: Connected, post: Callable[..., Any]) -> None:
        response = post(connected.path, text_message())

        assert response.status_code == 200
        assert not {"Content-Security-Policy", "X-Frame-Options", "Content-Language"} & set(response.headers)
        assert not response.cookies

    def test_keeps_the_request_id_and_names_the_length(self, connected: Connected, client: Client) -> None:
        response = client.post(connected.path, b"{}", content_type="text/plain", HTTP_X_REQUEST_ID="vendor-0001")

        assert response.status_code == 401
        assert response.headers["X-Request-Id"] == "vendor-0001"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Content-Length"] == str(len(response.content))

    def test_refuses_a_host_that_is_not_ours(self, connected: Connected, client: Client) -> None:
        response = client.post(connected.path, b"{}", content_type="application/json", HTTP_HOST="elsewhere.example")

        assert response.status_code == 400

    def test_stores_whatever_the_vendor_would_like_to_read(self, connected: Connected, client: Client) -> None:
        signed = connected_signature(connected, body := b'{"entry": []}')

        response = client.generic(
            "POST", connected.path, body, HTTP_X_HUB_SIGNATURE_256=signed, HTTP_ACCEPT="image/png"
        )

        assert response.status_code == 200
        assert WebhookDelivery.objects.count() == 1

    def test_turns_plain_http_away_where_https_is_demanded(
        self, connected: Connected, client: Client, settings: Any
    ) -> None:
        settings.SECURE_SSL_REDIRECT = True

        response = client.post(connected.path, b"{}", content_type="application/json")

        assert response.status_code == 301
        assert response.headers["Location"].startswith("https://")

    def test_is_not_for_an_organizations_own_host(self, connected: Connected, client: Client, settings: Any) -> None:
        Domain.objects.create(domain="acme.customers.example", tenant=connected.organization, is_primary=True)
        settings.ALLOWED_HOSTS = [".customers.example"]

        response = client.post(
            connected.path, b"{}", content_type="application/json", HTTP_HOST="acme.customers.example"
        )

        assert response.status_code != 401  # what stands behind answered

    def test_is_not_for_other_paths(self, rf: Any) -> None:
        behind: list[str] = []
        middleware = WebhookMiddleware(lambda request: behind.append(request.path) or None)  # type: ignore[func-returns-value,arg-type,return-value]

        for path in ("/webhooks/", "/webhooks/whatsapp", "/webhooks/whatsapp/a/b/", "/o/acme/webhooks/whatsapp/"):
            middleware(rf.post(path))

        assert len(behind) == 4


def connected_signature(connected: Connected, body: bytes) -> str:
    """Sign as Meta signs."""
    return "sha256=" + hmac.new(connected.secret.encode(), body, hashlib.sha256).hexdigest()
