"""What is special to Stripe: limited keys, both roads of accounts, old, new and thin events, its signature."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from billing.providers._stripe_spec import API_VERSION, SPEC
from billing.providers.stripe import StripeProvider
from core.secret import Secret, Secrets
from integrations.contract import InboundRequest, Misconfigured, OutboundResponse, SignatureRefused, UnexpectedResponse
from tests.signatures import arrived, signed
from tests.wire import Fixtures, Wire

SECRET = "whsec_test_planted17"


@pytest.fixture
def wire() -> Wire:
    """The vendor's side, which fails unplanned calls."""
    return Wire(provider=StripeProvider)


@pytest.fixture
def fixtures() -> Fixtures:
    return Fixtures.of(StripeProvider)


class TestCheck:
    def test_names_the_account_and_pins_the_version(self, wire: Wire) -> None:
        wire.play("ok")

        result = wire.connect().check()

        (seen,) = wire.calls
        assert (result.account.external_id, result.account.label) == ("acct_1TestOwn0017", "Loja Exemplo")
        assert result.environment == "test"
        assert seen.headers["stripe-version"] == API_VERSION
        assert seen.headers["authorization"] == "Bearer sk_test_planted17"

    def test_reports_a_restricted_key_as_limited_not_as_failed(self, wire: Wire) -> None:
        wire.play("unproved")

        result = wire.connect(secrets={"secret_key": "rk_live_planted17"}).check()

        (verdict,) = result.verdicts
        assert (verdict.ok, verdict.detail.startswith("limited")) == (False, True)
        assert (result.account_keys, result.environment) == ((), "live")
        assert result.degraded

    def test_tells_why_an_account_may_not_charge(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/account", "account__may_not_charge")

        result = wire.connect().check()

        assert "requirements.past_due" in result.degraded
        assert result.account.label == "Loja Exemplo Ltda"

    @pytest.mark.parametrize("fixture", ["account__no_id", "not_json", "not_an_object"])
    def test_does_not_guess_an_account(self, wire: Wire, fixture: str) -> None:
        wire.answer("GET", "/v1/account", fixture)

        with pytest.raises(UnexpectedResponse):
            wire.connect().check()

    @pytest.mark.parametrize("key", ["pk_test_planted17", "whatever", "sk_prod_planted17"])
    def test_takes_secret_and_restricted_keys_alone(self, wire: Wire, key: str) -> None:
        with pytest.raises(Misconfigured) as caught:
            wire.connect(secrets={"secret_key": key}).check()

        assert caught.value.field == "secret_key"
        assert wire.calls == []


class TestValidate:
    def test_refuses_keys_of_two_environments(self) -> None:
        secrets = Secrets({"secret_key": "sk_live_planted17"})

        assert "publishable_key" in StripeProvider.validate({"publishable_key": "pk_test_planted17"}, secrets)
        assert StripeProvider.validate({"publishable_key": "pk_live_planted17"}, secrets) == {}
        assert StripeProvider.validate({}, secrets) == {}
        assert StripeProvider.validate({"publishable_key": "pk_test_planted17"}, Secrets({})) == {}


class TestVerify:
    BODY = b'{"id":"evt_1","type":"x"}'

    def header(self) -> str:
        return signed(arrived(self.BODY), webhook=SPEC.webhook, secret=SECRET).headers["stripe-signature"]

    def verify(self, header: str) -> None:
        StripeProvider.verify(arrived(self.BODY, headers={"stripe-signature": header}), [Secret(SECRET)])

    def test_takes_any_v1_during_a_roll(self) -> None:
        self.verify(self.header().replace("v1=", f"v1={'0' * 64},v1="))

    def test_never_takes_a_v0(self) -> None:
        with pytest.raises(SignatureRefused) as caught:
            self.verify(self.header().replace("v1=", "v0="))

        assert caught.value.reason == "malformed"

    def test_refuses_two_times(self) -> None:
        with pytest.raises(SignatureRefused):
            self.verify(f"t=1,{self.header()}")


class TestParse:
    def parse(self, fixtures: Fixtures, name: str) -> Any:
        (event,) = StripeProvider.parse(arrived(fixtures.body(f"webhooks/{name}.json")))
        return event

    def test_an_own_endpoint_names_no_account(self, fixtures: Fixtures) -> None:
        event = self.parse(fixtures, "payment_intent_succeeded__own")

        assert event.account_key == ""
        assert event.object_key == "payment_intent:pi_3Test0017"
        assert event.occurred_at == datetime.fromtimestamp(1795400001, UTC)

    def test_a_connect_endpoint_names_it_in_the_key_too(self, fixtures: Fixtures) -> None:
        event = self.parse(fixtures, "payment_intent_succeeded__connect")

        assert event.account_key == "account:acct_1TestConnected0017"
        assert event.key.endswith(":acct_1TestConnected0017")

    def test_client_secrets_are_left_out(self, fixtures: Fixtures) -> None:
        event = self.parse(fixtures, "payment_intent_succeeded__own")

        assert "client_secret" not in json.dumps([event.data, event.raw])

    def test_old_versions_are_read(self, fixtures: Fixtures) -> None:
        data = self.parse(fixtures, "charge_succeeded__old_version").data

        assert (data["api_version"], data["environment"], data["object_id"]) == ("2016-07-06", "live", "ch_3TestOld")

    def test_thin_events_ask_to_be_fetched(self, fixtures: Fixtures) -> None:
        event = self.parse(fixtures, "thin_invoice__own")

        assert (event.type, event.thin, event.data["vendor_type"]) == (
            "invoice.updated",
            True,
            "v1.invoice.payment_failed",
        )
        assert (event.data["object_type"], event.data["object_id"], event.data["object"]) == (
            "invoice",
            "in_1Test0017",
            {},
        )
        assert event.occurred_at == datetime(2026, 11, 20, 10, 26, 40, tzinfo=UTC)

    @pytest.mark.parametrize(
        "body", [{}, {"id": "evt_1"}, {"type": "x"}, {"id": 7, "type": "x"}, {"id": "e" * 201, "type": "x"}]
    )
    def test_a_body_without_id_and_type_is_unexpected(self, body: dict[str, Any]) -> None:
        with pytest.raises(UnexpectedResponse):
            StripeProvider.parse(arrived(json.dumps(body).encode()))

    @pytest.mark.parametrize("created", ["soon", 10**30, -(10**30), True, None, [], 1.5])
    def test_a_time_that_cannot_be_read_is_none(self, created: object) -> None:
        body = {"id": "evt_1", "type": "x", "created": created}

        assert StripeProvider.parse(arrived(json.dumps(body).encode()))[0].occurred_at is None


@pytest.mark.vendor_fixtures
class TestVendorPayloads:
    def test_every_event_is_read_with_its_key(self, vendor_fixtures: Path) -> None:
        index = json.loads((vendor_fixtures / "payments" / "index.json").read_text())
        names = [name for name in index if name.startswith("stripe/events/")]

        for name in names:
            (event,) = StripeProvider.parse(arrived((vendor_fixtures / "payments" / name).read_bytes()))
            assert event.data["vendor_type"] == index[name]["event"].split(" ")[0] or "thin" in name
            assert index[name]["dedup_key"].split(" ")[0] in event.key
            assert event.account_key.startswith("account:acct_") or "connect_" not in name

        assert len(names) > 35

    def test_signature_vectors_pass_and_fail_as_told(self, vendor_fixtures: Path) -> None:
        vectors = json.loads((vendor_fixtures / "payments" / "stripe" / "signature_vectors.json").read_text())

        for vector in vectors["vectors"]:
            request = InboundRequest(
                method="POST",
                headers={"stripe-signature": vector["header"]} if vector["header"] else {},
                query={},
                body=vector.get("payload_override", vectors["payload"]).encode(),
                received_at=datetime.fromtimestamp(vector["now"], UTC),
            )
            # Stripe's SDK takes stamps of the future; we refuse them beyond the tolerance as well.
            if vector["expect"] == "ok":
                StripeProvider.verify(request, [Secret(vectors["secret"])])
                continue
            with pytest.raises(SignatureRefused):
                StripeProvider.verify(request, [Secret(vectors["secret"])])

    def test_error_bodies_are_classified_by_the_table(self, vendor_fixtures: Path, wire: Wire) -> None:
        words = {"card_declined": "RequestRejected", "card_declined (needs customer action)": "RequestRejected"}
        words |= {"authentication_error": "AuthenticationFailed", "permission_error": "PermissionMissing"}
        words |= {"invalid_request": "RequestRejected", "not_found": "NotFound", "rate_limit": "RateLimited"}
        words |= {"temporary_failure": "Unavailable"}

        for path in sorted((vendor_fixtures / "payments" / "stripe" / "errors").glob("*.json")):
            sample = json.loads(path.read_text())
            answer = OutboundResponse(
                status=sample["http_status"], headers={}, body=json.dumps(sample["body"]).encode()
            )
            rule = StripeProvider.spec.rule_for(StripeProvider.read_error(answer))
            assert rule is not None
            assert rule.error.__name__ == words[sample["expected_class"].split(";")[0]], path.name


class TestListSince:
    WHEN = datetime(2026, 11, 22, 10, tzinfo=UTC)

    def test_pages_through_all_with_the_keys_of_webhooks(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/events", "events__first_page")
        wire.answer("GET", "/v1/events", "events__last_page", query={"starting_after": "evt_1Test0102"})

        events = list(wire.connect().list_since(self.WHEN))

        assert [event.key for event in events] == ["evt_1Test0103", "evt_1Test0102", "evt_1Test0101"]
        assert [event.type for event in events] == ["invoice.updated", "customer.updated", "customer.updated"]
        assert events[0].occurred_at == datetime.fromtimestamp(1795400103, UTC)
        assert [seen.query for seen in wire.calls] == [
            {"created[gte]": str(int(self.WHEN.timestamp())), "limit": "100"},
            {"created[gte]": str(int(self.WHEN.timestamp())), "limit": "100", "starting_after": "evt_1Test0102"},
        ]

    def test_reads_a_listed_event_as_its_webhook(self, wire: Wire, fixtures: Fixtures) -> None:
        wire.answer("GET", "/v1/events", "events__last_page")
        (listed,) = wire.connect().list_since(self.WHEN)
        (row,) = json.loads(fixtures.body("api/events__last_page.json"))["data"]

        (parsed,) = StripeProvider.parse(arrived(json.dumps(row).encode()))

        assert listed == parsed

    def test_refuses_what_is_no_list(self, wire: Wire) -> None:
        wire.answer("GET", "/v1/events", "events__no_list")

        with pytest.raises(UnexpectedResponse):
            list(wire.connect().list_since(self.WHEN))
