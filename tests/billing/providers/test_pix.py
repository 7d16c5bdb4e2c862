"""What is special to a PIX integration: two modes, the end of a certificate, codes that never report."""

from __future__ import annotations

import base64
import ssl
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing import brcode
from billing.contract import (
    ObjectKind,
    StaticCodeRequest,
)
from billing.providers._pix_certificate import ends_at
from billing.providers._pix_spec import SCOPES
from billing.providers.pix import PixProvider
from core import clock
from core.secret import Secrets
from integrations.contract import (
    AuthenticationFailed,
    Misconfigured,
    OutboundResponse,
    PermissionMissing,
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
    refund_request,
    static_provider,
    static_settings,
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


@pytest.fixture
def static(wire: Wire) -> PixProvider:
    return static_provider(wire)


class TestCheck:
    def test_of_a_bank_gets_a_token_and_asks_for_the_keys_webhook(self, wire: Wire) -> None:
        wire.play("ok")

        result = provider_of(wire).check()

        token, webhook = wire.calls
        form = dict(pair.split("=") for pair in token.body.decode().split("&"))
        assert form["grant_type"] == "client_credentials"
        assert form["scope"].split("+") == SCOPES.split()
        pair = base64.b64decode(token.headers["authorization"].removeprefix("Basic ")).decode()
        assert pair == "test-client-planted17:test-client-secret-planted17"
        assert (webhook.path, webhook.headers["authorization"]) == (HOOK, "Bearer test-bank-token-17")
        assert result.account.external_id == KEY
        assert result.account.label == "PIX c***@loja-teste.example.com"
        assert {verdict.capability: verdict.ok for verdict in result.verdicts}["receives_webhooks"]

    def test_claims_no_key_because_the_customer_names_the_bank(self, wire: Wire) -> None:
        wire.play("ok")

        assert provider_of(wire).check().account_keys == ()

    def test_asks_for_one_token_however_many_calls_follow(self, wire: Wire) -> None:
        wire.answer("GET", COB, "charge__active")
        bank = provider_of(wire)

        bank.fetch_payment(TXID)
        bank.fetch_payment(TXID)

        assert [seen.method for seen in wire.calls] == ["POST", "GET", "GET"]

    def test_without_a_client_secret_the_certificate_alone_speaks(self, wire: Wire, fixtures: Fixtures) -> None:
        wire.play("ok")
        secrets = {**fixtures.conformance["connection"]["secrets"], "client_secret": ""}

        provider_of(wire, secrets=secrets).check()

        assert "authorization" not in wire.calls[0].headers
        assert b"client_id=test-client-planted17" in wire.calls[0].body

    def test_tells_which_scopes_are_missing(self, wire: Wire) -> None:
        wire.play("ok")
        wire.answer("POST", "/oauth/token", "token__read_only")

        verdicts = {verdict.capability: verdict for verdict in provider_of(wire).check().verdicts}

        assert (verdicts["takes_payments"].ok, verdicts["reads_payments"].ok) == (False, True)
        assert "cob.write" in verdicts["takes_payments"].detail

    def test_believes_a_bank_that_names_no_scopes(self, wire: Wire) -> None:
        wire.play("ok")
        wire.answer("POST", "/oauth/token", "token__no_scope")

        assert all(verdict.ok for verdict in provider_of(wire).check().verdicts)

    def test_tells_that_the_bank_posts_elsewhere(self, wire: Wire) -> None:
        wire.answer("GET", HOOK, "webhook__elsewhere")

        verdicts = {verdict.capability: verdict.ok for verdict in provider_of(wire).check().verdicts}

        assert verdicts["receives_webhooks"] is False

    @pytest.mark.parametrize(
        ("method", "path", "fixture"),
        [("POST", "/oauth/token", "token__none"), ("GET", HOOK, "webhook__of_another_key")],
    )
    def test_does_not_guess(self, wire: Wire, method: str, path: str, fixture: str) -> None:
        wire.play("ok")
        wire.answer(method, path, fixture)

        with pytest.raises(UnexpectedResponse):
            provider_of(wire).check()

    @pytest.mark.parametrize("missing", ["client_id", "certificate", "private_key"])
    def test_of_a_bank_needs_the_whole_credential(self, wire: Wire, fixtures: Fixtures, missing: str) -> None:
        secrets = {**fixtures.conformance["connection"]["secrets"], missing: ""}

        with pytest.raises(Misconfigured) as caught:
            provider_of(wire, secrets=secrets).check()

        assert caught.value.field == missing
        assert wire.calls == []

    @pytest.mark.parametrize("missing", ["base_url", "token_url"])
    def test_of_a_bank_needs_its_addresses(self, wire: Wire, fixtures: Fixtures, missing: str) -> None:
        settings = {**fixtures.conformance["connection"]["settings"], missing: ""}

        with pytest.raises(Misconfigured) as caught:
            provider_of(wire, settings=settings).check()

        assert caught.value.field == missing

    def test_of_a_static_key_calls_nobody(self, wire: Wire, static: PixProvider) -> None:
        result = static.check()

        assert wire.calls == []
        assert result.account_keys == ()
        assert result.account.external_id == ""
        assert [(verdict.capability, verdict.ok) for verdict in result.verdicts] == [("makes_static_codes", True)]

    def test_names_the_field_of_a_key_that_is_none(self, wire: Wire, fixtures: Fixtures) -> None:
        settings = {**static_settings(), "pix_key": "111.444.777-36", "key_type": "cpf"}

        with pytest.raises(Misconfigured) as caught:
            provider_of(wire, settings=settings, secrets={}).check()

        assert caught.value.field == "pix_key"
        assert caught.value.next_action


class TestCertificate:
    def short(self, fixtures: Fixtures) -> dict[str, str]:
        pem = (fixtures.folder / "certificate__short.pem").read_text()
        return {**fixtures.conformance["connection"]["secrets"], "certificate": pem}

    def test_its_end_is_that_of_the_credential(self, wire: Wire, fixtures: Fixtures) -> None:
        wire.play("ok")

        result = provider_of(wire).check()

        assert result.expires_at == datetime(2126, 1, 17, 17, 0, tzinfo=UTC)
        assert not result.degraded

    @pytest.mark.parametrize(("days_left", "is_warned"), [(31, False), (30, True), (1, True)])
    def test_warns_thirty_days_before(self, wire: Wire, fixtures: Fixtures, days_left: int, is_warned: bool) -> None:
        wire.play("ok")
        end = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)

        with clock.shifted(
            end - timedelta(days=days_left) - clock.now() + timedelta(minutes=-1 if not is_warned else 1)
        ):
            result = provider_of(wire, secrets=self.short(fixtures)).check()

        assert bool(result.degraded) is is_warned
        assert ("2026-12-31" in result.degraded) is is_warned
        assert result.expires_at == end

    def test_an_ended_one_is_not_tried(self, wire: Wire, fixtures: Fixtures) -> None:
        with clock.shifted(timedelta(days=400)), pytest.raises(AuthenticationFailed) as caught:
            provider_of(wire, secrets=self.short(fixtures)).check()

        assert (caught.value.field, wire.calls) == ("certificate", [])
        assert "2026-12-31" in caught.value.next_action

    @pytest.mark.parametrize("pem", ["no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
    def test_an_unreadable_one_is_the_users_to_mend(self, wire: Wire, fixtures: Fixtures, pem: str) -> None:
        with pytest.raises(Misconfigured) as caught:
            provider_of(wire, secrets={**self.short(fixtures), "certificate": pem}).check()

        assert caught.value.field == "certificate"

    def test_a_cut_or_spoiled_one_raises_nothing_but_value_errors(self, fixtures: Fixtures) -> None:
        der = ssl.PEM_cert_to_DER_cert(self.short(fixtures)["certificate"])

        for size in range(len(der)):
            with pytest.raises(ValueError):  # noqa: PT011  every cut has a text of its own
                ends_at(ssl.DER_cert_to_PEM_cert(der[:size]))
        for place in range(len(der)):
            spoiled = der[:place] + bytes([der[place] ^ 0xFF]) + der[place + 1 :]
            try:
                ends_at(ssl.DER_cert_to_PEM_cert(spoiled))
            except ValueError:
                continue


class TestValidate:
    def errors(self, fixtures: Fixtures, secrets: dict[str, str] | None = None, **changed: str) -> Any:
        connection = fixtures.conformance["connection"]
        opened = Secrets(connection["secrets"] if secrets is None else secrets)
        return PixProvider.validate({**connection["settings"], **changed}, opened)

    def test_takes_both_modes(self, fixtures: Fixtures) -> None:
        assert self.errors(fixtures) == {}
        assert self.errors(fixtures, {}, mode="static", base_url="", token_url="") == {}

    def test_names_what_mode_bank_lacks(self, fixtures: Fixtures) -> None:
        assert set(self.errors(fixtures, {}, base_url="")) == {
            "settings.base_url", "credentials.client_id", "credentials.certificate", "credentials.private_key",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("changed", "field"),
        [
            ({"pix_key": "x"}, "settings.pix_key"),
            ({"key_type": "cpf"}, "settings.pix_key"),
            ({"key_type": "iban"}, "settings.key_type"),
            ({"merchant_name": "日本"}, "settings.merchant_name"),
            ({"merchant_city": " "}, "settings.merchant_city"),
        ],
    )
    def test_refuses_what_no_code_can_carry(self, fixtures: Fixtures, changed: Any, field: str) -> None:
        errors = self.errors(fixtures, **changed)

        assert list(errors) == [field]
        assert errors[field][0]


class TestStaticCodes:
    def test_carry_the_key_and_what_was_asked(self, static: PixProvider) -> None:
        made = static.make_static_code(StaticCodeRequest(amount_minor=1990, txid="PEDIDO1701", description="Café"))

        read = brcode.parse(made.brcode)
        assert (read.key, read.amount_minor, read.txid, read.description) == (KEY, 1990, "PEDIDO1701", "Cafe")
        assert (read.merchant_name, read.merchant_city) == ("LOJA DE TESTE", "SAO PAULO")

    def test_are_made_by_a_bank_integration_too_without_a_call(self, wire: Wire, bank: PixProvider) -> None:
        assert brcode.parse(bank.make_static_code(StaticCodeRequest()).brcode).key == KEY
        assert wire.calls == []

    @pytest.mark.parametrize(
        ("request_", "field"),
        [
            (StaticCodeRequest(txid="a" * 26), "txid"),
            (StaticCodeRequest(amount_minor=0), "amount_minor"),
            (StaticCodeRequest(description="x" * 80), "description"),
        ],
    )
    def test_refuse_what_does_not_fit(self, static: PixProvider, request_: StaticCodeRequest, field: str) -> None:
        with pytest.raises(RequestRejected) as caught:
            static.make_static_code(request_)

        assert caught.value.field == field
        assert caught.value.next_action

    def test_never_report_paid(self, wire: Wire, bank: PixProvider, static: PixProvider, fixtures: Fixtures) -> None:
        """The money of a static code comes, at a connected bank even; no payment is said to be paid by it."""
        wire.answer("GET", f"{API}/pix/{E2E}", "payment__of_static_code")
        (event,) = PixProvider.parse(arrived(fixtures.body("webhooks/payment_received__static_code.json")))

        assert PixProvider.read_states(event) == ()
        assert PixProvider.read_states(bank.fetch(event)) == ()
        with pytest.raises(Misconfigured):
            static.fetch(event)

    def test_a_static_integration_refuses_what_needs_a_bank(self, wire: Wire, static: PixProvider) -> None:
        verbs = [
            lambda: static.check_payment(payment_request()),
            lambda: static.create_payment(payment_request()),
            lambda: static.fetch_payment(TXID),
            lambda: static.find_payment(payment_request(), since=SINCE),
            lambda: static.cancel_payment(TXID, idempotency_key="test"),
            lambda: static.refund_payment(refund_request()),
            lambda: static.fetch_object(ObjectKind.PAYMENT, TXID),
            lambda: list(static.list_payments(since=SINCE, until=UNTIL)),
            lambda: list(static.list_since(SINCE)),
            lambda: static.register_webhook(OURS),
            static.inspect_webhook,
        ]
        for verb in verbs:
            with pytest.raises(Misconfigured) as caught:
                verb()
            assert (caught.value.field, "mode bank" in caught.value.next_action) == ("mode", True)
        assert wire.calls == []


class TestErrors:
    @pytest.mark.parametrize(
        "body", [b"", b"[]", b'"x"', b"{", b"[" * 100_000, b'{"type":7}', b'{"violacoes":{"a":1}}']
    )
    def test_reading_never_fails(self, body: bytes) -> None:

        assert PixProvider.read_error(OutboundResponse(status=400, headers={}, body=body)).status == 400

    def test_a_client_that_may_not_use_the_key_is_told_what_to_ask_for(self, wire: Wire, bank: PixProvider) -> None:
        wire.answer("GET", HOOK, "error__access_denied")

        with pytest.raises(PermissionMissing) as caught:
            bank.check()

        assert "webhook.write" in caught.value.next_action
