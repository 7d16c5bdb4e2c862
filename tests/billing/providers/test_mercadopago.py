"""What is special to MercadoPago: whose token it is, what its signature covers, thin notifications, its login."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from billing.providers._mercadopago_webhook import manifest
from billing.providers.mercadopago import SPEC, MercadoPagoProvider
from core import clock
from core.secret import Secret, Secrets
from integrations.contract import (
    AppContext,
    Attempt,
    AuthenticationFailed,
    InboundEvent,
    InboundRequest,
    Misconfigured,
    NotFound,
    SignatureRefused,
    UnexpectedResponse,
)
from tests.signatures import ARRIVED_AT, arrived
from tests.wire import Fixtures, Wire

SECRET = "test-webhook-secret17"
SELLER = "200000017"
PAYMENT = "/v1/payments/90000000017"


@pytest.fixture
def wire() -> Wire:
    """The vendor's side, which fails unplanned calls."""
    return Wire(provider=MercadoPagoProvider)


@pytest.fixture
def fixtures() -> Fixtures:
    return Fixtures.of(MercadoPagoProvider)


class TestCheck:
    def test_names_seller_environment_and_ways_to_pay(self, wire: Wire) -> None:
        wire.play("ok")

        result = wire.connect().check()

        assert (result.account.external_id, result.account.label) == (SELLER, "TESTSELLER0017")
        assert (result.environment, result.found) == ("test", {"collector_id": SELLER})
        assert {verdict.capability for verdict in result.verdicts} == {"reads_account", "takes_payments", "takes_pix"}
        assert result.facts["methods"] == ["account_money", "boleto", "card", "pix", "ticket"]
        assert [seen.headers["authorization"] for seen in wire.calls] == ["Bearer TEST-1000000000000017-planted17"] * 2

    def test_says_that_pix_is_not_active(self, wire: Wire) -> None:
        wire.play("ok")
        wire.answer("GET", "/v1/payment_methods", "payment_methods__no_pix")

        verdicts = {verdict.capability: verdict for verdict in wire.connect().check().verdicts}

        assert verdicts["takes_payments"].ok
        assert "PIX key" in verdicts["takes_pix"].detail
        assert not verdicts["takes_pix"].ok

    def test_refuses_a_country_that_is_not_the_accounts(self, wire: Wire) -> None:
        wire.answer("GET", "/users/me", "users_me__argentina")

        with pytest.raises(Misconfigured) as caught:
            wire.connect().check()

        assert caught.value.field == "country"
        assert "AR" in caught.value.next_action

    def test_asks_no_pix_of_argentina(self, wire: Wire) -> None:
        wire.answer("GET", "/users/me", "users_me__argentina")
        wire.answer("GET", "/v1/payment_methods", "payment_methods__none")

        result = wire.connect(settings={"country": "AR"}).check()

        assert [(item.capability, item.ok) for item in result.verdicts] == [
            ("reads_account", True),
            ("takes_payments", False),
        ]

    def test_a_typed_seller_id_proves_nothing(self, wire: Wire) -> None:
        wire.play("ok")

        with pytest.raises(Misconfigured) as caught:
            wire.connect(settings={"country": "BR", "collector_id": "200000099"}).check()

        assert caught.value.field == "collector_id"

    @pytest.mark.parametrize(
        ("me", "token", "environment"),
        [
            ("users_me__live", "APP_USR-1000000000000017-planted17", "live"),
            ("users_me__ok", "APP_USR-1000000000000017-planted17", "test"),
            ("users_me__live", "TEST-1000000000000017-planted17", "test"),
        ],
    )
    def test_a_test_user_is_test_whatever_its_token_looks_like(
        self, wire: Wire, me: str, token: str, environment: str
    ) -> None:
        wire.play("ok")
        wire.answer("GET", "/users/me", me)

        assert wire.connect(secrets={"access_token": token}).check().environment == environment

    def test_a_blocked_account_is_degraded(self, wire: Wire) -> None:
        wire.play("ok")
        wire.answer("GET", "/users/me", "users_me__blocked")

        assert "deactive" in wire.connect().check().degraded
        assert wire.connect(account_external_id=SELLER).probe() is None

    @pytest.mark.parametrize("fixture", ["not_json", "not_an_object"])
    def test_does_not_guess_an_account(self, wire: Wire, fixture: str) -> None:
        wire.answer("GET", "/users/me", fixture)

        with pytest.raises(UnexpectedResponse):
            wire.connect().check()

    def test_probes_with_one_call_and_checks_whole_when_it_is_another_seller(self, wire: Wire) -> None:
        wire.answer("GET", "/users/me", "users_me__ok")

        account = wire.connect(account_external_id=SELLER).probe()

        assert account is not None
        assert account.external_id == SELLER
        assert wire.connect(account_external_id="200000099").probe() is None
        assert [seen.path for seen in wire.calls] == ["/users/me"] * 2


class TestValidate:
    def test_refuses_keys_of_two_environments(self) -> None:
        token = {"access_token": "TEST-1000000000000017-planted17"}

        assert "public_key" in MercadoPagoProvider.validate({}, Secrets({**token, "public_key": "APP_USR-test-17"}))
        assert MercadoPagoProvider.validate({}, Secrets({**token, "public_key": "TEST-test-17"})) == {}
        assert MercadoPagoProvider.validate({}, Secrets(token)) == {}


def notified(
    body: dict[str, Any], *, query_id: str = "", request_id: str = "", ts: str = "", lower: bool = False
) -> Any:
    """Make a notification and sign it as the vendor does."""
    stamp = ts or str(int(ARRIVED_AT.timestamp()))
    signed_id = query_id.lower() if lower else query_id
    digest = hmac.new(
        SECRET.encode(), manifest(signed_id, request_id=request_id, stamp=stamp).encode(), hashlib.sha256
    ).hexdigest()
    headers = {"x-signature": f"ts={stamp},v1={digest}", **({"x-request-id": request_id} if request_id else {})}
    query = {"data.id": query_id, "type": "payment"} if query_id else {}
    return replace(arrived(json.dumps(body).encode(), headers=headers), query=query)


def verify(request: InboundRequest) -> str:
    """Return why a request is refused, "" when it is taken."""
    try:
        MercadoPagoProvider.verify(request, [Secret("test-other"), Secret(SECRET)])
    except SignatureRefused as refused:
        return refused.reason
    return ""


class TestVerify:
    ORDER = "ORDTST01TESTORDER00000000000017"

    def body(self, object_id: str, **more: Any) -> dict[str, Any]:
        return {"id": 1, "type": "payment", "user_id": int(SELLER), "data": {"id": object_id}, **more}

    @pytest.mark.parametrize("lower", [True, False])
    def test_takes_the_id_as_received_and_in_lower_case(self, lower: bool) -> None:
        request = notified(self.body(self.ORDER), query_id=self.ORDER, request_id="r-17", lower=lower)

        assert verify(request) == ""

    @pytest.mark.parametrize("unit", [1, 1000])
    def test_takes_seconds_and_milliseconds(self, unit: int) -> None:
        ts = str(int(ARRIVED_AT.timestamp()) * unit)

        assert verify(notified(self.body("17"), query_id="17", request_id="r", ts=ts)) == ""

    @pytest.mark.parametrize("unit", [1, 1000])
    def test_takes_a_late_repetition_and_no_older_one(self, unit: int) -> None:
        def aged(seconds: float) -> str:
            return verify(notified(self.body("17"), query_id="17", ts=str(int((now - seconds) * unit))))

        now, tolerance = ARRIVED_AT.timestamp(), SPEC.webhook.tolerance_s if SPEC.webhook else 0.0

        assert aged(tolerance - 5) == ""
        assert aged(tolerance + 5) == "stale"
        assert aged(-tolerance - 5) == "stale"

    def test_leaves_missing_parts_out_of_the_manifest(self) -> None:
        assert manifest("", request_id="", stamp="1") == "ts:1;"
        assert manifest("17", request_id="", stamp="1") == "id:17;ts:1;"
        assert manifest("17", request_id="r", stamp="1") == "id:17;request-id:r;ts:1;"
        assert verify(notified({"type": "payment"}, request_id="r")) == ""

    def test_refuses_a_body_swapped_under_a_valid_manifest(self) -> None:
        request = notified(self.body("17"), query_id="17", request_id="r")

        swapped = replace(request, body=json.dumps(self.body("18")).encode())

        assert verify(request) == ""
        assert verify(swapped) == "wrong"
        assert verify(replace(request, body=b"<html>")) == "wrong"

    def test_refuses_a_body_that_names_an_id_where_none_is_signed(self) -> None:
        assert verify(notified(self.body("17"))) == "wrong"

    def test_a_request_id_cannot_stand_in_for_a_part_of_the_id(self) -> None:
        request = notified(self.body("17"), query_id="17", request_id="r")
        moved = replace(
            request,
            query={"data.id": "17;request-id:r"},
            headers={"x-signature": request.headers["x-signature"]},
            body=json.dumps(self.body("17;request-id:r")).encode(),
        )

        assert verify(moved) == "malformed"

    def test_refuses_what_is_unsigned(self) -> None:
        body = json.dumps({"resource": "21071815560", "topic": "payment"}).encode()
        ipn = replace(arrived(body), query={"topic": "payment", "id": "21071815560"})

        assert verify(ipn) == "missing"


class TestParse:
    def parse(self, body: dict[str, Any], **query: str) -> InboundEvent:
        (event,) = MercadoPagoProvider.parse(
            replace(
                arrived(json.dumps(body).encode()), query={name.replace("_", "."): item for name, item in query.items()}
            )
        )
        return event

    def test_a_notification_is_thin_and_says_nothing_yet(self, fixtures: Fixtures) -> None:
        event = self.parse(fixtures.read("webhooks/payment_updated__pix.json"), data_id="90000000017")

        assert (event.thin, event.data["is_fetched"], event.data["object"]) == (True, False, {})
        assert event.object_key == "payment:90000000017"
        assert MercadoPagoProvider.read_states(event) == []

    def test_only_the_id_of_the_query_counts(self, fixtures: Fixtures) -> None:
        with pytest.raises(UnexpectedResponse):
            self.parse(fixtures.read("webhooks/payment_updated__pix.json"), data_id="90000000018")

    def test_a_deauthorization_is_of_the_signed_account_alone(self, fixtures: Fixtures) -> None:
        body = fixtures.read("webhooks/mp_connect__deauthorized.json")

        assert self.parse(body).account_key == f"account:{SELLER}"
        with pytest.raises(UnexpectedResponse):
            self.parse({**body, "user_id": 200000099})

    @pytest.mark.parametrize("object_id", ["", "../users/me", "1?x=2", "x" * 300])
    def test_what_is_no_id_is_never_asked_for(self, object_id: str) -> None:
        event = self.parse({"id": 1, "type": "payment", "data": {"id": object_id}})

        assert not event.thin

    def test_a_shared_notification_goes_to_its_seller(self, fixtures: Fixtures) -> None:
        request = arrived(fixtures.body("webhooks/payment_updated__pix.json"))

        assert MercadoPagoProvider.split(request) == {f"account:{SELLER}": request}


class TestFetch:
    def fetch(self, wire: Wire, fixtures: Fixtures, webhook: str, **context: Any) -> InboundEvent:
        (event,) = MercadoPagoProvider.parse(arrived(fixtures.body(f"webhooks/{webhook}.json")))
        fetched: InboundEvent = wire.connect(**{"account_external_id": SELLER, **context}).fetch(event)
        return fetched

    def test_reads_a_payment_and_names_its_state_in_the_key(self, wire: Wire, fixtures: Fixtures) -> None:
        wire.answer("GET", PAYMENT, "payment__pix_approved")

        first = self.fetch(wire, fixtures, "payment_created__pix")
        second = self.fetch(wire, fixtures, "payment_updated__pix")

        assert first.key == second.key == "payment:90000000017:approved:2026-11-20T10:05:00.456-03:00"
        assert (first.thin, first.data["is_fetched"], first.data["environment"]) == (False, True, "test")
        assert first.data["object"]["transaction_amount"] == "58.8"
        assert first.occurred_at == datetime(2026, 11, 20, 13, 5, 0, 456000, tzinfo=UTC)
        json.dumps(first.data)

    def test_a_payment_of_another_seller_is_refused_for_good(self, wire: Wire, fixtures: Fixtures) -> None:
        wire.answer("GET", PAYMENT, "payment__foreign")

        with pytest.raises(NotFound) as caught:
            self.fetch(wire, fixtures, "payment_updated__pix")

        assert (caught.value.reason, caught.value.retryable, str(caught.value.who)) == (
            "foreign_account",
            False,
            "caller",
        )

    def test_an_answer_about_another_object_is_refused(self, wire: Wire, fixtures: Fixtures) -> None:
        wire.answer("GET", PAYMENT, "payment__other_object")

        with pytest.raises(UnexpectedResponse):
            self.fetch(wire, fixtures, "payment_updated__pix")

    def test_a_live_payment_is_foreign_to_a_test_token_and_a_test_users_own(
        self, wire: Wire, fixtures: Fixtures
    ) -> None:
        wire.answer("GET", PAYMENT, "payment__live")
        of_test_user = {"secrets": {"access_token": "APP_USR-1000000000000017-planted17"}}

        assert self.fetch(wire, fixtures, "payment_updated__pix").data["environment"] == "live"
        assert self.fetch(wire, fixtures, "payment_updated__pix", **of_test_user).data["environment"] == "test"
        live = self.fetch(wire, fixtures, "payment_updated__pix", environment="live", **of_test_user)
        assert live.data["environment"] == "live"

    def test_a_test_payment_is_one_on_a_live_integration_too(self, wire: Wire, fixtures: Fixtures) -> None:
        wire.answer("GET", PAYMENT, "payment__pix_approved")

        event = self.fetch(wire, fixtures, "payment_updated__pix", environment="live")

        assert event.data["environment"] == "test"

    def test_the_simulators_object_is_dropped_quietly_and_no_other(self, wire: Wire, fixtures: Fixtures) -> None:
        wire.answer("GET", "*", "error__payment_unknown")

        event = self.fetch(wire, fixtures, "payment_updated__simulator")

        assert (event.type, event.thin) == ("unknown", False)
        assert MercadoPagoProvider.read_states(event) == []
        with pytest.raises(NotFound):
            self.fetch(wire, fixtures, "payment_updated__pix")

    def test_a_chargeback_is_read_with_its_payment(self, wire: Wire, fixtures: Fixtures) -> None:
        wire.answer("GET", "/v1/chargebacks/217000087654321000", "chargeback__in_review")
        wire.answer("GET", PAYMENT, "payment__charged_back")

        payment, dispute = MercadoPagoProvider.read_states(self.fetch(wire, fixtures, "chargeback__created"))

        assert (payment.external_id, str(payment.status)) == ("90000000017", "charged_back")
        assert (str(dispute.status), dispute.payment, dispute.amount_minor) == (
            "under_review",
            "90000000017",
            5880,
        )
        assert "payment" not in dispute.object

    def test_a_chargeback_of_anothers_payment_is_refused(self, wire: Wire, fixtures: Fixtures) -> None:
        wire.answer("GET", "/v1/chargebacks/217000087654321000", "chargeback__listed")
        wire.answer("GET", PAYMENT, "payment__foreign")

        with pytest.raises(NotFound):
            self.fetch(wire, fixtures, "chargeback__created")

    def test_a_charge_of_a_subscription_is_read_with_it(self, wire: Wire, fixtures: Fixtures) -> None:
        wire.answer("GET", "/authorized_payments/6000000017", "authorized_payment__paid")
        wire.answer("GET", "/preapproval/000000000000000000000000000aa017", "preapproval__authorized")

        event = self.fetch(wire, fixtures, "subscription_authorized_payment__created")
        subscription, invoice = MercadoPagoProvider.read_states(event)

        assert str(subscription.status) == "active"
        assert (str(invoice.status), invoice.amount_paid_minor, invoice.payments) == (
            "paid",
            4990,
            ("90000000117",),
        )
        assert invoice.account == SELLER

    def test_a_subscription_of_another_seller_is_refused(self, wire: Wire, fixtures: Fixtures) -> None:
        wire.answer("GET", "/preapproval/000000000000000000000000000aa017", "preapproval__foreign")

        with pytest.raises(NotFound):
            self.fetch(wire, fixtures, "subscription_preapproval__updated")

    def test_a_paid_order_closes_its_page(self, wire: Wire, fixtures: Fixtures) -> None:
        wire.answer("GET", "/merchant_orders/5000000017", "merchant_order__paid")

        (page,) = MercadoPagoProvider.read_states(self.fetch(wire, fixtures, "merchant_order__closed"))

        assert page.external_id == f"{SELLER}-00000000-0000-4000-8000-000000000017"
        assert (page.payment, page.is_open) == ("90000000017", False)

    def test_an_unpaid_order_and_the_orders_api_say_nothing_that_is_kept(self, wire: Wire, fixtures: Fixtures) -> None:
        wire.answer("GET", "/merchant_orders/5000000017", "merchant_order__open")
        wire.answer("GET", "/v1/orders/ORDTST01TESTORDER00000000000017", "order__processed")

        for name in ("merchant_order__closed", "order_processed__version"):
            assert MercadoPagoProvider.read_states(self.fetch(wire, fixtures, name)) == []

    def test_a_deauthorization_is_believed_of_a_dead_token_alone(self, wire: Wire, fixtures: Fixtures) -> None:
        wire.answer("GET", "/users/me", "error__unauthorized", times=1)

        ended = self.fetch(wire, fixtures, "mp_connect__deauthorized")
        wire.answer("GET", "/users/me", "users_me__ok")
        alive = self.fetch(wire, fixtures, "mp_connect__deauthorized")

        assert (ended.type, ended.data["is_fetched"]) == ("account.disconnected", True)
        assert (alive.type, alive.data["is_fetched"]) == ("account.updated", True)
        assert MercadoPagoProvider.read_states(alive) == []

    def test_an_outage_proves_no_deauthorization(self, wire: Wire, fixtures: Fixtures) -> None:
        wire.answer("GET", "/users/me", "error__html_502")

        with pytest.raises(Exception, match="502") as caught:
            self.fetch(wire, fixtures, "mp_connect__deauthorized")

        assert caught.value.retryable


APP = AppContext(
    provider="mercadopago", client_id="1000000000000017", secrets=Secrets({"client_secret": "test-planted"})
)


class TestOAuth:
    ATTEMPT = Attempt(
        state="s17",
        redirect_uri="https://registry.example.com/oauth/mercadopago/callback/",
        code_challenge="test-challenge",
        code_verifier=Secret("test-verifier"),
        code=Secret("TG-test-code"),
    )

    def test_the_dialogs_address_carries_pkce_and_no_secret(self) -> None:
        address = urlsplit(MercadoPagoProvider.authorize_url(APP, self.ATTEMPT))

        assert f"{address.scheme}://{address.netloc}{address.path}" == "https://auth.mercadopago.com/authorization"
        assert parse_qs(address.query) == {
            "client_id": ["1000000000000017"],
            "response_type": ["code"],
            "platform_id": ["mp"],
            "state": ["s17"],
            "redirect_uri": [self.ATTEMPT.redirect_uri],
            "code_challenge": ["test-challenge"],
            "code_challenge_method": ["S256"],
        }

    def test_a_code_becomes_tokens_of_180_days(self, wire: Wire) -> None:
        wire.answer("POST", "/oauth/token", "token__authorization_code")

        tokens = MercadoPagoProvider.exchange_code(APP, wire.connect().outbound, self.ATTEMPT)

        assert wire.calls[0].json == {
            "grant_type": "authorization_code",
            "client_id": "1000000000000017",
            "client_secret": "test-planted",
            "code": "TG-test-code",
            "redirect_uri": self.ATTEMPT.redirect_uri,
            "code_verifier": "test-verifier",
        }
        assert "authorization" not in wire.calls[0].headers
        assert tokens.account_external_id == SELLER
        assert tokens.scopes == ("offline_access", "read", "write")
        assert tokens.expires_at is not None
        assert timedelta(days=179) < tokens.expires_at - clock.now() <= timedelta(days=180)

    def test_the_account_is_the_tokens_own(self, wire: Wire) -> None:
        wire.answer("POST", "/oauth/token", "token__authorization_code")
        wire.answer("GET", "/users/me", "users_me__ok")
        outbound = wire.connect().outbound
        tokens = MercadoPagoProvider.exchange_code(APP, outbound, self.ATTEMPT)

        (account,) = MercadoPagoProvider.list_accounts(APP, outbound, tokens)

        assert account.settings == {"country": "BR", "collector_id": SELLER}
        assert wire.calls[-1].headers["authorization"] == "Bearer APP_USR-1000000000000017-test-new"

    @pytest.mark.parametrize(
        ("me", "error"), [("users_me__other", UnexpectedResponse), ("users_me__uruguay", Misconfigured)]
    )
    def test_another_user_or_a_country_that_is_not_served_is_refused(
        self, wire: Wire, me: str, error: type[Exception]
    ) -> None:
        wire.answer("POST", "/oauth/token", "token__authorization_code")
        wire.answer("GET", "/users/me", me)
        outbound = wire.connect().outbound
        tokens = MercadoPagoProvider.exchange_code(APP, outbound, self.ATTEMPT)

        with pytest.raises(error):
            MercadoPagoProvider.list_accounts(APP, outbound, tokens)

    def test_a_token_that_is_no_bearer_token_is_refused(self, wire: Wire) -> None:
        wire.answer("POST", "/oauth/token", "token__strange")

        with pytest.raises(UnexpectedResponse):
            MercadoPagoProvider.exchange_code(APP, wire.connect().outbound, self.ATTEMPT)


class TestRefresh:
    SECRETS = {
        "access_token": "APP_USR-1000000000000017-planted17",
        "refresh_token": "TG-test-planted17",
        "client_id": "1000000000000017",
        "client_secret": "test-planted",
    }

    def test_spends_the_refresh_token_in_one_call(self, wire: Wire) -> None:
        wire.answer("POST", "/oauth/token", "token__refreshed")

        tokens = wire.connect(secrets=self.SECRETS).refresh()

        (seen,) = wire.calls
        assert seen.json["refresh_token"] == "TG-test-planted17"
        assert seen.json["grant_type"] == "refresh_token"
        assert tokens.access_token.matches("APP_USR-1000000000000017-test-new")
        assert tokens.refresh_token.matches("TG-test-new17")
        assert tokens.account_external_id == ""

    @pytest.mark.parametrize("missing", ["refresh_token", "client_id", "client_secret"])
    def test_says_what_is_missing_without_a_call(self, wire: Wire, missing: str) -> None:
        secrets = {name: value for name, value in self.SECRETS.items() if name != missing}

        with pytest.raises(Misconfigured) as caught:
            wire.connect(secrets=secrets).refresh()

        assert (caught.value.field, wire.calls) == (missing, [])

    def test_a_spent_token_asks_for_a_reconnect(self, wire: Wire) -> None:
        wire.answer("POST", "/oauth/token", "error__invalid_grant")

        with pytest.raises(AuthenticationFailed) as caught:
            wire.connect(secrets=self.SECRETS).refresh()

        assert "again" in caught.value.next_action
