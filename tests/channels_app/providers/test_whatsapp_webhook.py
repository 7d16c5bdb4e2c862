"""Where Meta posts: registering, removing and inspecting overrides without harming a neighbor number."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.contract import Misconfigured, RequestRejected, UnexpectedResponse
from tests.wire import Wire

PHONE = "/v26.0/100000000000001"
ACCOUNT = "/v26.0/200000000000001"
SUBSCRIBED = f"{ACCOUNT}/subscribed_apps"
OURS = "https://registry.example/webhooks/whatsapp/test-route/"
OVERRIDE = {"override_callback_uri": OURS, "verify_token": "test-verify-token-17"}


def plan(wire: Wire, *, subscription: str, numbers: str, configuration: str) -> None:
    wire.answer("GET", SUBSCRIBED, f"subscribed_apps__{subscription}")
    wire.answer("GET", f"{ACCOUNT}/phone_numbers", f"phone_numbers__{numbers}")
    wire.answer("GET", PHONE, f"webhook_configuration__{configuration}")
    wire.answer("POST", SUBSCRIBED, "success")
    wire.answer("POST", PHONE, "success")
    wire.answer("DELETE", SUBSCRIBED, "success")


def writes(wire: Wire) -> list[tuple[str, str, Any]]:
    return [(seen.method, seen.path, seen.json) for seen in wire.calls if seen.method != "GET"]


class TestRegister:
    def test_sets_the_accounts_override(self, wire: Wire, whatsapp: Any) -> None:
        plan(wire, subscription="none", numbers="one", configuration="app")

        registered = whatsapp.register_webhook(OURS)

        assert writes(wire) == [("POST", SUBSCRIBED, OVERRIDE)]
        assert registered.url == OURS

    def test_sets_the_numbers_own_where_the_account_has_more(self, wire: Wire, whatsapp: Any) -> None:
        plan(wire, subscription="none", numbers="foreign", configuration="app")

        whatsapp.register_webhook(OURS)

        assert writes(wire) == [("POST", SUBSCRIBED, OVERRIDE), ("POST", PHONE, {"webhook_configuration": OVERRIDE})]

    def test_leaves_the_override_of_a_neighbor_alone(self, wire: Wire, whatsapp: Any) -> None:
        plan(wire, subscription="elsewhere", numbers="foreign", configuration="app")

        whatsapp.register_webhook(OURS)

        assert writes(wire) == [("POST", PHONE, {"webhook_configuration": OVERRIDE})]

    def test_replaces_an_override_of_the_number_that_would_win(self, wire: Wire, whatsapp: Any) -> None:
        plan(wire, subscription="ours", numbers="one", configuration="elsewhere")

        whatsapp.register_webhook(OURS)

        assert writes(wire)[-1] == ("POST", PHONE, {"webhook_configuration": OVERRIDE})

    def test_refuses_a_url_that_is_too_long(self, wire: Wire, whatsapp: Any) -> None:
        plan(wire, subscription="none", numbers="one", configuration="app")

        with pytest.raises(RequestRejected):
            whatsapp.register_webhook("https://registry.example/" + "x" * 200)

        assert writes(wire) == []

    @pytest.mark.parametrize(("subscription", "numbers"), [("none", "one"), ("elsewhere", "foreign")])
    def test_needs_a_verify_token(self, wire: Wire, subscription: str, numbers: str) -> None:
        plan(wire, subscription=subscription, numbers=numbers, configuration="app")

        with pytest.raises(Misconfigured):
            wire.connect(secrets={"access_token": "EAAtest"}).register_webhook(OURS)

    def test_does_not_believe_an_answer_without_success(self, wire: Wire, whatsapp: Any) -> None:
        plan(wire, subscription="none", numbers="one", configuration="app")
        wire.answer("POST", SUBSCRIBED, "success__not")

        with pytest.raises(UnexpectedResponse):
            whatsapp.register_webhook(OURS)


class TestUnregister:
    def test_ends_the_subscription_with_the_last_number(self, wire: Wire) -> None:
        plan(wire, subscription="ours", numbers="one", configuration="account")

        wire.connect(webhook_url=OURS).unregister_webhook()

        assert writes(wire) == [("DELETE", SUBSCRIBED, None)]

    def test_clears_our_override_alone_where_neighbors_remain(self, wire: Wire) -> None:
        plan(wire, subscription="ours", numbers="foreign", configuration="number")

        wire.connect(webhook_url=OURS).unregister_webhook()

        assert writes(wire) == [
            ("POST", PHONE, {"webhook_configuration": {"override_callback_uri": ""}}),
            ("POST", SUBSCRIBED, {}),
        ]

    @pytest.mark.parametrize("subscription", ["elsewhere", "none", "other_app"])
    def test_touches_nothing_that_is_not_ours(self, wire: Wire, subscription: str) -> None:
        plan(wire, subscription=subscription, numbers="one", configuration="elsewhere")

        wire.connect(webhook_url=OURS).unregister_webhook()

        assert writes(wire) == []


class TestInspect:
    @pytest.mark.parametrize(
        ("subscription", "configuration", "is_registered"),
        [
            ("ours", "account", True),
            ("elsewhere", "number", True),
            ("ours", "elsewhere", False),
            ("app_only", "app", False),
            ("app_only", "unnamed", True),
            ("ours", "unnamed", True),
            ("elsewhere", "unnamed", False),
            ("none", "account", False),
        ],
    )
    def test_tells_where_messages_of_the_number_go(
        self, wire: Wire, subscription: str, configuration: str, is_registered: bool
    ) -> None:
        plan(wire, subscription=subscription, numbers="one", configuration=configuration)

        state = wire.connect(webhook_url=OURS).inspect_webhook()

        assert state.registered is is_registered
        assert bool(state.detail) is not is_registered

    def test_on_the_platforms_url_a_subscription_is_enough(self, wire: Wire, whatsapp: Any) -> None:
        plan(wire, subscription="app_only", numbers="one", configuration="app")

        assert whatsapp.inspect_webhook().url == "https://example.com/meta"
