"""The real SDK, pointed to the sandbox on loopback."""

from __future__ import annotations

from typing import Any

import stripe

from tests.sandbox.conftest import Sandbox

KEY = "sk_test_sandboxAuroraPadaria"
PLATFORM_KEY = "sk_test_sandboxPlatform"
MONTHLY, SINGLE = "price_1SandboxMonthly", "price_1SandboxSingle"
NO_REDIRECTS = {"enabled": True, "allow_redirects": "never"}
PIX = {"type": "pix", "billing_details": {"name": "Ana", "email": "ana@example.com"}}
CHARGE: dict[str, Any] = {"amount": 1990, "currency": "brl", "automatic_payment_methods": NO_REDIRECTS}

stripe.enable_telemetry = False


def client(sandbox: Sandbox, key: str = KEY, **more: Any) -> stripe.StripeClient:
    """Return a client as the product builds one."""
    base = f"{sandbox.url}/stripe"
    http = stripe.RequestsClient(timeout=5)
    return stripe.StripeClient(key, base_addresses={"api": base, "connect": base}, http_client=http, **more)
