"""MercadoPago's money: exact requests, what payments say, and finding what was lost."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.contract import (
    Address,
    CardToken,
    Method,
    ObjectKind,
    Payer,
    PaymentRequest,
    RefundRequest,
)
from billing.providers import _mercadopago_states
from billing.providers._mercadopago_json import amount_minor, amount_number, read_answer, write_body
from billing.providers._mercadopago_requests import document_type
from billing.providers._mercadopago_tables import PROBLEMS
from billing.providers.mercadopago import MercadoPagoProvider
from core import clock
from core.secret import Secret
from integrations.contract import InboundEvent, NotFound, RequestRejected, Unavailable, UnexpectedResponse
from tests.signatures import arrived
from tests.wire import Fixtures, Wire

SELLER = "200000017"
PAYMENT = "/v1/payments/90000000017"
SEARCH = "/v1/payments/search"
WHEN = datetime(2026, 11, 20, 12, tzinfo=UTC)
ADDRESS = Address(
    postal_code="01310100", street="Avenida Exemplo", number="17", neighborhood="Centro", city="São Paulo", state="SP"
)
PAYER = Payer(email="payer@example.com", name="Ana Exemplo Silva", tax_id="12345678909")
CARD = CardToken(token=Secret("test-card-token"), brand="visa", issuer="25")


@pytest.fixture
def wire() -> Wire:
    """The vendor's side, which fails unplanned calls."""
    return Wire(provider=MercadoPagoProvider)


@pytest.fixture
def fixtures() -> Fixtures:
    return Fixtures.of(MercadoPagoProvider)


def connected(wire: Wire, **context: Any) -> Any:
    return wire.connect(**{"account_external_id": SELLER, **context})


def asked(**changes: Any) -> PaymentRequest:
    """Make a PIX request, changed as asked."""
    facts: dict[str, Any] = {
        "reference": "0192a17e000070008000000000000017",
        "idempotency_key": "0192a17e-0000-7000-8000-000000000017",
        "amount_minor": 5880,
        "currency": "BRL",
        "method": Method.PIX,
        "description": "Pedido 17",
        "payer": PAYER,
        "notification_url": "https://registry.example.com/webhooks/mercadopago/t17/",
    }
    return PaymentRequest(**{**facts, **changes})


def refused(wire: Wire, request: PaymentRequest, *, country: str = "BR") -> tuple[str | None, str]:
    """Return field and reason of a refusal, which needs no call."""
    with pytest.raises(RequestRejected) as caught:
        connected(wire, settings={"country": country}).check_payment(request)
    assert caught.value.next_action
    assert wire.calls == []
    return caught.value.field, caught.value.reason


class TestCreate:
    def test_a_pix_is_asked_for_exactly(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/payments", "payment__pix_pending")
        expires_at = clock.now() + timedelta(hours=1)

        state = connected(wire).create_payment(asked(expires_at=expires_at, metadata={"order": "17"}))

        (seen,) = wire.calls
        assert b'"transaction_amount":58.80,' in seen.body
        assert seen.headers["x-idempotency-key"] == "0192a17e-0000-7000-8000-000000000017"
        assert seen.headers["content-type"] == "application/json"
        assert seen.json == {
            "transaction_amount": 58.8,
            "description": "Pedido 17",
            "external_reference": "0192a17e000070008000000000000017",
            "notification_url": "https://registry.example.com/webhooks/mercadopago/t17/?source_news=webhooks",
            "metadata": {"order": "17"},
            "payer": {
                "email": "payer@example.com",
                "first_name": "Ana",
                "last_name": "Exemplo Silva",
                "identification": {"type": "CPF", "number": "12345678909"},
            },
            "payment_method_id": "pix",
            "date_of_expiration": expires_at.isoformat(timespec="milliseconds"),
        }
        assert (str(state.status), state.amount_minor, state.amount_received_minor) == ("requires_action", 5880, 0)
        assert state.next_action.as_json() == {
            "kind": "pix_qr",
            "pix": {
                "qr_code": state.object["point_of_interaction"]["transaction_data"]["qr_code"],
                "qr_code_base64": "iVBORw0KGgo=",
                "ticket_url": "https://www.example.com/ticket/17",
                "expires_at": "2026-11-21T13:00:00.000Z",
            },
        }

    def test_a_boleto_carries_the_payers_address(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/payments", "payment__boleto_pending")

        state = connected(wire).create_payment(
            asked(method=Method.BOLETO, payer=replace(PAYER, tax_id="11222333000181", address=ADDRESS))
        )

        body = wire.calls[0].json
        assert body["payment_method_id"] == "bolbradesco"
        assert body["payer"]["identification"] == {"type": "CNPJ", "number": "11222333000181"}
        assert body["payer"]["address"] == {
            "zip_code": "01310100",
            "street_name": "Avenida Exemplo",
            "street_number": "17",
            "neighborhood": "Centro",
            "city": "São Paulo",
            "federal_unit": "SP",
        }
        assert "date_of_expiration" not in body
        assert (state.method, state.next_action.details["url"]) == ("boleto", "https://www.example.com/boleto/17.pdf")
        assert state.next_action.details["barcode"].startswith("0019")

    def test_a_card_is_charged_by_its_token_with_installments(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/payments", "payment__card_approved")

        state = connected(wire).create_payment(asked(method=Method.CARD, card=CARD, installments=3))

        body = wire.calls[0].json
        assert {name: body[name] for name in ("payment_method_id", "token", "installments", "issuer_id")} == {
            "payment_method_id": "visa",
            "token": "test-card-token",
            "installments": 3,
            "issuer_id": "25",
        }
        assert (str(state.status), state.method) == ("succeeded", "card")
        assert state.amount_received_minor == 5880  # the interest of 62.43 in all is not the seller's

    def test_a_rejected_card_is_a_payment_that_failed(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/payments", "payment__card_rejected")

        state = connected(wire).create_payment(asked(method=Method.CARD, card=CARD))

        assert str(state.status) == "failed"
        assert (state.problem.code, state.problem.reason) == ("cc_rejected_insufficient_amount", "payment_declined")
        assert state.amount_received_minor == 0

    def test_a_long_idempotency_key_is_always_the_same_digest(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/payments", "payment__pix_pending")

        for _ in range(2):
            connected(wire).create_payment(asked(idempotency_key="k" * 65))

        first, second = (seen.headers["x-idempotency-key"] for seen in wire.calls)
        assert first == second
        assert len(first) == 64

    def test_a_broken_connection_says_that_the_payment_may_exist(self, wire: Wire) -> None:
        wire.reset("POST", "/v1/payments")

        with pytest.raises(Unavailable) as caught:
            connected(wire).create_payment(asked())

        assert caught.value.reason == "maybe_sent"
        assert len(wire.calls) == 1

    def test_no_error_shows_the_card_token(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/payments", "error__card_token_used")

        with pytest.raises(RequestRejected) as caught:
            connected(wire).create_payment(asked(method=Method.CARD, card=CARD))

        assert caught.value.reason == "card_token_invalid"
        assert "test-card-token" not in repr([vars(caught.value), wire.reports])

    def test_text_that_is_no_unicode_never_leaves(self, wire: Wire) -> None:
        with pytest.raises(RequestRejected):
            connected(wire).create_payment(asked(description="\ud800"))

        assert wire.calls == []


class TestRules:
    @pytest.mark.parametrize(
        ("changes", "field", "reason"),
        [
            ({"method": Method.ACCOUNT_MONEY}, "method", "unsupported"),
            ({"method": Method.AUTOMATIC}, "method", "unsupported"),
            ({"currency": "USD"}, "currency", "currency_unsupported"),
            ({"payer": replace(PAYER, email="")}, "payer.email", "payer_incomplete"),
            ({"payer": replace(PAYER, tax_id="")}, "payer.tax_id", "payer_incomplete"),
            ({"payer": replace(PAYER, tax_id="123")}, "payer.tax_id", "tax_id_invalid"),
            ({"installments": 2}, "installments", "only_cards"),
            ({"method": Method.BOLETO}, "payer.address", "payer_incomplete"),
            (
                {"method": Method.BOLETO, "payer": replace(PAYER, address=replace(ADDRESS, city=""))},
                "payer.address.city",
                "payer_incomplete",
            ),
            (
                {"method": Method.BOLETO, "payer": replace(PAYER, name="Ana", address=ADDRESS)},
                "payer.name",
                "payer_incomplete",
            ),
            ({"method": Method.CARD}, "card.token", "card_missing"),
            ({"method": Method.CARD, "card": replace(CARD, brand="")}, "card.brand", "card_missing"),
            ({"method": Method.CARD, "card": CARD, "installments": 0}, "installments", "installments_invalid"),
            ({"method": Method.CARD, "card": CARD, "installments": 37}, "installments", "installments_invalid"),
        ],
    )
    def test_names_the_field_before_any_call(
        self, wire: Wire, changes: dict[str, Any], field: str, reason: str
    ) -> None:
        assert refused(wire, asked(**changes)) == (field, reason)

    @pytest.mark.parametrize("life", [timedelta(minutes=29), timedelta(days=31), timedelta(minutes=-1)])
    def test_a_pix_lives_30_minutes_to_30_days(self, wire: Wire, life: timedelta) -> None:
        assert refused(wire, asked(expires_at=clock.now() + life)) == ("expires_in_s", "expiration_invalid")

    @pytest.mark.parametrize("life", [timedelta(minutes=30), timedelta(days=30)])
    def test_takes_both_ends(self, wire: Wire, life: timedelta) -> None:
        connected(wire).check_payment(asked(expires_at=clock.now() + life))

    @pytest.mark.parametrize("method", [Method.PIX, Method.BOLETO])
    def test_pix_and_boleto_are_brazilian(self, wire: Wire, method: Method) -> None:
        assert refused(wire, asked(method=method, currency="MXN"), country="MX") == ("method", "unsupported")

    def test_mexico_asks_for_no_tax_id(self, wire: Wire) -> None:
        request = asked(method=Method.CARD, card=CARD, currency="MXN", payer=Payer(email="payer@example.com"))

        connected(wire, settings={"country": "MX"}).check_payment(request)

    @pytest.mark.parametrize(
        ("tax_id", "country", "kind"),
        [
            ("12345678909", "BR", "CPF"),
            ("11222333000181", "BR", "CNPJ"),
            ("32659430", "AR", "DNI"),
            ("20326594302", "AR", "CUIL"),
            ("30326594302", "AR", "CUIT"),
            ("12345678909", "MX", ""),
        ],
    )
    def test_knows_a_tax_id_by_its_length(self, tax_id: str, country: str, kind: str) -> None:
        assert document_type(tax_id, country) == kind


class TestMoney:
    @pytest.mark.parametrize(
        ("minor", "currency", "written"),
        [(5880, "BRL", "58.80"), (1, "BRL", "0.01"), (10**15 + 1, "ARS", "10000000000000.01"), (1700, "CLP", "1700"),
         (170000, "COP", "1700")],
    )  # fmt: skip
    def test_is_written_digit_by_digit(self, minor: int, currency: str, written: str) -> None:
        assert write_body({"n": amount_number(minor, currency)}) == f'{{"n":{written}}}'.encode()

    def test_of_whole_currencies_has_no_cents(self) -> None:
        with pytest.raises(RequestRejected) as caught:
            amount_number(170001, "COP")

        assert caught.value.reason == "amount_not_whole"

    @pytest.mark.parametrize("digits", ["58.8", "58.80", "58.800", "5.88e1"])
    def test_is_read_without_a_float(self, digits: str) -> None:
        tree = read_answer(f'{{"n": {digits}}}'.encode())

        assert isinstance(tree["n"], str)
        assert amount_minor(tree["n"], "BRL") == 5880

    @pytest.mark.parametrize("digits", ["58.801", "1e400", "true", "null", "[]", '"x"'])
    def test_with_more_digits_or_none_is_unexpected(self, digits: str) -> None:
        with pytest.raises(UnexpectedResponse):
            amount_minor(read_answer(f'{{"n": {digits}}}'.encode())["n"], "BRL")

    @pytest.mark.parametrize("body", [b"NaN", b"[" * 100_000, b"{", b'{"n":Infinity}'])
    def test_what_is_no_json_is_unexpected(self, body: bytes) -> None:
        with pytest.raises(UnexpectedResponse):
            read_answer(body)


class TestStates:
    @pytest.mark.parametrize(
        ("fixture", "status", "received", "refunded"),
        [
            ("pix_pending", "requires_action", 0, 0),
            ("pix_approved", "succeeded", 5880, 0),
            ("pix_wrong_amount", "succeeded", 588, 0),
            ("pix_expired", "expired", 0, 0),
            ("pix_cancelled", "canceled", 0, 0),
            ("boleto_pending", "requires_action", 0, 0),
            ("card_approved", "succeeded", 5880, 0),
            ("card_rejected", "failed", 0, 0),
            ("card_in_process", "processing", 0, 0),
            ("partially_refunded", "partially_refunded", 5880, 1050),
            ("refunded", "refunded", 5880, 5880),
            ("in_mediation", "succeeded", 5880, 0),
            ("charged_back", "charged_back", 5880, 0),
            ("reimbursed", "succeeded", 5880, 0),
        ],
    )
    def test_a_payment_says(self, wire: Wire, fixture: str, status: str, received: int, refunded: int) -> None:
        wire.answer("GET", PAYMENT, f"payment__{fixture}")

        state = connected(wire).fetch_payment("90000000017")

        assert (str(state.status), state.amount_received_minor, state.amount_refunded_minor) == (
            status,
            received,
            refunded,
        )
        assert (state.account, state.environment, state.reference) == (
            SELLER,
            "test",
            "0192a17e000070008000000000000017",
        )
        assert (state.next_action is not None) == (status == "requires_action")
        assert (state.problem is not None) == (status == "failed")
        assert state.vendor_at is not None
        json.dumps(state.object)

    def test_a_paid_pix_has_its_end_to_end_id(self, wire: Wire) -> None:
        wire.answer("GET", PAYMENT, "payment__pix_approved")

        state = connected(wire).fetch_payment("90000000017")

        assert state.end_to_end_id == "E00000000202611201305testid00017"
        assert state.paid_at == datetime(2026, 11, 20, 13, 5, tzinfo=UTC)
        assert state.vendor_status == "approved/accredited"

    @pytest.mark.parametrize("fixture", ["unknown_status", "three_decimals"])
    def test_what_is_not_understood_is_not_guessed(self, wire: Wire, fixture: str) -> None:
        wire.answer("GET", PAYMENT, f"payment__{fixture}")

        with pytest.raises(UnexpectedResponse):
            connected(wire).fetch_payment("90000000017")

    def test_a_payment_of_another_seller_is_not_ours(self, wire: Wire) -> None:
        wire.answer("GET", PAYMENT, "payment__foreign")

        with pytest.raises(NotFound) as caught:
            connected(wire).fetch_payment("90000000017")

        assert caught.value.reason == "foreign_account"

    def test_every_refusal_of_a_card_has_a_reason_and_a_sentence(self) -> None:
        reasons = {"payment_declined", "card_data_wrong", "customer_action_required"}

        assert {reason for reason, _sentence in PROBLEMS.values()} == reasons
        assert all(sentence.endswith((".", "!")) for _reason, sentence in PROBLEMS.values())

    def test_refunds_in_a_payment_are_told_with_it(self, wire: Wire) -> None:
        wire.answer("GET", SEARCH, "search__one")
        (event,) = connected(wire).list_since(WHEN)
        thing = read_answer(Fixtures.of(MercadoPagoProvider).body("api/payment__refunded.json"))

        payment, refund = MercadoPagoProvider.read_states(replace(event, data={**event.data, "object": thing}))

        assert str(payment.status) == "refunded"
        assert (refund.payment, refund.amount_minor, str(refund.status)) == (
            "90000000017",
            5880,
            "succeeded",
        )


class TestStrange:
    """What no page of the vendor shows is an error, never a guess."""

    def test_a_refund_or_subscription_of_an_unknown_status(self) -> None:
        with pytest.raises(UnexpectedResponse):
            _mercadopago_states.refund_state(
                {"id": 1, "status": "odd", "amount": 1}, payment="1", currency="BRL", environment=""
            )
        with pytest.raises(UnexpectedResponse):
            _mercadopago_states.subscription_state({"id": "1", "status": "odd"}, environment="")

    @pytest.mark.parametrize("name", ["id", "currency_id", "transaction_amount", "status"])
    def test_a_payment_without_what_every_payment_has(self, fixtures: Fixtures, name: str) -> None:
        payment = read_answer(fixtures.body("api/payment__pix_approved.json"))

        with pytest.raises(UnexpectedResponse):
            _mercadopago_states.payment_state({**payment, name: None}, environment="")

    def test_a_pending_payment_without_anything_to_pay_is_pending(self, fixtures: Fixtures) -> None:
        payment = read_answer(fixtures.body("api/payment__pix_pending.json"))

        state = _mercadopago_states.payment_state({**payment, "point_of_interaction": {}}, environment="")

        assert (str(state.status), state.next_action) == ("pending", None)

    def test_a_list_whose_rows_tell_no_time(self, wire: Wire) -> None:
        wire.answer("GET", SEARCH, "search__no_times")

        with pytest.raises(UnexpectedResponse):
            list(connected(wire).list_payments(since=WHEN, until=WHEN + timedelta(days=1)))


class TestFind:
    def test_reads_the_payment_that_the_search_knows(self, wire: Wire) -> None:
        wire.answer("GET", SEARCH, "search__one")
        wire.answer("GET", PAYMENT, "payment__pix_approved")

        state = connected(wire).find_payment(asked(), since=WHEN)

        assert state.external_id == "90000000017"
        assert wire.calls[0].query["external_reference"] == "0192a17e000070008000000000000017"

    def test_finds_nothing_where_there_is_nothing_of_ours(self, wire: Wire) -> None:
        wire.answer("GET", SEARCH, "search__none")
        assert connected(wire).find_payment(asked(), since=WHEN) is None

        wire.answer("GET", SEARCH, "search__one")
        assert connected(wire).find_payment(asked(reference="another"), since=WHEN) is None

    def test_refuses_what_is_no_list(self, wire: Wire) -> None:
        wire.answer("GET", SEARCH, "search__no_list")

        with pytest.raises(UnexpectedResponse):
            connected(wire).find_payment(asked(), since=WHEN)


class TestList:
    def test_pages_by_the_time_of_change_so_that_none_is_skipped(self, wire: Wire) -> None:
        wire.answer("GET", SEARCH, "search__full_page", query={"begin_date": "2026-11-20T12:00:00.000+00:00"})
        wire.answer("GET", SEARCH, "search__last_page", query={"begin_date": "2026-11-20T13:01:39.000+00:00"})

        found = list(connected(wire).list_payments(since=WHEN, until=WHEN + timedelta(days=1)))

        assert [state.external_id for state in found] == [str(91000000000 + number) for number in range(101)]
        assert wire.calls[0].query == {
            "range": "date_last_updated",
            "begin_date": "2026-11-20T12:00:00.000+00:00",
            "end_date": "2026-11-21T12:00:00.000+00:00",
            "sort": "date_last_updated",
            "criteria": "asc",
            "limit": "100",
            "offset": "0",
        }

    def test_pages_by_number_within_one_moment(self, wire: Wire) -> None:
        wire.answer("GET", SEARCH, "search__one_moment", query={"offset": "0"})
        wire.answer("GET", SEARCH, "search__one", query={"offset": "100"})

        found = list(connected(wire).list_payments(since=WHEN, until=WHEN + timedelta(days=1)))

        assert [seen.query["offset"] for seen in wire.calls] == ["0", "100"]
        assert len(found) == 101

    def test_lists_events_with_the_keys_that_webhooks_get(self, wire: Wire, fixtures: Fixtures) -> None:
        wire.answer("GET", SEARCH, "search__one")
        wire.answer("GET", PAYMENT, "payment__pix_approved")
        provider = connected(wire)
        webhook = fixtures.body("webhooks/payment_updated__pix.json")

        (listed,) = provider.list_since(WHEN)
        fetched: InboundEvent = provider.fetch(MercadoPagoProvider.parse(arrived(webhook))[0])

        assert (listed.key, listed.data, listed.thin) == (fetched.key, fetched.data, False)
        assert listed.account_key == f"account:{SELLER}"


class TestCancelAndRefund:
    def test_cancels_what_is_pending(self, wire: Wire) -> None:
        wire.answer("PUT", PAYMENT, "payment__pix_cancelled")

        state = connected(wire).cancel_payment("90000000017", idempotency_key="k17")

        assert wire.calls[0].json == {"status": "cancelled"}
        assert str(state.status) == "canceled"

    @pytest.mark.parametrize("external_id", ["", "../users/me", "1/refunds", "1?x"])
    def test_an_id_cannot_lead_elsewhere(self, wire: Wire, external_id: str) -> None:
        with pytest.raises(RequestRejected):
            connected(wire).fetch_payment(external_id)

        assert wire.calls == []

    @pytest.mark.parametrize(
        ("fixture", "is_full", "body", "status"),
        [
            ("refund__ok", False, b'{"amount":10.50}', "succeeded"),
            ("refund__ok", True, b"{}", "succeeded"),
            ("refund__in_process", False, b'{"amount":10.50}', "pending"),
            ("refund__rejected", False, b'{"amount":10.50}', "failed"),
        ],
    )
    def test_gives_back_a_part_or_all(self, wire: Wire, fixture: str, is_full: bool, body: bytes, status: str) -> None:
        wire.answer("POST", f"{PAYMENT}/refunds", fixture)

        state = connected(wire).refund_payment(
            RefundRequest(
                reference="r17", idempotency_key="k17", payment="90000000017", amount_minor=1050, currency="BRL",
                is_full=is_full,
            )
        )  # fmt: skip

        assert (wire.calls[0].body, wire.calls[0].headers["x-idempotency-key"]) == (body, "k17")
        assert (str(state.status), state.amount_minor, state.payment, state.reference) == (
            status,
            1050,
            "90000000017",
            "r17",
        )
        assert (state.problem is not None) == (status == "failed")


class TestObjects:
    def test_reads_each_kind_with_its_seller_compared(self, wire: Wire) -> None:
        preapproval = "000000000000000000000000000aa017"
        wire.answer("GET", PAYMENT, "payment__charged_back")
        wire.answer("GET", f"/preapproval/{preapproval}", "preapproval__authorized")
        wire.answer("GET", "/authorized_payments/6000000017", "authorized_payment__open")
        wire.answer("GET", "/v1/chargebacks/217000087654321000", "chargeback__in_review")
        wire.answer("GET", "/checkout/preferences/p17", "preference__ok")
        ids = {
            ObjectKind.PAYMENT: "90000000017",
            ObjectKind.SUBSCRIPTION: preapproval,
            ObjectKind.INVOICE: "6000000017",
            ObjectKind.DISPUTE: "217000087654321000",
            ObjectKind.CHECKOUT: "p17",
        }

        states = {kind: connected(wire).fetch_object(kind, external_id) for kind, external_id in ids.items()}

        assert {str(kind): str(getattr(state, "status", state.is_open if kind == "checkout" else ""))
                for kind, state in states.items()} == {
            "payment": "charged_back", "subscription": "active", "invoice": "open", "dispute": "under_review",
            "checkout": "True",
        }  # fmt: skip
        for kind, external_id in ids.items():
            with pytest.raises(NotFound):
                connected(wire, account_external_id="200000099").fetch_object(kind, external_id)

    @pytest.mark.parametrize("kind", [ObjectKind.REFUND, ObjectKind.CUSTOMER, ObjectKind.PAYOUT])
    def test_says_which_kinds_have_no_road(self, wire: Wire, kind: ObjectKind) -> None:
        with pytest.raises(RequestRejected) as caught:
            connected(wire).fetch_object(kind, "17")

        assert caught.value.reason == "unsupported"
