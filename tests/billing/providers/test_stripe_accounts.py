"""Whose account it is: the endpoint that is made for it, thin events, Connect, and the SDK that serves it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from billing.providers._stripe_spec import API_VERSION, SPEC
from billing.providers._stripe_webhook import EVENTS
from billing.providers.stripe import StripeProvider
from core.secret import Secret, Secrets
from integrations.contract import (
    AppContext,
    Attempt,
    AuthenticationFailed,
    Misconfigured,
    RequestRejected,
    SignatureRefused,
    TokenSet,
    UnexpectedResponse,
)
from tests.billing.providers.test_stripe_verbs import form
from tests.signatures import arrived, signed
from tests.wire import Fixtures, Wire

URL = "https://registry.example/webhooks/stripe/t0k3n/"
KEY = {"secret_key": "sk_test_planted17"}
MADE = {**KEY, "webhook_secret": "whsec_test_made0017#we_1Test0050"}
THEIRS = {**KEY, "webhook_secret": "whsec_test_theirs0017"}
CONNECTED: dict[str, Any] = {
    "settings": {"account_id": "acct_1TestConnected0017"},
    "secrets": {"platform_key": "sk_test_platform17"},
}
APP = AppContext(provider="stripe", client_id="ca_test17", secrets=Secrets({"platform_key": "sk_test_platform17"}))
ATTEMPT = Attempt(state="s17", redirect_uri="https://registry.example/oauth/stripe/callback/", code=Secret("ac_test17"))


@pytest.fixture
def wire() -> Wire:
    """The vendor's side, which fails unplanned calls."""
    return Wire(provider=StripeProvider)


def connect(wire: Wire, secrets: dict[str, str], **context: Any) -> Any:
    return wire.connect(secrets=secrets, **{"id": "int_17", "webhook_url": URL, **context})


class TestRegisterWebhook:
    def test_makes_an_endpoint_in_our_version(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/webhook_endpoints", "webhooks__none")
        wire.answer("POST", "/v1/webhook_endpoints", "webhook__made")

        registered = connect(wire, KEY).register_webhook(URL)

        sent = form(wire.calls[-1])
        listed = [value for name, value in sent.items() if name.startswith("enabled_events")]
        assert {name: value for name, value in sent.items() if not name.startswith("enabled_events")} == {
            "url": URL,
            "api_version": API_VERSION,
            "description": "Integrations Registry",
            "metadata[ir_integration]": "int_17",
        }
        assert listed == list(EVENTS)
        assert (registered.url, registered.external_id) == (URL, "we_1Test0051")
        assert registered.secrets["webhook_secret"].reveal() == "whsec_test_made0017#we_1Test0051"

    @pytest.mark.parametrize("fixture", ["webhooks__ours", "webhooks__moved", "webhooks__disabled"])
    def test_makes_its_own_anew_for_a_secret_is_told_once(self, wire: Wire, fixture: str) -> None:
        wire.answer("GET", "/v1/webhook_endpoints", fixture)
        wire.answer("DELETE", "/v1/webhook_endpoints/we_1Test0050", "webhook__deleted")
        wire.answer("POST", "/v1/webhook_endpoints", "webhook__made")

        first = connect(wire, MADE).register_webhook(URL)
        second = connect(wire, MADE).register_webhook(URL)

        assert first == second or first.external_id == second.external_id
        made = [seen.headers["idempotency-key"] for seen in wire.calls if seen.method == "POST"]
        assert len(set(made)) == 2
        assert {seen.path for seen in wire.calls if seen.method == "DELETE"} == {"/v1/webhook_endpoints/we_1Test0050"}

    def test_leaves_a_customers_own_endpoint_and_secret(self, wire: Wire) -> None:
        registered = connect(wire, THEIRS).register_webhook(URL)

        assert len(registered.secrets) == 0
        assert wire.calls == []

    def test_its_marked_secret_verifies(self) -> None:
        request = signed(arrived(b'{"id":"evt_1","type":"x"}'), webhook=SPEC.webhook, secret="whsec_test_made0017")

        StripeProvider.verify(request, [Secret(MADE["webhook_secret"])])
        with pytest.raises(SignatureRefused):
            StripeProvider.verify(request, [Secret("#we_1Test0050"), Secret(THEIRS["webhook_secret"])])

    @pytest.mark.parametrize(
        ("secrets", "fixture", "is_registered"),
        [
            (MADE, "webhooks__ours", True),
            (MADE, "webhooks__none", False),
            (MADE, "webhooks__moved", False),
            (MADE, "webhooks__disabled", False),
            (MADE, "webhooks__old_version", False),
            (THEIRS, "webhooks__customers", True),
            (THEIRS, "webhooks__none", False),
        ],
    )
    def test_inspects_where_stripe_posts(
        self, wire: Wire, secrets: dict[str, str], fixture: str, is_registered: bool
    ) -> None:
        wire.answer("GET", "/v1/webhook_endpoints", fixture)

        state = connect(wire, secrets).inspect_webhook()

        assert state.registered is is_registered
        assert is_registered or state.detail

    def test_removes_what_it_made_alone(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/webhook_endpoints", "webhooks__ours")
        wire.answer("DELETE", "/v1/webhook_endpoints/we_1Test0050", "webhook__deleted")

        connect(wire, MADE).unregister_webhook()
        connect(wire, THEIRS).unregister_webhook()

        assert [seen.method for seen in wire.calls] == ["GET", "DELETE"]

    def test_an_endpoint_that_is_gone_is_removed(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/webhook_endpoints", "webhooks__ours")
        wire.answer("DELETE", "/v1/webhook_endpoints/we_1Test0050", "error__resource_missing")

        connect(wire, MADE).unregister_webhook()

        assert len(wire.calls) == 2

    def test_connected_accounts_are_served_by_the_platforms_endpoint(self, wire: Wire) -> None:
        provider = wire.connect(**CONNECTED)

        assert provider.register_webhook(URL).url == URL
        assert provider.inspect_webhook().registered
        provider.unregister_webhook()
        assert wire.calls == []


class TestFetch:
    def thin(self, name: str = "thin_invoice__own") -> Any:
        (event,) = StripeProvider.parse(arrived(Fixtures.of(StripeProvider).body(f"webhooks/{name}.json")))
        return event

    def test_reads_the_object_and_its_time(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/invoices/in_1Test0017", "invoice__paid")
        wire.answer("GET", "/v1/invoice_payments", "invoice_payments__one")

        event = wire.connect().fetch(self.thin())

        (state,) = StripeProvider.read_states(event)
        assert (event.thin, event.data["is_fetched"], event.data["vendor_type"]) == (
            False,
            True,
            "v1.invoice.payment_failed",
        )
        assert (state.status, state.payments, state.vendor_at) == ("paid", ("pi_3Test0050",), event.occurred_at)
        assert event.key == self.thin().key

    def test_an_invoice_payment_leads_to_its_invoice(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/invoices/in_1Test0010", "invoice__paid")
        wire.answer("GET", "/v1/invoice_payments", "invoice_payments__one")
        event = self.thin("invoice_payment_paid__own")

        fetched = wire.connect().fetch(event)

        assert event.thin
        assert StripeProvider.read_states(event) == ()
        (state,) = StripeProvider.read_states(fetched)
        assert state.external_id == "in_1Test0050"

    def test_what_is_gone_leaves_nothing_to_apply(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/invoices/in_1Test0017", "error__resource_missing")

        event = wire.connect().fetch(self.thin())

        assert (event.thin, event.data["is_fetched"], StripeProvider.read_states(event)) == (False, False, ())

    def test_an_event_of_another_account_is_not_read(self, wire: Wire) -> None:
        with pytest.raises(RequestRejected) as caught:
            wire.connect(account_external_id="acct_1TestOwn0017").fetch(self.thin("thin_invoice__connect"))

        assert caught.value.reason == "foreign_account"
        assert wire.calls == []

    def test_a_ping_is_not_fetched(self) -> None:
        body = {"id": "evt_1", "object": "v2.core.event", "type": "v2.core.event_destination.ping"}
        body |= {"related_object": {"id": "ed_1", "type": "v2.core.event_destination"}}  # type: ignore[dict-item]

        (event,) = StripeProvider.parse(arrived(json.dumps(body).encode()))

        assert (event.thin, event.type) == (False, "unknown")


class TestConnect:
    def test_the_dialog_names_us_and_the_attempt(self) -> None:
        assert StripeProvider.authorize_url(APP, ATTEMPT) == (
            "https://connect.stripe.com/oauth/authorize?response_type=code&client_id=ca_test17&scope=read_write"
            "&state=s17&redirect_uri=https%3A%2F%2Fregistry.example%2Foauth%2Fstripe%2Fcallback%2F"
        )

    def test_a_code_becomes_an_account(self, wire: Wire) -> None:
        wire.answer("POST", "/oauth/token", "oauth__token")

        tokens = StripeProvider.exchange_code(APP, wire.connect().outbound, ATTEMPT)

        (seen,) = wire.calls
        assert (seen.host, form(seen)) == (
            "connect.stripe.com",
            {"grant_type": "authorization_code", "code": "ac_test17"},
        )
        assert seen.headers["authorization"] == "Bearer sk_test_platform17"
        assert seen.headers["idempotency-key"] == "oauth-s17"
        assert tokens.account_external_id == "acct_1TestConnected0017"
        assert tokens.scopes == ("read_write",)

    def test_a_spent_code_asks_to_connect_anew(self, wire: Wire) -> None:
        wire.answer("POST", "/oauth/token", "error__invalid_grant")

        with pytest.raises(AuthenticationFailed) as caught:
            StripeProvider.exchange_code(APP, wire.connect().outbound, ATTEMPT)

        assert caught.value.next_action.startswith("Connect the account anew")

    def test_an_answer_without_an_account_is_unexpected(self, wire: Wire) -> None:
        wire.answer("POST", "/oauth/token", "oauth__no_account")

        with pytest.raises(UnexpectedResponse):
            StripeProvider.exchange_code(APP, wire.connect().outbound, ATTEMPT)

    def test_the_account_is_proved_with_the_platforms_key(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/account", "account__connected")
        tokens = TokenSet(access_token=Secret("sk_test_x"), account_external_id="acct_1TestConnected0017")

        (account,) = StripeProvider.list_accounts(APP, wire.connect().outbound, tokens)

        assert wire.calls[0].headers["stripe-account"] == "acct_1TestConnected0017"
        assert (account.label, dict(account.settings)) == ("Loja Conectada", {"account_id": "acct_1TestConnected0017"})

    def test_every_call_names_the_connected_account(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/account", "account__connected")

        result = wire.connect(**CONNECTED).check()

        assert wire.calls[0].headers["stripe-account"] == "acct_1TestConnected0017"
        assert wire.calls[0].headers["authorization"] == "Bearer sk_test_platform17"
        assert [key.value for key in result.account_keys] == ["account:acct_1TestConnected0017"]
        assert result.environment == "test"

    def test_another_account_that_answers_is_noticed(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/account", "account__ok")

        with pytest.raises(AuthenticationFailed):
            wire.connect(**CONNECTED).check()

    def test_a_revoked_platform_must_connect_anew(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/account", "error__account_invalid")

        with pytest.raises(AuthenticationFailed) as caught:
            wire.connect(**CONNECTED).check()

        assert caught.value.vendor_code == "account_invalid"

    @pytest.mark.parametrize(
        "secrets", [{"secret_key": "sk_test_planted17"}, {}, {**KEY, "platform_key": "sk_test_platform17"}]
    )
    def test_an_account_that_somebody_typed_is_refused(self, secrets: dict[str, str]) -> None:
        assert "account_id" in StripeProvider.validate({"account_id": "acct_1Test"}, Secrets(secrets))
        assert StripeProvider.validate(CONNECTED["settings"], Secrets(CONNECTED["secrets"])) == {}
        assert "account_id" not in {field.name for field in SPEC.settings}

    @pytest.mark.parametrize("changes", [{"settings": {"account_id": "../x"}}, {"secrets": KEY}])
    def test_half_a_connection_makes_no_call(self, wire: Wire, changes: dict[str, Any]) -> None:
        with pytest.raises(Misconfigured):
            wire.connect(**{**CONNECTED, **changes}).check()

        assert wire.calls == []

    def test_the_platforms_endpoint_is_split_by_account(self) -> None:
        body = Fixtures.of(StripeProvider).body("webhooks/payment_intent_succeeded__connect.json")

        assert list(StripeProvider.split(arrived(body))) == ["account:acct_1TestConnected0017"]

    def test_opens_an_account_and_sends_its_owner_there(self, wire: Wire) -> None:
        wire.answer("POST", "/v1/accounts", "account__connected")
        wire.answer("POST", "/v1/account_links", "account_link__made")

        account = StripeProvider.open_account(
            APP,
            wire.connect().outbound,
            country="br",
            email="loja@example.com",
            reference="org-17",
            idempotency_key="open-17",
        )
        url, ends_at = wire.connect(**CONNECTED).create_account_link(
            refresh_url="https://registry.example/again",
            return_url="https://registry.example/done",
            idempotency_key="link-17",
        )

        opened, linked = wire.calls
        assert account.external_id == "acct_1TestConnected0017"
        assert form(opened)["country"] == "BR"
        assert opened.headers["idempotency-key"] == "open-17"
        assert form(linked) == {
            "account": "acct_1TestConnected0017",
            "type": "account_onboarding",
            "refresh_url": "https://registry.example/again",
            "return_url": "https://registry.example/done",
        }
        assert "stripe-account" not in linked.headers
        assert url == "https://connect.stripe.com/setup/e/acct_1TestConnected0017/test"
        assert int(ends_at.timestamp()) == 1795400300

    def test_an_own_key_has_no_account_to_complete(self, wire: Wire) -> None:
        with pytest.raises(Misconfigured):
            wire.connect().create_account_link(refresh_url="x", return_url="y", idempotency_key="z")


class TestSdk:
    def test_is_not_loaded_before_the_first_call(self) -> None:
        script = "import sys, billing.providers.stripe; print('stripe' in sys.modules)"

        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

        assert done.stdout.strip() == "False"

    def test_keeps_nothing_global_and_tells_nothing_of_us(self, wire: Wire) -> None:
        wire.play("ok")

        wire.connect().check()

        import stripe

        assert stripe.api_key is None
        assert stripe.enable_telemetry is False

    def test_prints_and_logs_no_body(self) -> None:
        script = (
            "import logging, os\n"
            "os.environ['STRIPE_LOG'] = 'debug'\n"
            "logging.basicConfig(level=logging.DEBUG)\n"
            "from tests.wire import Wire\n"
            "from billing.providers.stripe import StripeProvider\n"
            "wire = Wire(provider=StripeProvider)\n"
            "wire.play('ok')\n"
            "wire.connect().check()\n"
        )

        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

        assert "Loja Exemplo" not in done.stdout + done.stderr
        assert "planted17" not in done.stdout + done.stderr
