"""Shops at the three vendors: our real parts on one side, the sandbox on loopback on the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.billing.whole.shops import Shop, connected
from tests.sandbox.conftest import Receiver, Sandbox
from tests.sandbox.conftest import receiver as receiver  # noqa: PLC0414 - a fixture
from tests.sandbox.conftest import sandbox as sandbox  # noqa: PLC0414 - a fixture
from tests.sandbox.conftest import server as server  # noqa: PLC0414 - a fixture
from tests.sandbox.mercadopago import shop_of

Opens = Callable[..., Shop]


@pytest.fixture
def open_shop(sandbox: Sandbox, receiver: Receiver, organization: Any, settings: Any) -> Opens:
    """
    Connect a shop: ``open_shop("stripe")``, of another organization by ``of=``, of another account by ``number=``.

    The vendor posts to the receiver, at the path of our webhook URL.
    """
    address = urlsplit(receiver.url)
    settings.PUBLIC_URL = f"{address.scheme}://{address.netloc}"
    settings.EGRESS_ALLOW = ["127.0.0.1:*"]
    settings.PROVIDER_OVERRIDES = {key: {"": f"{sandbox.url}/{key}"} for key in ("stripe", "mercadopago")}

    def run(provider: str, *, of: Any = None, number: int = 0) -> Shop:
        shop = Shop(
            provider=provider, sandbox=sandbox, receiver=receiver, organization=of or organization, account={}
        )  # fmt: skip
        return OPENINGS[provider](shop, number)

    return run


@pytest.fixture(params=["stripe", "mercadopago", "pix"])
def any_shop(request: Any, open_shop: Opens) -> Shop:
    """A shop at each of the three vendors."""
    return open_shop(request.param)


@pytest.fixture
def stripe(open_shop: Opens) -> Shop:
    """A shop at Stripe."""
    return open_shop("stripe")


@pytest.fixture
def mercadopago(open_shop: Opens) -> Shop:
    """A Brazilian shop at MercadoPago."""
    return open_shop("mercadopago")


@pytest.fixture
def pix(open_shop: Opens) -> Shop:
    """A shop with a bank's Pix API."""
    return open_shop("pix")


def at_stripe(shop: Shop, number: int) -> Shop:
    """Connect a Stripe account by its secret key; our endpoint is registered by API."""
    if number:
        shop.account = shop.control("POST", "/accounts", {"name": f"Loja {number}"})
    else:
        shop.account = shop.control("GET", "/accounts")["accounts"][0]
    return connected(shop, credentials={"secret_key": shop.account["keys"][0]["key"]}, settings={})


def at_mercadopago(shop: Shop, number: int) -> Shop:
    """Connect a seller by his access token; the application's own webhook is set by him."""
    if number:
        made = {"site_id": "MLB", "name": f"Loja {number}", "pix_key": f"loja{number}@example.com"}
        shop.account = shop.control("POST", "/accounts", made)
    else:
        shop.account = shop_of(shop.sandbox, "MLB", pix=True).account
    token = next(token["token"] for token in shop.account["tokens"] if token["live_mode"])
    secret = shop.account["app"]["webhook"]["secret"]
    connected(shop, credentials={"access_token": token, "webhook_secret": secret}, settings={"country": "BR"})
    shop.control("POST", f"/apps/{shop.account['app']['id']}", {"webhook": {"url": shop.integration.webhook_url}})
    return shop


def at_a_bank(shop: Shop, number: int) -> Shop:
    """Connect a business's bank; the webhook of its key is registered by API."""
    shop.account = account = shop.control("GET", "/accounts")["accounts"][number]
    pair = shop.control("POST", f"/clients/{account['id']}/certificate", {"days": 365})
    return connected(
        shop,
        credentials={
            "client_id": account["id"], "client_secret": account["secret"], "certificate": pair["certificate"],
            "private_key": pair["private_key"],
        },
        settings={
            "mode": "bank", "pix_key": account["keys"][0], "key_type": "random", "merchant_name": account["name"],
            "merchant_city": account["city"], "base_url": account["base_url"], "token_url": account["token_url"],
        },
    )  # fmt: skip


OPENINGS: dict[str, Callable[[Shop, int], Shop]] = {
    "stripe": at_stripe,
    "mercadopago": at_mercadopago,
    "pix": at_a_bank,
}
