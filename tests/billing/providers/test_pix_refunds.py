"""Returns of Pix payments: once for our id, read by the ids of payment and return."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from billing.contract import (
    ObjectKind,
    RefundState,
    RefundStatus,
)
from billing.providers.pix import PixProvider
from integrations.contract import (
    NotFound,
    RequestRejected,
    UnexpectedResponse,
)
from tests.billing.providers.pix_bank import (
    COB,
    E2E,
    KEY,
    RETURN,
    TXID,
    bank_wire,
    provider_of,
    refund_request,
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


class TestRefund:
    @pytest.mark.parametrize(
        ("fixture", "status"),
        [
            ("refund__processing", RefundStatus.PENDING),
            ("refund__done", RefundStatus.SUCCEEDED),
            ("refund__failed", RefundStatus.FAILED),
        ],
    )
    def test_is_a_return_under_our_own_id(
        self, wire: Wire, bank: PixProvider, fixture: str, status: RefundStatus
    ) -> None:
        wire.answer("PUT", RETURN, fixture)

        state = bank.refund_payment(refund_request())

        assert wire.last("PUT", RETURN).json == {"valor": "18.80"}
        assert (state.status, state.amount_minor, state.payment) == (status, 1880, TXID)
        assert state.external_id == f"{E2E}:00000000170200001702000000001702"
        assert (state.reference, state.account) == ("00000000-1702-0000-1702-000000001702", KEY)

    def test_a_failed_one_tells_why(self, wire: Wire, bank: PixProvider) -> None:
        wire.answer("PUT", RETURN, "refund__failed")
        told = bank.refund_payment(refund_request()).problem
        wire.answer("PUT", RETURN, "refund__failed_without_reason")
        untold = bank.refund_payment(refund_request()).problem

        assert told is not None
        assert untold is not None
        assert (told.reason, told.message) == ("refund_failed", "Saldo insuficiente.")
        assert untold.message

    def test_finds_the_transfer_of_a_charge_by_itself(self, wire: Wire, bank: PixProvider) -> None:
        wire.answer("GET", COB, "charge__completed")
        wire.answer("PUT", RETURN, "refund__done")

        assert bank.refund_payment(refund_request(end_to_end_id="")).status is RefundStatus.SUCCEEDED

    @pytest.mark.parametrize("fixture", ["charge__active", "charge__completed_twice"])
    def test_does_not_choose_between_transfers(self, wire: Wire, bank: PixProvider, fixture: str) -> None:
        wire.answer("GET", COB, fixture)

        with pytest.raises(RequestRejected) as caught:
            bank.refund_payment(refund_request(end_to_end_id=""))

        assert caught.value.reason == "not_refundable"

    def test_a_repeated_one_is_the_first(self, wire: Wire, bank: PixProvider) -> None:
        wire.answer("PUT", RETURN, "error__refund_invalid")
        wire.answer("GET", RETURN, "refund__done")

        assert bank.refund_payment(refund_request()).status is RefundStatus.SUCCEEDED

    @pytest.mark.parametrize("found", ["refund__other_amount", "error__path_unknown"])
    def test_a_refused_one_is_not_taken_for_another(self, wire: Wire, bank: PixProvider, found: str) -> None:
        wire.answer("PUT", RETURN, "error__refund_invalid")
        wire.answer("GET", RETURN, found)

        with pytest.raises(RequestRejected) as caught:
            bank.refund_payment(refund_request())

        assert caught.value.reason == "refund_refused"

    def test_is_read_again_by_both_ids(self, wire: Wire, bank: PixProvider) -> None:
        wire.answer("GET", RETURN, "refund__done")

        state = bank.fetch_object(ObjectKind.REFUND, f"{E2E}:00000000170200001702000000001702")

        assert isinstance(state, RefundState)
        assert (state.status, state.payment) == (RefundStatus.SUCCEEDED, E2E)

    @pytest.mark.parametrize("external_id", ["", E2E, f"{E2E}:../x", "short:1", f"{E2E}:{'x' * 36}"])
    def test_what_is_no_pair_of_ids_is_not_asked_for(self, wire: Wire, bank: PixProvider, external_id: str) -> None:
        with pytest.raises(NotFound):
            bank.fetch_object(ObjectKind.REFUND, external_id)
        assert wire.calls == []

    def test_an_unknown_status_is_not_guessed(self, wire: Wire, bank: PixProvider) -> None:
        wire.answer("PUT", RETURN, "refund__unknown_status")

        with pytest.raises(UnexpectedResponse):
            bank.refund_payment(refund_request())
