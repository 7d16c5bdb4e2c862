"""Charges of a Pix key at its bank: made once, read as they are, removed."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing import brcode
from billing.contract import (
    ActionKind,
    CardToken,
    Method,
    ObjectKind,
    Payer,
    PaymentState,
    PaymentStatus,
)
from billing.providers.pix import PixProvider
from core import clock
from core.secret import Secret
from integrations.contract import (
    NotFound,
    RequestRejected,
    Unavailable,
    UnexpectedResponse,
)
from tests.billing.providers.pix_bank import (
    API,
    COB,
    E2E,
    KEY,
    REFERENCE,
    SECOND,
    TXID,
    bank_wire,
    payment_request,
    provider_of,
)
from tests.wire import Wire

SINCE = datetime(2026, 11, 22, tzinfo=UTC)
UNTIL = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def wire() -> Wire:
    return bank_wire()


@pytest.fixture
def bank(wire: Wire) -> PixProvider:
    return provider_of(wire)


class TestCheckPayment:
    @pytest.mark.parametrize(
        ("changed", "field"),
        [
            ({"method": Method.CARD}, "method"),
            ({"method": Method.BOLETO}, "method"),
            ({"currency": "USD"}, "currency"),
            ({"amount_minor": 0}, "amount_minor"),
            ({"amount_minor": -1}, "amount_minor"),
            ({"amount_minor": 10**12}, "amount_minor"),
            ({"installments": 2}, "installments"),
            ({"card": CardToken(token=Secret("test-token"))}, "card"),
            ({"customer": "cus_test"}, "customer"),
            ({"description": "x" * 141}, "description"),
            ({"expires_at": datetime(2020, 1, 17, tzinfo=UTC)}, "expires_in_s"),
            ({"payer": Payer(tax_id="11144477735")}, "payer.name"),
            ({"payer": Payer(name="x" * 201)}, "payer.name"),
            ({"payer": Payer(name="Teste", tax_id="11144477736")}, "payer.tax_id"),
        ],
    )
    def test_names_the_field_before_any_call(self, wire: Wire, bank: PixProvider, changed: Any, field: str) -> None:
        with pytest.raises(RequestRejected) as caught:
            bank.create_payment(payment_request(**changed))

        assert caught.value.field == field
        assert caught.value.reason
        assert wire.calls == []

    def test_takes_the_largest_amount(self, bank: PixProvider) -> None:
        bank.check_payment(payment_request(amount_minor=999_999_999_999))


class TestCreate:
    def test_writes_the_charge_exactly(self, wire: Wire, bank: PixProvider) -> None:
        wire.answer("PUT", COB, "charge__active")
        ends_at = clock.now() + timedelta(seconds=900)

        state = bank.create_payment(payment_request(expires_at=ends_at))

        body = wire.last("PUT", COB).json
        assert 899 <= body.pop("calendario")["expiracao"] <= 900
        assert body == {
            "valor": {"original": "58.80"},
            "chave": KEY,
            "devedor": {"cpf": "11144477735", "nome": "Pagadora de Teste"},
            "solicitacaoPagador": "Pedido 1701",
        }
        assert (state.external_id, state.reference, state.account) == (TXID, REFERENCE, KEY)
        assert (state.amount_minor, state.amount_received_minor, state.currency) == (5880, 0, "BRL")

    def test_shows_the_code_as_text_and_picture(self, wire: Wire, bank: PixProvider) -> None:
        wire.answer("PUT", COB, "charge__active")

        with clock.shifted(datetime(2026, 11, 23, 12, 5, tzinfo=UTC) - clock.now()):
            state = bank.create_payment(payment_request())

        assert state.status is PaymentStatus.REQUIRES_ACTION
        assert state.next_action is not None
        assert state.next_action.kind is ActionKind.PIX_QR
        details = state.next_action.details
        assert brcode.parse(details["qr_code"]).is_dynamic
        assert base64.b64decode(details["qr_code_base64"]).startswith(b"\x89PNG")
        assert (details["ticket_url"], details["expires_at"]) == (None, "2026-11-23T13:00:00.000Z")

    def test_sends_nothing_empty_and_lasts_a_day(self, wire: Wire, bank: PixProvider) -> None:
        wire.answer("PUT", COB, "charge__active")

        bank.create_payment(payment_request(description=" ", payer=Payer(email="payer@example.com", name="Teste")))

        assert wire.last("PUT", COB).json == {
            "calendario": {"expiracao": 86400}, "valor": {"original": "58.80"}, "chave": KEY,
        }  # fmt: skip

    def test_names_a_company_by_its_new_cnpj(self, wire: Wire, bank: PixProvider) -> None:
        wire.answer("PUT", COB, "charge__active")

        tax_id = "12.ABC.345/01DE-35"
        bank.create_payment(payment_request(payer=Payer(name="Empresa de Teste", tax_id=tax_id)))

        bare = tax_id.translate(str.maketrans("", "", "./-"))
        assert wire.last("PUT", COB).json["devedor"] == {"cnpj": bare, "nome": "Empresa de Teste"}

    @pytest.mark.parametrize("reference", ["short", "x" * 36, "with space and ü, long enough for one"])
    def test_makes_a_txid_of_any_reference(self, wire: Wire, bank: PixProvider, reference: str) -> None:
        wire.answer("PUT", "*", "charge__active")

        bank.create_payment(payment_request(reference=reference))
        bank.create_payment(payment_request(reference=reference))

        first, second = (seen.path for seen in wire.calls if seen.method == "PUT")
        assert first == second
        assert len(first.rpartition("/")[2]) == 32

    def test_a_repeated_one_is_the_first(self, wire: Wire, bank: PixProvider) -> None:
        wire.answer("PUT", COB, "error__charge_invalid")
        wire.answer("GET", COB, "charge__completed")

        state = bank.create_payment(payment_request())

        assert (state.status, state.external_id) == (PaymentStatus.SUCCEEDED, TXID)

    @pytest.mark.parametrize("found", ["charge__other_amount", "error__charge_not_found"])
    def test_a_refused_one_is_not_taken_for_another(self, wire: Wire, bank: PixProvider, found: str) -> None:
        wire.answer("PUT", COB, "error__charge_invalid")
        wire.answer("GET", COB, found)

        with pytest.raises(RequestRejected) as caught:
            bank.create_payment(payment_request())

        assert caught.value.vendor_code == "CobOperacaoInvalida"
        assert "txid: O txid já foi usado." in caught.value.vendor_detail

    def test_a_lost_answer_may_have_made_it_and_is_looked_for(self, wire: Wire, bank: PixProvider) -> None:
        wire.reset("PUT", COB)
        wire.answer("GET", COB, "charge__active")

        with pytest.raises(Unavailable) as caught:
            bank.create_payment(payment_request())
        found = bank.find_payment(payment_request(), since=SINCE)

        assert caught.value.reason == "maybe_sent"
        assert found is not None
        assert found.external_id == TXID

    def test_a_request_that_never_arrived_is_not_found(self, wire: Wire, bank: PixProvider) -> None:
        wire.answer("GET", COB, "error__charge_not_found")

        assert bank.find_payment(payment_request(), since=SINCE) is None


class TestStates:
    def fetched(self, wire: Wire, fixture: str) -> PaymentState:
        wire.answer("GET", COB, fixture)
        return provider_of(wire).fetch_payment(TXID)

    def test_a_paid_one_tells_what_came_when_and_by_which_transfer(self, wire: Wire) -> None:
        state = self.fetched(wire, "charge__completed")

        assert (state.status, state.amount_received_minor, state.end_to_end_id) == (PaymentStatus.SUCCEEDED, 5880, E2E)
        assert state.paid_at == state.vendor_at == datetime(2026, 11, 23, 12, 1, 30, 358000, tzinfo=UTC)
        assert (state.aliases, state.next_action, state.amount_refunded_minor) == ((E2E,), None, 0)

    def test_a_wrong_amount_is_told_as_it_came(self, wire: Wire) -> None:
        state = self.fetched(wire, "charge__completed_with_wrong_amount")

        assert (state.amount_minor, state.amount_received_minor) == (5880, 588)

    def test_two_transfers_are_added(self, wire: Wire) -> None:
        state = self.fetched(wire, "charge__completed_twice")

        assert (state.amount_received_minor, state.aliases) == (11760, (E2E, SECOND))

    def test_payments_that_the_charge_does_not_list_are_asked_for(self, wire: Wire) -> None:
        wire.answer("GET", f"{API}/pix", "payments__one", query={"txid": TXID})

        assert self.fetched(wire, "charge__completed_without_pix").amount_received_minor == 5880

    @pytest.mark.parametrize(
        ("fixture", "status"),
        [
            ("charge__removed", PaymentStatus.CANCELED),
            ("charge__removed_by_bank", PaymentStatus.CANCELED),
            ("charge__old", PaymentStatus.EXPIRED),
        ],
    )
    def test_unpaid_ends_have_the_time_of_the_creation(self, wire: Wire, fixture: str, status: PaymentStatus) -> None:
        """Money that came before the end was seen must not look older than it."""
        state = self.fetched(wire, fixture)

        created_at = datetime.fromisoformat(str(state.object["calendario"]["criacao"]))
        assert (state.status, state.vendor_at, state.next_action) == (status, created_at, None)

    def test_a_charge_without_a_calendar_has_no_end(self, wire: Wire) -> None:
        state = self.fetched(wire, "charge__no_calendar")

        assert (state.expires_at, state.vendor_at) == (None, None)

    def test_returns_that_were_carried_out_are_counted(self, wire: Wire) -> None:
        state = self.fetched(wire, "charge__given_back_in_part")

        assert (state.amount_received_minor, state.amount_refunded_minor) == (5880, 1880)
        assert state.vendor_at == datetime(2026, 11, 23, 13, 5, tzinfo=UTC)

    def test_a_charge_of_another_key_is_refused(self, wire: Wire) -> None:
        with pytest.raises(RequestRejected) as caught:
            self.fetched(wire, "charge__of_another_key")

        assert caught.value.reason == "foreign_account"

    @pytest.mark.parametrize("fixture", ["charge__unknown_status", "charge__amount_as_number"])
    def test_what_is_not_understood_is_not_guessed(self, wire: Wire, fixture: str) -> None:
        with pytest.raises(UnexpectedResponse):
            self.fetched(wire, fixture)

    def test_a_due_date_charge_is_read_until_its_last_day(self, wire: Wire) -> None:
        txid = "vencimento00000000000000000001701"
        wire.answer("GET", f"{API}/cob/{txid}", "error__charge_not_found")
        wire.answer("GET", f"{API}/cobv/{txid}", "due_charge__active")

        state = provider_of(wire).fetch_payment(txid)

        assert state.expires_at == datetime(2126, 12, 16, 3, tzinfo=UTC)
        assert (state.status, state.reference) == (PaymentStatus.REQUIRES_ACTION, "")

    def test_a_due_date_that_is_none_is_unexpected(self, wire: Wire) -> None:
        wire.answer("GET", COB, "error__charge_not_found")
        wire.answer("GET", f"{API}/cobv/{TXID}", "due_charge__bad_day")

        with pytest.raises(UnexpectedResponse):
            provider_of(wire).fetch_payment(TXID)

    @pytest.mark.parametrize("due", ["error__charge_not_found", "error__access_denied"])
    def test_an_unknown_one_is_not_found(self, wire: Wire, due: str) -> None:
        wire.answer("GET", COB, "error__charge_not_found")
        wire.answer("GET", f"{API}/cobv/{TXID}", due)

        with pytest.raises(NotFound):
            provider_of(wire).fetch_payment(TXID)

    @pytest.mark.parametrize("external_id", ["", "PEDIDO1701", "../pix", "x" * 36])
    def test_what_is_no_txid_is_not_asked_for(self, wire: Wire, bank: PixProvider, external_id: str) -> None:
        for verb in (bank.fetch_payment, lambda txid: bank.cancel_payment(txid, idempotency_key="test")):
            with pytest.raises(NotFound):
                verb(external_id)
        assert [seen.path for seen in wire.calls] == []

    def test_other_objects_are_not_a_banks(self, bank: PixProvider) -> None:
        with pytest.raises(RequestRejected) as caught:
            bank.fetch_object(ObjectKind.SUBSCRIPTION, "x")

        assert caught.value.reason == "unsupported"

    def test_reads_a_payment_by_its_kind(self, wire: Wire, bank: PixProvider) -> None:
        wire.answer("GET", COB, "charge__completed")

        assert bank.fetch_object(ObjectKind.PAYMENT, TXID) == bank.fetch_payment(TXID)


class TestCancel:
    def test_removes_the_charge(self, wire: Wire, bank: PixProvider) -> None:
        wire.answer("PATCH", COB, "charge__removed")

        state = bank.cancel_payment(TXID, idempotency_key="test")

        assert wire.last("PATCH", COB).json == {"status": "REMOVIDA_PELO_USUARIO_RECEBEDOR"}
        assert state.status is PaymentStatus.CANCELED

    def test_a_paid_one_is_to_be_refunded(self, wire: Wire, bank: PixProvider) -> None:
        wire.answer("PATCH", COB, "error__charge_invalid")
        wire.answer("GET", COB, "charge__completed")

        with pytest.raises(RequestRejected) as caught:
            bank.cancel_payment(TXID, idempotency_key="test")

        assert (caught.value.reason, "refund" in caught.value.next_action) == ("already_paid", True)

    def test_a_removed_one_stays_removed(self, wire: Wire, bank: PixProvider) -> None:
        wire.answer("PATCH", COB, "error__charge_invalid")
        wire.answer("GET", COB, "charge__removed")

        assert bank.cancel_payment(TXID, idempotency_key="test").status is PaymentStatus.CANCELED

    def test_a_refusal_of_an_open_one_is_told(self, wire: Wire, bank: PixProvider) -> None:
        wire.answer("PATCH", COB, "error__charge_invalid")
        wire.answer("GET", COB, "charge__active")

        with pytest.raises(RequestRejected) as caught:
            bank.cancel_payment(TXID, idempotency_key="test")

        assert caught.value.vendor_code == "CobOperacaoInvalida"
