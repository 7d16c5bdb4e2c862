"""Stripe: keys, versions, repeats, webhook endpoints, signed events."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any

import pytest
import requests

from tests.sandbox.conftest import Receiver, Sandbox

VERSION = "2026-10-28.endive"
RECENT = int(time.time()) - 3600  # events are listed for 30 days


def call(
    sandbox: Sandbox,
    method: str,
    path: str,
    *,
    key: str | None = None,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> requests.Response:
    listed = sandbox.control("GET", "/stripe/accounts")["accounts"][0]["keys"]
    sent = {"Authorization": f"Bearer {key or listed[0]['key']}", "Stripe-Version": VERSION} | (headers or {})
    return requests.request(method, f"{sandbox.url}/stripe/v1/{path}", headers=sent, timeout=5, **more)


class TestKey:
    def test_opens_account_and_balance(self, sandbox: Sandbox) -> None:
        account, balance = call(sandbox, "GET", "account"), call(sandbox, "GET", "balance")

        assert account.json()["id"].startswith("acct_")
        assert balance.json()["livemode"] is False
        assert account.headers["Request-Id"].startswith("req_")

    def test_may_be_sent_as_basic_user(self, sandbox: Sandbox) -> None:
        key = sandbox.control("GET", "/stripe/accounts")["accounts"][0]["keys"][0]["key"]

        assert requests.get(f"{sandbox.url}/stripe/v1/balance", auth=(key, ""), timeout=5).ok

    def test_is_refused_when_unknown_or_revoked(self, sandbox: Sandbox) -> None:
        made = sandbox.control("POST", "/stripe/keys", {"rights": ["balance"]})["key"]
        assert call(sandbox, "GET", "balance", key=made).ok
        sandbox.control("POST", f"/stripe/keys/{made}/revoke")

        unknown, revoked = (
            call(sandbox, "GET", "balance", key="sk_test_none"),
            call(sandbox, "GET", "balance", key=made),
        )

        assert (unknown.status_code, unknown.json()["error"]["type"]) == (401, "invalid_request_error")
        assert (revoked.status_code, revoked.json()["error"]["code"]) == (401, "api_key_expired")

    def test_with_few_rights_is_refused_with_403(self, sandbox: Sandbox) -> None:
        restricted = sandbox.control("GET", "/stripe/accounts")["accounts"][0]["keys"][1]["key"]

        answer = call(sandbox, "GET", "account", key=restricted)

        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "more_permissions_required_for_application"
        assert call(sandbox, "GET", "balance", key=restricted).ok


class TestCall:
    def test_refuses_a_version_that_never_was(self, sandbox: Sandbox) -> None:
        assert call(sandbox, "GET", "balance", headers={"Stripe-Version": "2026-10-28.unicorn"}).status_code == 400

    def test_refuses_unknown_paths(self, sandbox: Sandbox) -> None:
        assert call(sandbox, "GET", "novelties").status_code == 404

    def test_is_remembered_by_its_idempotency_key(self, sandbox: Sandbox) -> None:
        form = {"url": "https://hooks.example.com/stripe", "enabled_events[0]": "invoice.paid"}
        again = {"Idempotency-Key": "op-7"}

        first = call(sandbox, "POST", "webhook_endpoints", data=form, headers=again)
        second = call(sandbox, "POST", "webhook_endpoints", data=form, headers=again)
        other = call(sandbox, "POST", "webhook_endpoints", data=form | {"description": "x"}, headers=again)

        assert first.json() == second.json()
        assert second.headers["Idempotent-Replayed"] == "true"
        assert (other.status_code, other.json()["error"]["type"]) == (400, "idempotency_error")
        assert len(call(sandbox, "GET", "webhook_endpoints").json()["data"]) == 1

    @pytest.mark.parametrize(
        "form",
        [{}, {"url": "hooks.example.com", "enabled_events[0]": "*"}, {"url": "https://hooks.example.com"},
         {"url": "https://hooks.example.com", "enabled_events[0]": "*", "novelty": "1"}],
    )  # fmt: skip
    def test_refuses_wrong_endpoints(self, sandbox: Sandbox, form: dict[str, str]) -> None:
        assert call(sandbox, "POST", "webhook_endpoints", data=form).status_code == 400


class TestEvent:
    def test_is_signed_with_the_endpoints_secret(self, sandbox: Sandbox, receiver: Receiver) -> None:
        form = {"url": receiver.url, "enabled_events[0]": "invoice.paid"}
        made = call(sandbox, "POST", "webhook_endpoints", data=form).json()

        event = {"endpoint": made["id"], "type": "invoice.paid", "object": {"id": "in_test"}}
        sandbox.control("POST", "/stripe/events", event)
        _, headers, body = receiver.next()

        stamp, digest = (part.partition("=")[2] for part in headers["stripe-signature"].split(","))
        expected = hmac.new(made["secret"].encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        assert digest == expected
        assert json.loads(body)["data"]["object"] == {"id": "in_test"}

    def test_secret_is_shown_only_once(self, sandbox: Sandbox) -> None:
        form = {"url": "https://hooks.example.com/stripe", "enabled_events[0]": "*"}
        made = call(sandbox, "POST", "webhook_endpoints", data=form).json()

        assert "secret" in made
        assert "secret" not in call(sandbox, "GET", f"webhook_endpoints/{made['id']}").json()
        assert call(sandbox, "DELETE", f"webhook_endpoints/{made['id']}").json()["deleted"] is True
        assert call(sandbox, "DELETE", f"webhook_endpoints/{made['id']}").status_code == 404


class TestEventList:
    def test_lists_newest_first_in_pages_what_was_lost_too(self, sandbox: Sandbox) -> None:
        for at in range(3):
            event = {"id": f"evt_{at}", "type": "invoice.paid", "lost": True, "created": RECENT + at}
            sandbox.control("POST", "/stripe/events", event)

        first = call(sandbox, "GET", "events", params={"created[gte]": RECENT, "limit": 2}).json()
        after = {"created[gte]": RECENT, "limit": 2, "starting_after": "evt_1"}
        second = call(sandbox, "GET", "events", params=after).json()
        later = call(sandbox, "GET", "events", params={"created[gte]": RECENT + 2}).json()

        assert ([event["id"] for event in first["data"]], first["has_more"]) == (["evt_2", "evt_1"], True)
        assert ([event["id"] for event in second["data"]], second["has_more"]) == (["evt_0"], False)
        assert [event["id"] for event in later["data"]] == ["evt_2"]

    @pytest.mark.parametrize(
        "query", [{"limit": "0"}, {"limit": "x"}, {"starting_after": "evt_none"}, {"novelty": "1"}]
    )
    def test_refuses_wrong_questions(self, sandbox: Sandbox, query: dict[str, str]) -> None:
        assert call(sandbox, "GET", "events", params=query).status_code == 400
