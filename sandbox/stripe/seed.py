"""The deterministic first data: a business, a platform, a business that the platform may act for."""

from __future__ import annotations

from sandbox.store import Document
from sandbox.stripe.access import RIGHTS, Access
from sandbox.stripe.catalog import Catalog
from sandbox.stripe.charges import Charges
from sandbox.stripe.connect import Connect
from sandbox.stripe.state import Scope, State

SECRET_KEY = "sk_test_sandboxAuroraPadaria"  # noqa: S105 - an invented key of a stand-in
RESTRICTED_KEY = "rk_test_sandboxAuroraReadBalance"
PLATFORM_KEY = "sk_test_sandboxPlatform"
PLATFORM = "acct_1SandboxPlatform"
CLIENT_ID = "ca_test_sandboxPlatform"
CONNECTED = "acct_1SandboxBoreal"
MONTHLY_PRICE = "price_1SandboxMonthly"
SINGLE_PRICE = "price_1SandboxSingle"
ACCOUNT: Document = {
    "id": "acct_1SandboxAurora", "object": "account", "country": "BR", "default_currency": "brl",
    "charges_enabled": True, "payouts_enabled": True, "details_submitted": True, "type": "standard",
    "email": "financeiro@aurora.example.com", "business_type": "company",
    "settings": {"dashboard": {"display_name": "Padaria Aurora", "timezone": "America/Sao_Paulo"}},
}  # fmt: skip
BALANCE: Document = {
    "object": "balance", "livemode": False,
    "available": [{"amount": 152_340, "currency": "brl", "source_types": {"card": 152_340}}],
    "pending": [{"amount": 8_990, "currency": "brl", "source_types": {"card": 8_990}}],
}  # fmt: skip


def seed(state: State, *, access: Access, catalog: Catalog, charges: Charges, connect: Connect) -> None:
    """Write accounts, keys, prices and one payout."""
    connect.add_account(ACCOUNT["id"], ACCOUNT)
    access.add_key(SECRET_KEY, account=ACCOUNT["id"], rights=list(RIGHTS))
    access.add_key(RESTRICTED_KEY, account=ACCOUNT["id"], rights=["balance"])
    for key, name in ((PLATFORM, "Plataforma Sandbox"), (CONNECTED, "Livraria Boreal")):
        settings = {"dashboard": {"display_name": name, "timezone": "America/Sao_Paulo"}}
        connect.add_account(key, {"email": "contato@example.com", "settings": settings})
    access.add_key(PLATFORM_KEY, account=PLATFORM, rights=list(RIGHTS))
    state.collection("platform").put(PLATFORM, {"account": PLATFORM, "client_id": CLIENT_ID})
    access.connect(PLATFORM, CONNECTED, livemode=False)
    scope = Scope(account=ACCOUNT["id"], livemode=False)
    catalog.add_price(
        scope, key=MONTHLY_PRICE, name="Clube do pão", amount=4_990, currency="brl", recurring={"interval": "month"}
    )
    catalog.add_price(scope, key=SINGLE_PRICE, name="Cesta de Natal", amount=18_900, currency="brl", recurring=None)
    charges.seed_payout(scope, amount=52_340)
