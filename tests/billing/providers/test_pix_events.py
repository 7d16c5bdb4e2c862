"""Webhooks that nobody signs, where they are registered, and the lists that repair them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from billing.contract import (
    Payer,
    PaymentState,
    PaymentStatus,
    RefundState,
    RefundStatus,
)
from billing.providers.pix import PixProvider
from core import clock
from integrations.contract import (
    InboundEvent,
    NotFound,
    RequestRejected,
    UnexpectedResponse,
)
from tests.billing.providers.pix_bank import (
    API,
    COB,
    E2E,
    HOOK,
    KEY,
    OURS,
    TXID,
    bank_wire,
    payment_request,
    provider_of,
)
from tests.signatures import arrived
from tests.wire import Fixtures, Wire

SINCE = datetime(2026, 11, 22, tzinfo=UTC)
UNTIL = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def fixtures() -> Fixtures:
    return Fixtures.of(PixProvider)


@pytest.fixture
def wire() -> Wire:
    return bank_wire()


@pytest.fixture
def bank(wire: Wire) -> PixProvider:
    return provider_of(wire)


class TestWebhooks:
    def event(self, fixtures: Fixtures, name: str = "payment_received__one") -> InboundEvent:
        return PixProvider.parse(arrived(fixtures.body(f"webhooks/{name}.json")))[0]

    def test_anything_may_arrive_and_nothing_of_it_is_believed(self, fixtures: Fixtures) -> None:
        request = arrived(fixtures.body("webhooks/payment_received__one.json"))

        PixProvider.verify(request, [])

        (event,) = PixProvider.parse(request)
        assert (event.thin, event.data["object"], event.data["is_fetched"]) == (True, {}, False)
        assert PixProvider.read_states(event) == ()

    def test_are_filled_by_the_bank(self, wire: Wire, bank: PixProvider, fixtures: Fixtures) -> None:
        wire.answer("GET", f"{API}/pix/{E2E}", "payment__ok")
        wire.answer("GET", COB, "charge__completed")

        event = bank.fetch(self.event(fixtures))

        (state,) = PixProvider.read_states(event)
        assert isinstance(state, PaymentState)
        assert (state.status, state.amount_received_minor, state.account) == (PaymentStatus.SUCCEEDED, 5880, KEY)
        assert (event.thin, event.key, event.data["is_fetched"]) == (False, E2E, True)

    def test_money_that_the_charge_does_not_list_yet_is_counted_once(
        self, wire: Wire, bank: PixProvider, fixtures: Fixtures
    ) -> None:
        wire.answer("GET", f"{API}/pix/{E2E}", "payment__ok")
        wire.answer("GET", COB, "charge__completed_without_pix")

        (state,) = PixProvider.read_states(bank.fetch(self.event(fixtures)))

        assert isinstance(state, PaymentState)
        assert (state.amount_received_minor, state.aliases) == (5880, (E2E,))

    def test_returns_come_with_their_charge(self, wire: Wire, bank: PixProvider, fixtures: Fixtures) -> None:
        wire.answer("GET", f"{API}/pix/{E2E}", "payment__given_back_in_part")
        wire.answer("GET", COB, "charge__completed")

        payment, *refunds = PixProvider.read_states(bank.fetch(self.event(fixtures)))

        assert isinstance(payment, PaymentState)
        assert payment.amount_refunded_minor == 1880
        assert [(refund.external_id, refund.status) for refund in refunds if isinstance(refund, RefundState)] == [
            (f"{E2E}:00000000170200001702000000001702", RefundStatus.SUCCEEDED),
            (f"{E2E}:caixa1", RefundStatus.PENDING),
            (f"{E2E}:caixa2", RefundStatus.FAILED),
        ]

    def test_a_spoofed_receiver_is_refused(self, wire: Wire, bank: PixProvider, fixtures: Fixtures) -> None:
        wire.answer("GET", f"{API}/pix/{E2E}", "payment__of_another_key")
        wire.answer("GET", COB, "charge__completed")
        with pytest.raises(RequestRejected) as of_payment:
            bank.fetch(self.event(fixtures))

        wire.answer("GET", f"{API}/pix/{E2E}", "payment__without_key")
        wire.answer("GET", COB, "charge__of_another_key")
        with pytest.raises(RequestRejected) as of_charge:
            bank.fetch(self.event(fixtures))

        assert (of_payment.value.reason, of_charge.value.reason) == ("foreign_account", "foreign_account")

    def test_an_invented_payment_is_not_found(self, wire: Wire, bank: PixProvider, fixtures: Fixtures) -> None:
        wire.answer("GET", f"{API}/pix/{E2E}", "error__payment_not_found")

        with pytest.raises(NotFound):
            bank.fetch(self.event(fixtures))

    def test_a_changed_amount_in_the_body_changes_nothing(
        self, wire: Wire, bank: PixProvider, fixtures: Fixtures
    ) -> None:
        body = json.loads(fixtures.body("webhooks/payment_received__one.json"))
        body["pix"][0]["valor"] = "9999.99"
        wire.answer("GET", f"{API}/pix/{E2E}", "payment__ok")
        wire.answer("GET", COB, "charge__completed")

        (event,) = PixProvider.parse(arrived(json.dumps(body).encode()))
        (state,) = PixProvider.read_states(bank.fetch(event))

        assert isinstance(state, PaymentState)
        assert state.amount_received_minor == 5880

    def test_the_key_of_a_return_is_the_banks_word(self, wire: Wire, bank: PixProvider, fixtures: Fixtures) -> None:
        wire.answer("GET", f"{API}/pix/{E2E}", "payment__ok")
        wire.answer("GET", COB, "charge__completed")
        claimed = self.event(fixtures, "payment_returned__in_part")

        assert claimed.key != E2E
        assert bank.fetch(claimed).key == E2E

    def test_another_payment_than_asked_for_is_unexpected(
        self, wire: Wire, bank: PixProvider, fixtures: Fixtures
    ) -> None:
        wire.answer("GET", f"{API}/pix/{E2E}", "payment__another")

        with pytest.raises(UnexpectedResponse):
            bank.fetch(self.event(fixtures))

    def test_money_by_key_alone_is_nobodys_payment(self, wire: Wire, bank: PixProvider, fixtures: Fixtures) -> None:
        wire.answer("GET", f"{API}/pix/{E2E}", "payment__by_key_alone")

        assert PixProvider.read_states(bank.fetch(self.event(fixtures))) == ()

    @pytest.mark.parametrize(
        "pix",
        [
            "x", {}, [17], [{}], [{"endToEndId": "short"}], [{"endToEndId": "ü" * 32}], [{"endToEndId": E2E}] * 501,
            [{"endToEndId": E2E, "devolucoes": "x"}], [{"endToEndId": E2E, "devolucoes": [{"id": "1"}]}],
        ],
    )  # fmt: skip
    def test_what_is_no_list_of_payments_is_unexpected(self, pix: Any) -> None:
        with pytest.raises(UnexpectedResponse):
            PixProvider.parse(arrived(json.dumps({"pix": pix}).encode()))

    def test_many_returns_still_make_a_key_that_can_be_stored(self) -> None:
        returns = [{"id": f"{number:035d}", "status": "DEVOLVIDO"} for number in range(90)]

        def key(rows: list[dict[str, str]]) -> str:
            body = json.dumps({"pix": [{"endToEndId": E2E, "devolucoes": rows}]}).encode()
            return PixProvider.parse(arrived(body))[0].key

        assert len(key(returns)) < 120
        assert key(returns) == key(returns[::-1]) != key(returns[:-1])


class TestRegistration:
    def test_puts_our_address_so_that_a_path_behind_it_does_no_harm(self, wire: Wire, bank: PixProvider) -> None:
        wire.answer("PUT", HOOK, "empty")

        registered = bank.register_webhook(OURS)

        assert wire.last("PUT", HOOK).json == {"webhookUrl": f"{OURS}?ignorar="}
        assert registered.url == OURS

    def test_is_found_again(self, wire: Wire, bank: PixProvider) -> None:
        wire.answer("GET", HOOK, "webhook__ours")

        state = bank.inspect_webhook()

        assert (state.registered, state.url) == (True, OURS)

    @pytest.mark.parametrize(
        ("fixture", "url"),
        [("webhook__elsewhere", "https://erp.example.org/pix"), ("error__webhook_not_found", "")],
    )
    def test_drift_is_told(self, wire: Wire, bank: PixProvider, fixture: str, url: str) -> None:
        wire.answer("GET", HOOK, fixture)

        state = bank.inspect_webhook()

        assert (state.registered, state.url, bool(state.detail)) == (False, url, True)

    def test_is_removed_where_it_is_ours(self, wire: Wire, bank: PixProvider) -> None:
        wire.answer("GET", HOOK, "webhook__ours")
        wire.answer("DELETE", HOOK, "empty")
        bank.unregister_webhook()
        wire.answer("DELETE", HOOK, "error__webhook_not_found")
        bank.unregister_webhook()

        assert [seen.method for seen in wire.calls].count("DELETE") == 2

    @pytest.mark.parametrize("fixture", ["webhook__elsewhere", "error__webhook_not_found"])
    def test_leaves_anothers_alone(self, wire: Wire, bank: PixProvider, fixture: str) -> None:
        wire.answer("GET", HOOK, fixture)

        bank.unregister_webhook()

        assert {seen.method for seen in wire.calls} == {"POST", "GET"}


class TestLists:
    def test_payments_are_charges_made_and_older_ones_that_were_paid(self, wire: Wire, bank: PixProvider) -> None:
        older = "00000000179900001799000000001799"
        wire.answer("GET", f"{API}/cob", "charges__first_page", query={"paginacao.paginaAtual": "0"})
        wire.answer("GET", f"{API}/cob", "charges__last_page", query={"paginacao.paginaAtual": "1"})
        wire.answer("GET", f"{API}/pix", "payments__all")
        wire.answer("GET", f"{API}/cob/{older}", "charge__older")

        found = list(bank.list_payments(since=SINCE, until=UNTIL))

        assert [(state.external_id, state.amount_received_minor) for state in found] == [(TXID, 5880), (older, 5880)]
        assert wire.calls[1].query == {
            "inicio": "2026-11-22T00:00:00Z", "fim": "2026-11-24T00:00:00Z",
            "paginacao.paginaAtual": "0", "paginacao.itensPorPagina": "100",
        }  # fmt: skip

    def test_a_window_holds_its_last_second(self, wire: Wire, bank: PixProvider) -> None:
        """What came within the second in which it is asked must be listed; banks read whole seconds."""
        wire.answer("GET", f"{API}/cob", "charges__none")
        wire.answer("GET", f"{API}/pix", "payments__one")
        wire.answer("GET", COB, "charge__completed")
        half = timedelta(milliseconds=500)

        list(bank.list_payments(since=SINCE + half, until=UNTIL + half))

        window = {name: text for name, text in wire.calls[1].query.items() if name in ("inicio", "fim")}
        assert window == {"inicio": "2026-11-22T00:00:00Z", "fim": "2026-11-24T00:00:01Z"}

    def test_missed_events_carry_the_keys_of_webhooks(self, wire: Wire, bank: PixProvider, fixtures: Fixtures) -> None:
        wire.answer("GET", f"{API}/pix", "payments__all")

        listed = list(bank.list_since(SINCE))

        (pushed,) = PixProvider.parse(arrived(fixtures.body("webhooks/payment_received__one.json")))
        assert listed[0] == pushed
        assert len(listed) == 3
        assert all(event.thin for event in listed)

    def test_a_bank_without_pages_has_one(self, wire: Wire, bank: PixProvider) -> None:
        wire.answer("GET", f"{API}/pix", "payments__no_paging")

        assert [event.key for event in bank.list_since(SINCE)] == [E2E]

    def test_what_is_no_list_is_unexpected(self, wire: Wire, bank: PixProvider) -> None:
        wire.answer("GET", f"{API}/pix", "payments__no_list")

        with pytest.raises(UnexpectedResponse):
            list(bank.list_since(SINCE))


@pytest.mark.vendor_fixtures
class TestVendorPayloads:
    def test_the_webhook_asks_for_its_payment(self, vendor_fixtures: Path) -> None:
        body = (vendor_fixtures / "payments" / "pix" / "webhook_pix_received.json").read_bytes()

        (event,) = PixProvider.parse(arrived(body))

        assert event.key == event.external_id == "E12345678202009091221kkkkkkkkkkk"
        assert (event.thin, event.occurred_at) == (True, datetime(2020, 9, 9, 20, 15, 0, 358000, tzinfo=UTC))

    def test_a_charge_is_written_like_the_example(self, vendor_fixtures: Path, wire: Wire, fixtures: Fixtures) -> None:
        example = json.loads((vendor_fixtures / "payments" / "pix" / "cob_create_request.json").read_text())
        settings = {
            **fixtures.conformance["connection"]["settings"], "pix_key": example["chave"], "key_type": "random",
        }  # fmt: skip
        wire.answer("PUT", COB, "charge__active")
        payer = Payer(name=example["devedor"]["nome"], tax_id=example["devedor"]["cpf"])
        request = payment_request(
            amount_minor=12345, description=example["solicitacaoPagador"], payer=payer,
            expires_at=clock.now() + timedelta(seconds=3600),
        )  # fmt: skip

        with pytest.raises(RequestRejected):  # the answer is of our own key
            provider_of(wire, settings=settings).create_payment(request)

        assert wire.last("PUT", COB).json == example
