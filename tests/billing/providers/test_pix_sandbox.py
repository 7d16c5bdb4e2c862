"""PIX against the bank of the sandbox, over TLS with the integration's certificate: it knows nothing of our code."""

# ruff: noqa: F811  the sandbox's fixtures are imported, and asked for by their names

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from billing import brcode
from billing.contract import ObjectKind, Payer, PaymentState, PaymentStatus, RefundState, RefundStatus
from billing.providers._pix_spec import SPEC
from billing.providers.pix import PixProvider
from core.ids import new_id
from core.secret import Secrets
from integrations.contract import (
    AuthenticationFailed,
    InboundEvent,
    IntegrationContext,
    NotFound,
    ProviderOutage,
    RequestRejected,
)
from integrations.outbound.guard import Guard
from tests.billing.providers.pix_bank import payment_request, refund_request
from tests.sandbox.conftest import Receiver, Sandbox, eventually, receiver, sandbox, server  # noqa: F401
from tests.sandbox.pix import Business
from tests.signatures import arrived
from transport.engine import Transport

SINCE = datetime.now(UTC) - timedelta(hours=1)


@dataclass
class Shop:
    """A business of the sandbox's bank, connected by our provider."""

    business: Business
    bank: PixProvider
    webhook_url: str

    def told(self, receiver: Receiver) -> list[InboundEvent]:
        path, _, body = receiver.next()
        assert urlsplit(path).path == urlsplit(self.webhook_url).path
        assert parse_qs(urlsplit(path).query) == {"ignorar": ["/pix"]}
        return list(PixProvider.parse(arrived(body)))


@pytest.fixture
def shop(sandbox: Sandbox, receiver: Receiver, tmp_path: Path) -> Shop:
    return connected(sandbox, receiver, tmp_path)


def connected(sandbox: Sandbox, receiver: Receiver, folder: Path, *, shown: str = "") -> Shop:
    business = Business.number(sandbox, 0).over_tls(folder, shown=shown)
    assert business.certificate is not None
    certificate, private_key = (Path(name).read_text() for name in business.certificate)
    settings = {
        "mode": "bank", "pix_key": business.key, "key_type": "random", "merchant_name": "Loja de Teste",
        "merchant_city": "Recife", "base_url": f"{business.url}/api/v2", "token_url": f"{business.url}/oauth/token",
    }  # fmt: skip
    secrets = Secrets(
        {
            "client_id": business.account["id"], "client_secret": business.account["secret"],
            "certificate": certificate, "private_key": private_key,
        }
    )  # fmt: skip
    guard = Guard(
        spec=SPEC, read_error=PixProvider.read_error, report=lambda report: None, owner="integration-a",
        settings=settings, secrets=secrets, egress_allow=["localhost:*"],
        transport=Transport(ca_file=str(business.authority)),
    )  # fmt: skip
    context = IntegrationContext(
        id="integration-a", provider="pix", environment="test", settings=settings, secrets=secrets,
        webhook_url=receiver.url,
    )  # fmt: skip
    return Shop(business, PixProvider(context, guard), receiver.url)


class TestBank:
    def test_is_connected_and_registered(self, shop: Shop) -> None:
        before = shop.bank.inspect_webhook()
        shop.bank.register_webhook(shop.webhook_url)
        result, after = shop.bank.check(), shop.bank.inspect_webhook()
        shop.bank.unregister_webhook()

        assert (before.registered, after.registered, shop.bank.inspect_webhook().registered) == (False, True, False)
        assert all(verdict.ok for verdict in result.verdicts)
        assert result.account.external_id == shop.business.key
        assert result.expires_at is not None

    def test_refuses_the_certificate_of_another_client(
        self, sandbox: Sandbox, receiver: Receiver, tmp_path: Path
    ) -> None:
        other = Business.number(sandbox, 1).account["id"]

        with pytest.raises(AuthenticationFailed):
            connected(sandbox, receiver, tmp_path, shown=other).bank.check()

    def test_is_down_and_says_so(self, shop: Shop, sandbox: Sandbox) -> None:
        fault = {"vendor": "pix", "operation": "POST /oauth/token", "kind": "500", "status": 503, "times": 1}
        sandbox.control("POST", "/faults", fault)

        with pytest.raises(ProviderOutage):
            shop.bank.check()


class TestCharge:
    def test_is_paid_told_asked_for_and_given_back(
        self, shop: Shop, receiver: Receiver, eventually: Callable[[Callable[[], object]], object]
    ) -> None:
        shop.bank.register_webhook(shop.webhook_url)
        request = payment_request(reference=str(new_id()), payer=Payer(name="Empresa", tax_id="12ABC34501DE35"))
        made = shop.bank.create_payment(request)
        assert made.next_action is not None
        assert brcode.parse(made.next_action.details["qr_code"]).is_dynamic

        shop.business.pay(made.external_id)
        (event,) = shop.told(receiver)
        (paid,) = PixProvider.read_states(shop.bank.fetch(event))

        assert isinstance(paid, PaymentState)
        assert (paid.status, paid.amount_received_minor) == (PaymentStatus.SUCCEEDED, 5880)
        assert (paid.reference, paid.account) == (request.reference, shop.business.key)
        assert event.key in [missed.key for missed in shop.bank.list_since(SINCE)]
        refund = refund_request(reference=str(new_id()), payment=made.external_id, end_to_end_id=paid.end_to_end_id)
        first, second = shop.bank.refund_payment(refund), shop.bank.refund_payment(refund)
        assert (first.external_id, first.reference) == (second.external_id, refund.reference)
        eventually(lambda: shop.bank.fetch_payment(made.external_id).amount_refunded_minor == 1880)
        listed = list(shop.bank.list_payments(since=SINCE, until=datetime.now(UTC) + timedelta(minutes=1)))
        assert [state.external_id for state in listed] == [made.external_id]

    def test_a_forged_call_changes_nothing(self, shop: Shop, receiver: Receiver) -> None:
        shop.bank.register_webhook(shop.webhook_url)
        made = shop.bank.create_payment(payment_request(reference=str(new_id())))

        forged = [{"txid": made.external_id, "valor": "58.80"}]
        shop.business.sandbox.control("POST", "/pix/callbacks/forged", {"to": shop.business.key, "pix": forged})
        (event,) = shop.told(receiver)

        with pytest.raises(NotFound):
            shop.bank.fetch(event)
        assert shop.bank.fetch_payment(made.external_id).status is PaymentStatus.REQUIRES_ACTION

    def test_two_payments_in_one_call_repeated_and_in_disorder_count_once(self, shop: Shop, receiver: Receiver) -> None:
        shop.bank.register_webhook(shop.webhook_url)
        made = shop.bank.create_payment(payment_request(reference=str(new_id())))
        shop.business.pay(made.external_id, times=2, repeat=2)

        deliveries = [shop.told(receiver), shop.told(receiver)]
        states = [state for event in deliveries[0][::-1] for state in PixProvider.read_states(shop.bank.fetch(event))]

        assert [event.key for event in deliveries[0]] == [event.key for event in deliveries[1]]
        assert [state.amount_received_minor for state in states if isinstance(state, PaymentState)] == [11760, 11760]

    def test_is_made_once_for_a_reference(self, shop: Shop) -> None:
        request = payment_request(reference=str(new_id()))

        first = shop.bank.create_payment(request)
        again = shop.bank.create_payment(request)
        found = shop.bank.find_payment(request, since=SINCE)

        assert found is not None
        assert first.external_id == again.external_id == found.external_id
        assert len(list(shop.bank.list_payments(since=SINCE, until=datetime.now(UTC) + timedelta(minutes=1)))) == 1

    def test_of_the_same_reference_with_another_amount_is_refused(self, shop: Shop) -> None:
        request = payment_request(reference=str(new_id()))
        shop.bank.create_payment(request)

        with pytest.raises(RequestRejected):
            shop.bank.create_payment(payment_request(reference=request.reference, amount_minor=1))

    def test_is_removed_while_nobody_paid(self, shop: Shop) -> None:
        open_, paid = (shop.bank.create_payment(payment_request(reference=str(new_id()))) for _ in range(2))
        shop.business.pay(paid.external_id, notify=False)

        assert shop.bank.cancel_payment(open_.external_id, idempotency_key="test").status is PaymentStatus.CANCELED
        assert shop.bank.cancel_payment(open_.external_id, idempotency_key="test").status is PaymentStatus.CANCELED
        with pytest.raises(RequestRejected) as caught:
            shop.bank.cancel_payment(paid.external_id, idempotency_key="test")
        assert caught.value.reason == "already_paid"

    def test_paid_with_another_amount_shows_what_came(self, shop: Shop) -> None:
        made = shop.bank.create_payment(payment_request(reference=str(new_id())))

        shop.business.pay(made.external_id, valor="5.88", notify=False)

        state = shop.bank.fetch_payment(made.external_id)
        assert (state.amount_minor, state.amount_received_minor) == (5880, 588)

    def test_refund_beyond_the_rest_is_refused(self, shop: Shop) -> None:
        made = shop.bank.create_payment(payment_request(reference=str(new_id())))
        shop.business.pay(made.external_id, notify=False)

        with pytest.raises(RequestRejected) as caught:
            shop.bank.refund_payment(refund_request(payment=made.external_id, amount_minor=5881, end_to_end_id=""))

        assert caught.value.reason == "refund_refused"

    def test_a_failed_refund_is_told(self, shop: Shop, eventually: Callable[[Callable[[], object]], object]) -> None:
        shop.business.sandbox.control("POST", "/pix/settings", {"refund_fails": True})
        made = shop.bank.create_payment(payment_request(reference=str(new_id())))
        shop.business.pay(made.external_id, notify=False)
        refund = shop.bank.refund_payment(refund_request(payment=made.external_id, end_to_end_id=""))

        def failed() -> bool:
            state = shop.bank.fetch_object(ObjectKind.REFUND, refund.external_id)
            return isinstance(state, RefundState) and state.status is RefundStatus.FAILED

        eventually(failed)
