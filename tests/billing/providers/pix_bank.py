"""An organization's Pix key at a bank that answers from fixtures: what the tests of PIX share."""

from __future__ import annotations

from typing import Any

from billing.contract import Method, Payer, PaymentRequest, RefundRequest
from billing.providers.pix import PixProvider
from tests.wire import Fixtures, Wire

KEY = "caixa@loja-teste.example.com"
REFERENCE = "00000000-1701-0000-1701-000000001701"
TXID = REFERENCE.replace("-", "")
E2E = "E17017017202611231201Test0000017"
SECOND = "E17017017202611231203Test0000018"
OURS = "https://hooks.example.com/webhooks/pix/test-address/"
API = "/api/v2"
HOOK = f"{API}/webhook/caixa%40loja-teste.example.com"
COB = f"{API}/cob/{TXID}"
RETURN = f"{API}/pix/{E2E}/devolucao/00000000170200001702000000001702"


def bank_wire() -> Wire:
    """Return the bank's side, which gives a token and fails unplanned calls."""
    wire = Wire(provider=PixProvider)
    wire.answer("POST", "/oauth/token", "token__ok")
    return wire


def provider_of(wire: Wire, **changed: Any) -> PixProvider:
    """Return an integration of mode bank, changed as asked."""
    provider: PixProvider = wire.connect(**{"webhook_url": OURS, **changed})
    return provider


def static_provider(wire: Wire) -> PixProvider:
    """Return an integration of mode static: without a credential, without an address."""
    return provider_of(wire, settings=static_settings(), secrets={})


def static_settings() -> dict[str, Any]:
    """Return the settings of mode static."""
    settings = Fixtures.of(PixProvider).conformance["connection"]["settings"]
    return {name: value for name, value in settings.items() if not name.endswith("_url")} | {"mode": "static"}


def payment_request(**changed: Any) -> PaymentRequest:
    """Return a request that any bank takes, changed as asked."""
    usual: dict[str, Any] = {
        "reference": REFERENCE, "idempotency_key": "test-1701", "amount_minor": 5880, "currency": "BRL",
        "method": Method.PIX, "description": "Pedido 1701",
        "payer": Payer(name="Pagadora de Teste", tax_id="111.444.777-35", email="payer@example.com"),
    }  # fmt: skip
    return PaymentRequest(**{**usual, **changed})


def refund_request(**changed: Any) -> RefundRequest:
    """Return a refund of a part, changed as asked."""
    usual: dict[str, Any] = {
        "reference": "00000000-1702-0000-1702-000000001702", "idempotency_key": "test-1702", "payment": TXID,
        "amount_minor": 1880, "currency": "BRL", "is_full": False, "end_to_end_id": E2E,
    }  # fmt: skip
    return RefundRequest(**{**usual, **changed})
