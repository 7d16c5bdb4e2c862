"""Which account a check proves, what it blames, and what it calls degraded."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.contract import (
    AuthenticationFailed,
    CheckResult,
    Misconfigured,
    NotFound,
    PermissionMissing,
    RateLimited,
    RequestRejected,
)
from tests.wire import Wire

V = "/v26.0"
PHONE = f"{V}/100000000000001"
ACCOUNT = f"{V}/200000000000001"
SUBSCRIBED = f"{ACCOUNT}/subscribed_apps"
OURS = "https://registry.example/webhooks/whatsapp/test-route/"


@pytest.fixture(autouse=True)
def healthy(wire: Wire) -> None:
    """All is well unless a test says otherwise."""
    wire.play("ok")


def without(wire: Wire, *names: str, **context: Any) -> Any:
    """Connect without some fields, whether they are secrets or settings."""
    connection = wire.fixtures.conformance["connection"]
    kept = {
        part: {name: value for name, value in connection[part].items() if name not in names}
        for part in ("settings", "secrets")
    }
    return wire.connect(**kept, **context)


def verdicts(result: CheckResult) -> dict[str, bool]:
    return {verdict.capability: verdict.ok for verdict in result.verdicts}


class TestProof:
    def test_by_the_tokens_grants_writes_nothing(self, wire: Wire, whatsapp: Any) -> None:
        whatsapp.check()

        assert {seen.method for seen in wire.calls} == {"GET"}
        assert len(wire.calls) <= 5

    @pytest.mark.parametrize("fixture", ["debug_token__names_none", "error__100_33", "error__100", "error__190"])
    def test_by_a_write_where_the_grants_do_not_name_the_account(self, wire: Wire, whatsapp: Any, fixture: str) -> None:
        wire.answer("GET", f"{V}/debug_token", fixture)
        wire.answer("GET", SUBSCRIBED, "subscribed_apps__app_only")
        wire.answer("POST", SUBSCRIBED, "success")

        keys = [key.value for key in whatsapp.check().account_keys]

        assert keys == ["phone_number:100000000000001", "waba:200000000000001"]
        assert wire.last("POST", SUBSCRIBED).json == {}

    @pytest.mark.parametrize("missing", ["app_id", "app_secret"])
    def test_by_a_write_where_the_app_is_not_known(self, wire: Wire, missing: str) -> None:
        wire.answer("GET", SUBSCRIBED, "subscribed_apps__app_only")
        wire.answer("POST", SUBSCRIBED, "success")

        without(wire, missing).check()

        assert not [seen for seen in wire.calls if seen.path.endswith("debug_token")]
        assert wire.last("POST", SUBSCRIBED).json == {}

    def test_keeps_the_override_that_is_there(self, wire: Wire) -> None:
        wire.answer("POST", SUBSCRIBED, "success")

        without(wire, "app_id").check()

        assert wire.last("POST", SUBSCRIBED).json == {
            "override_callback_uri": OURS,
            "verify_token": "test-verify-token-17",
        }

    def test_gives_up_a_foreign_override_before_the_first_connection_only(self, wire: Wire) -> None:
        wire.answer("GET", SUBSCRIBED, "subscribed_apps__elsewhere")
        wire.answer("POST", SUBSCRIBED, "success")
        wire.answer("POST", SUBSCRIBED, "error__100", times=1)

        without(wire, "app_id").check()

        assert wire.last("POST", SUBSCRIBED).json == {}
        wire.answer("POST", SUBSCRIBED, "error__100", times=1)
        with pytest.raises(PermissionMissing):
            without(wire, "app_id", id="an-integration").check()

    @pytest.mark.parametrize("fixture", ["error__200", "error__100_33", "error__100", "success__not"])
    def test_fails_where_the_write_does(self, wire: Wire, fixture: str) -> None:
        wire.answer("GET", SUBSCRIBED, "subscribed_apps__none")
        wire.answer("POST", SUBSCRIBED, fixture)

        with pytest.raises(PermissionMissing) as caught:
            without(wire, "app_id").check()

        assert (caught.value.field, caught.value.reason) == ("waba_id", "account_not_proved")

    def test_finds_the_number_on_any_page(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("GET", f"{ACCOUNT}/phone_numbers", "phone_numbers__page_1")
        wire.answer("GET", f"{ACCOUNT}/phone_numbers", "phone_numbers__page_2", query={"after": "next-page"})

        assert len(whatsapp.check().account_keys) == 2

    def test_refuses_a_number_of_another_account_and_writes_nothing(self, wire: Wire) -> None:
        wire.answer("GET", f"{ACCOUNT}/phone_numbers", "phone_numbers__foreign")

        with pytest.raises(RequestRejected) as caught:
            without(wire, "app_id").check()

        assert (caught.value.field, caught.value.reason) == ("phone_number_id", "number_not_in_account")
        assert {seen.method for seen in wire.calls} == {"GET"}


class TestBlame:
    def test_of_a_dead_token(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("GET", f"{V}/debug_token", "debug_token__dead")

        with pytest.raises(AuthenticationFailed) as caught:
            whatsapp.check()

        assert (caught.value.field, caught.value.vendor_code) == ("access_token", "190")

    def test_of_a_token_of_another_app(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("GET", f"{V}/debug_token", "debug_token__other_app")

        with pytest.raises(AuthenticationFailed) as caught:
            whatsapp.check()

        assert caught.value.field == "app_id"

    def test_of_a_wrong_app_secret(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("GET", f"{V}/debug_token", "error__190")
        wire.answer("GET", PHONE, "error__100")

        with pytest.raises(AuthenticationFailed) as caught:
            whatsapp.check()

        assert caught.value.field == "app_secret"

    @pytest.mark.parametrize(
        ("fixture", "error", "field"),
        [
            ("error__190", AuthenticationFailed, "access_token"),
            ("error__10", PermissionMissing, "access_token"),
            ("error__100_33", NotFound, "phone_number_id"),
            ("phone_number__other", NotFound, "phone_number_id"),
        ],
    )
    def test_of_the_first_call(
        self, wire: Wire, whatsapp: Any, fixture: str, error: type[Exception], field: str
    ) -> None:
        wire.answer("GET", PHONE, fixture)

        with pytest.raises(error) as caught:
            whatsapp.check()

        assert caught.value.field == field  # type: ignore[attr-defined]

    def test_of_a_missing_account(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("GET", f"{ACCOUNT}/phone_numbers", "error__100_33")

        with pytest.raises(NotFound) as caught:
            whatsapp.check()

        assert caught.value.field == "waba_id"

    @pytest.mark.parametrize("name", ["phone_number_id", "waba_id"])
    def test_of_a_missing_setting(self, wire: Wire, name: str) -> None:
        with pytest.raises(Misconfigured) as caught:
            without(wire, name).check()

        assert caught.value.field == name

    def test_a_limit_is_no_verdict(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("GET", f"{V}/debug_token", "error__80007_regain")

        with pytest.raises(RateLimited) as caught:
            whatsapp.check()

        assert caught.value.retry_after_s == 19 * 60


class TestVerdicts:
    def test_name_the_account_and_when_the_token_ends(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("GET", f"{V}/debug_token", "debug_token__ends")

        result = whatsapp.check()

        assert result.account.external_id == "100000000000001"
        assert result.account.label == "Loja Exemplo (+1 555-0100-001)"
        assert result.expires_at == datetime.fromtimestamp(1800000000, UTC)
        assert (result.facts["tier"], result.facts["people_per_day"]) == ("TIER_2K", "2000")

    def test_name_the_portfolio_that_the_limit_is_of(self, wire: Wire, whatsapp: Any) -> None:
        assert "portfolio" not in whatsapp.check().facts

        wire.answer("GET", PHONE, "health__portfolio", query={"fields": "health_status"})

        assert whatsapp.check().facts["portfolio"] == "700000000000001"

    def test_a_token_that_never_ends_has_no_end(self, whatsapp: Any) -> None:
        assert whatsapp.check().expires_at is None

    def test_a_token_without_messaging_cannot_send(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("GET", f"{V}/debug_token", "debug_token__no_messaging")

        assert verdicts(whatsapp.check()) == {
            "sends_messages": False,
            "manages_templates": True,
            "receives_webhooks": True,
        }

    @pytest.mark.parametrize("fixture", ["subscribed_apps__none", "subscribed_apps__other_app"])
    def test_an_app_that_is_not_subscribed_receives_nothing(self, wire: Wire, whatsapp: Any, fixture: str) -> None:
        wire.answer("GET", SUBSCRIBED, fixture)

        assert verdicts(whatsapp.check())["receives_webhooks"] is False

    def test_a_poor_number_is_degraded_in_words(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("GET", PHONE, "phone_number__poor")
        wire.answer("GET", PHONE, "health__limited", query={"fields": "health_status"})

        result = whatsapp.check()

        for word in ("pending", "RED", "limited", "pending_review"):
            assert word in result.degraded
        assert verdicts(result)["sends_messages"] is False

    def test_a_blocked_number_tells_the_vendors_words(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("GET", PHONE, "health__blocked", query={"fields": "health_status"})

        result = whatsapp.check()

        assert "Register the number." in result.degraded
        assert verdicts(result)["sends_messages"] is False

    def test_an_account_without_health_says_nothing(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("GET", PHONE, "error__100", query={"fields": "health_status"})

        assert whatsapp.check().degraded == ""

    def test_a_version_that_ends_soon_is_told(self, wire: Wire) -> None:
        settings = {**wire.fixtures.conformance["connection"]["settings"], "graph_version": "v22.0"}
        for plan in wire.planned:
            plan.path = plan.path.replace("v26.0", "v22.0")

        assert "v22.0 ends on" in wire.connect(settings=settings).check().facts["warning"]

    def test_a_report_repeats_the_numbers_state(self, whatsapp: Any) -> None:
        report = whatsapp.report_account()

        assert (report.quality, report.tier, report.throughput, report.can_send) == (
            "green",
            "TIER_2K",
            "standard",
            "available",
        )
