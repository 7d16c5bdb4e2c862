"""Stripe's faults, forms and repeats at the level of the wire."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import stripe

from tests.sandbox.conftest import Sandbox
from tests.sandbox.stripe_client import CHARGE, KEY, client


def post(sandbox: Sandbox, path: str, **options: object) -> requests.Response:
    headers = {"Authorization": f"Bearer {KEY}"} | options.pop("headers", {})
    return requests.post(f"{sandbox.url}/stripe/v1/{path}", headers=headers, timeout=5, **options)


class TestForm:
    @pytest.mark.parametrize(
        "body",
        ["email[=a@example.com", "metadata=x", "metadata[a][b]=c", "address=x", "preferred_locales=pt", "email[x]=y"],
    )
    def test_refuses_malformed_names_and_shapes(self, sandbox: Sandbox, body: str) -> None:
        answer = post(sandbox, "customers", data=body, headers={"Content-Type": "application/x-www-form-urlencoded"})

        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")

    def test_refuses_json(self, sandbox: Sandbox) -> None:
        assert post(sandbox, "customers", json={"email": "a@example.com"}).status_code == 400

    def test_says_what_cannot_be_unset(self, sandbox: Sandbox) -> None:
        answer = post(sandbox, "payment_intents", data={"amount": "500", "currency": ""})

        assert answer.json()["error"]["code"] == "parameter_invalid_empty"


class TestRepeat:
    def test_at_the_same_time_acts_once(self, sandbox: Sandbox) -> None:
        form = {"amount": "500", "currency": "brl"}

        with ThreadPoolExecutor(8) as pool:
            calls = [
                pool.submit(post, sandbox, "payment_intents", data=form, headers={"Idempotency-Key": "op-5"})
                for _ in range(16)
            ]
        answers = [call.result() for call in calls]

        assert {answer.status_code for answer in answers} <= {200, 409}
        assert len({answer.json()["id"] for answer in answers if answer.ok}) == 1
        assert len(client(sandbox).v1.payment_intents.list().data) == 1
        for answer in answers:
            assert answer.ok or answer.json()["error"]["code"] == "idempotency_key_in_use"

    def test_may_follow_a_call_that_was_refused_for_its_form(self, sandbox: Sandbox) -> None:
        again = {"Idempotency-Key": "op-6"}

        refused = post(sandbox, "payment_intents", data={"amount": "5", "currency": "brl"}, headers=again)
        mended = post(sandbox, "payment_intents", data={"amount": "500", "currency": "brl"}, headers=again)
        elsewhere = post(sandbox, "customers", data={}, headers=again)

        assert (refused.status_code, mended.status_code) == (400, 200)
        assert (elsewhere.status_code, elsewhere.json()["error"]["type"]) == (400, "idempotency_error")


class TestFault:
    @pytest.mark.parametrize(
        ("code", "status", "error"),
        [
            ("lock_timeout", 429, stripe.RateLimitError),
            ("idempotency_key_in_use", 409, stripe.APIError),
            ("card_declined", 402, stripe.CardError),
            ("api_key_expired", 401, stripe.AuthenticationError),
        ],
    )
    def test_speaks_stripe(self, sandbox: Sandbox, code: str, status: int, error: type[stripe.StripeError]) -> None:
        sandbox.control("POST", "/faults", {"vendor": "stripe", "kind": "code", "code": code, "times": 1})

        with pytest.raises(error) as caught:
            client(sandbox).v1.customers.create({})

        assert (caught.value.http_status, caught.value.json_body["error"]["code"]) == (status, code)
        assert client(sandbox).v1.customers.list().data == []

    def test_after_the_act_is_healed_by_the_same_key(self, sandbox: Sandbox) -> None:
        fault = {
            "vendor": "stripe",
            "kind": "500",
            "times": 1,
            "operation": "POST /v1/payment_intents",
            "moment": "after",
        }
        sandbox.control("POST", "/faults", fault)
        intents, again = client(sandbox).v1.payment_intents, {"idempotency_key": "op-8"}

        with pytest.raises(stripe.APIError):
            intents.create(CHARGE, again)
        made = intents.create(CHARGE, again)

        assert [intent.id for intent in intents.list().data] == [made.id]
