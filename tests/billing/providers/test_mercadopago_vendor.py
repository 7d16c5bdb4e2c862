"""
Every MercadoPago payload of the vendor's shapes: signed notifications, payments, errors, tokens.

The payloads lie where VENDOR_FIXTURES points; they are test data of CI and no part of this repository.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from billing.providers import _mercadopago_states
from billing.providers._mercadopago_api import read_error
from billing.providers._mercadopago_json import items, read_answer
from billing.providers.mercadopago import MercadoPagoProvider
from core.secret import Secret
from integrations.contract import InboundRequest, OutboundResponse, SignatureRefused, UnexpectedResponse
from integrations.contract.errors import ProviderError

pytestmark = pytest.mark.vendor_fixtures

AT = datetime.fromtimestamp(1795000000, UTC)

PAYMENTS = {
    "pix_pending": ("requires_action", 10000, 0, "pix"),
    "pix_approved": ("succeeded", 10000, 10000, "pix"),
    "pix_expired": ("expired", 10000, 0, "pix"),
    "boleto_pending": ("requires_action", 10000, 0, "boleto"),
    "card_approved": ("succeeded", None, None, "card"),
    "card_approved_12_installments": ("succeeded", None, None, "card"),
    "card_rejected_201": ("failed", 1234, 0, "card"),
    "card_partially_refunded": ("partially_refunded", 1234, 1234, "card"),
    "card_charged_back": ("charged_back", None, None, "card"),
}
"""File -> status, amount asked and received where it is told here, method."""


@pytest.fixture
def folder(vendor_fixtures: Path) -> Path:
    return vendor_fixtures / "payments" / "mercadopago"


@pytest.fixture
def index(vendor_fixtures: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((vendor_fixtures / "payments" / "index.json").read_text())
    return found


def notifications(folder: Path) -> dict[str, dict[str, Any]]:
    return {path.name: json.loads(path.read_text()) for path in sorted((folder / "webhooks").glob("*.json"))}


def request_of(sample: dict[str, Any], *, body: Any = None) -> InboundRequest:
    return InboundRequest(
        method=sample["method"],
        headers=sample["headers"],
        query=dict(parse_qsl(sample["query"])),
        body=json.dumps(sample["body"] if body is None else body).encode(),
        received_at=AT,
    )


class TestNotifications:
    def test_signed_ones_pass_and_unsigned_ones_do_not(self, folder: Path) -> None:
        samples = notifications(folder)

        for sample in samples.values():
            request, secrets = request_of(sample), [Secret("test-other"), Secret(sample["secret"])]
            if sample["manifest"] is None:
                with pytest.raises(SignatureRefused):
                    MercadoPagoProvider.verify(request, secrets)
                continue
            MercadoPagoProvider.verify(request, secrets)
            with pytest.raises(SignatureRefused):
                MercadoPagoProvider.verify(request, [Secret("test-other")])
            swapped = request_of(sample, body={**sample["body"], "data": {"id": "999"}})
            with pytest.raises(SignatureRefused):
                MercadoPagoProvider.verify(swapped, secrets)
            moved = replace(request, query={**request.query, "data.id": "999"})
            with pytest.raises(SignatureRefused):
                MercadoPagoProvider.verify(moved, secrets)

        assert len(samples) > 10

    def test_each_is_one_event_with_its_key(self, folder: Path, index: dict[str, Any]) -> None:
        for name, sample in notifications(folder).items():
            request = request_of(sample)
            if sample["manifest"] is None:
                continue
            (event,) = MercadoPagoProvider.parse(request)
            assert index[f"mercadopago/webhooks/{name}"]["dedup_key"] in event.key
            assert event.account_key == f"account:{sample['body']['user_id']}"
            assert event.external_id == request.query["data.id"]
            assert event.thin


class TestAnswers:
    @pytest.mark.parametrize("name", PAYMENTS)
    def test_a_payment_is_read(self, folder: Path, name: str) -> None:
        payment = read_answer((folder / "payments" / f"{name}.json").read_bytes())
        status, amount, received, method = PAYMENTS[name]

        state = _mercadopago_states.payment_state(payment, environment="live")

        assert (str(state.status), state.method) == (status, method)
        assert amount is None or (state.amount_minor, state.amount_received_minor) == (amount, received)
        assert received is not None or state.amount_received_minor == state.amount_minor > 0
        assert state.account == str(payment["collector_id"])

    def test_no_payment_is_left_out(self, folder: Path) -> None:
        names = {path.stem for path in (folder / "payments").glob("*.json")}

        assert names == {*PAYMENTS, "search_page"}

    def test_a_page_of_the_search_is_read(self, folder: Path) -> None:
        page = read_answer((folder / "payments" / "search_page.json").read_bytes())

        states = [_mercadopago_states.payment_state(row, environment="live") for row in items(page["results"])]

        assert len(states) == len(page["results"]) > 0

    def test_other_objects_are_read(self, folder: Path) -> None:
        def read(name: str) -> Any:
            return read_answer((folder / f"{name}.json").read_bytes())

        invoice, dispute = read("authorized_payment"), read("chargeback")

        assert str(_mercadopago_states.subscription_state(read("preapproval"), environment="").status) == "incomplete"
        assert [str(state.status) for state in _mercadopago_states.invoice_states(invoice, environment="")] == ["paid"]
        assert [state.payment for state in _mercadopago_states.dispute_states(dispute, environment="")] == [
            "19951521071"
        ]
        assert _mercadopago_states.checkout_state(read("preference"), environment="").url
        assert _mercadopago_states.order_states(read("merchant_order"), environment="") == []


class TestErrors:
    WORDS: dict[str, str] = {
        "authentication_error": "AuthenticationFailed",
        "permission_error": "PermissionMissing",
        "invalid_request": "RequestRejected",
        "not_found": "NotFound",
        "rate_limit": "RateLimited",
        "temporary_failure": "Unavailable",
    }

    def test_each_is_classified_by_the_table(self, folder: Path) -> None:
        paths = [*(folder / "errors").glob("*.json"), *(folder / "oauth").glob("error_*.json")]

        for path in paths:
            sample = json.loads(path.read_text())
            body = sample["body"] if isinstance(sample["body"], str) else json.dumps(sample["body"])
            answer = OutboundResponse(status=sample["http_status"], headers={}, body=body.encode())
            rule = MercadoPagoProvider.spec.rule_for(read_error(answer))
            assert rule is not None, path.name
            assert issubclass(rule.error, ProviderError)
            assert rule.error.__name__ == self.WORDS[sample["expected_class"].split(";")[0].split(" ")[0]], path.name

        assert len(paths) > 12

    def test_html_is_no_answer(self, folder: Path) -> None:
        sample = json.loads((folder / "errors" / "html_502.json").read_text())

        with pytest.raises(UnexpectedResponse):
            read_answer(sample["body"].encode())
