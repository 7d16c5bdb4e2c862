"""Does the live check prove what it says, over our guard alone, and keep secrets to itself?"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pytest

from integrations.contract import (
    AccountKey,
    AuthenticationFailed,
    Misconfigured,
    PermissionMissing,
    Provider,
    ProviderError,
)
from tests.wire import Fixtures, Wire


def destinations(provider: type[Provider]) -> list[str]:
    """Name the fields by which a customer says where calls go; each is a role of its own."""
    return [item.name for item in (*provider.spec.settings, *provider.spec.credentials) if item.destination]


class TestCheck:
    def test_proves_the_account_and_names_its_keys(self, wire: Wire, fixtures: Fixtures) -> None:
        wire.play("ok")

        result = wire.connect().check()

        keys = {key.value: key.shared for key in result.account_keys}
        assert keys == fixtures.conformance["account_keys"]
        assert result.account.label
        assert result.verdicts
        assert all(verdict.ok for verdict in result.verdicts)
        assert not result.degraded

    def test_raises_when_the_credential_is_dead(self, wire: Wire) -> None:
        wire.play("unauthorized")

        with pytest.raises(AuthenticationFailed) as caught:
            wire.connect().check()

        assert caught.value.next_action

    def test_claims_no_account_that_was_not_proved(self, wire: Wire) -> None:
        wire.play("unproved")

        assert _claims(wire.connect()) == ()

    def test_an_outage_is_no_verdict(self, wire: Wire, fixtures: Fixtures) -> None:
        wire.answer("GET", "*", "error__html_502")
        wire.answer("POST", "*", "error__html_502")

        with pytest.raises(ProviderError) as caught:
            wire.connect().check()

        assert caught.value.retryable

    def test_says_which_field_is_missing(self, wire: Wire, provider: type[Provider]) -> None:
        with pytest.raises(Misconfigured) as caught:
            wire.connect(secrets={}).check()

        assert caught.value.field in {field.name for field in provider.spec.credentials}


def _claims(provider: Provider) -> tuple[AccountKey, ...]:
    """What a check claims; a refusal to connect at all claims nothing."""
    try:
        return provider.check().account_keys
    except PermissionMissing:
        return ()


class TestSecrecy:
    def test_no_error_and_no_report_shows_a_planted_secret(
        self, wire: Wire, error_answer: str, connection: dict[str, Any]
    ) -> None:
        wire.answer("GET", "*", error_answer.removeprefix("api/").removesuffix(".json"))
        wire.answer("POST", "*", error_answer.removeprefix("api/").removesuffix(".json"))

        with pytest.raises(ProviderError) as caught:
            wire.connect().check()

        error = caught.value
        told = repr([str(error), error.args, vars(error), error.__cause__, error.__context__, wire.reports])
        assert not [name for name, secret in connection["secrets"].items() if secret in told]

    def test_a_secret_travels_to_hosts_of_the_spec_and_to_destinations_alone(
        self, wire: Wire, provider: type[Provider], connection: dict[str, Any]
    ) -> None:
        wire.play("ok")

        wire.connect().check()

        values = {**connection["settings"], **connection["secrets"]}
        bases = [*provider.spec.hosts.values(), *(values[name] for name in destinations(provider) if name in values)]
        assert {seen.host for seen in wire.calls} <= {urlsplit(base).hostname for base in bases}


class TestErrors:
    def test_an_error_answer_is_classified_as_the_index_says(
        self, wire: Wire, fixtures: Fixtures, error_answer: str
    ) -> None:
        facts = fixtures.index[error_answer]
        wire.answer("GET", "*", error_answer.removeprefix("api/").removesuffix(".json"))

        with pytest.raises(ProviderError) as caught:
            wire.connect().outbound.request("GET", "/probe", operation="probe")

        assert caught.value.name == facts["error"]
        assert caught.value.reason in {facts.get("reason", ""), "maybe_sent"}
        assert caught.value.next_action
        if "retry_after_s" in facts:
            assert caught.value.retry_after_s == facts["retry_after_s"]


class TestSurroundings:
    def test_no_environment_variable_and_no_netrc_replaces_the_credential(
        self, wire: Wire, provider: type[Provider], connection: dict[str, Any], monkeypatch: Any, tmp_path: Path
    ) -> None:
        (tmp_path / ".netrc").write_text("default login foreign password foreign-secret\n")
        for name in ("HOME", "NETRC"):
            monkeypatch.setenv(name, str(tmp_path / ".netrc" if name == "NETRC" else tmp_path))
        for name in (f"{provider.spec.key.upper()}_API_KEY", f"{provider.spec.key.upper()}_TOKEN", "HTTPS_PROXY"):
            monkeypatch.setenv(name, "http://foreign-secret@127.0.0.1:9")
        wire.play("ok")

        wire.connect().check()

        sent = repr([(seen.headers, seen.query, seen.body) for seen in wire.calls])
        assert "foreign-secret" not in sent
        assert any(secret in sent for secret in connection["secrets"].values())

    def test_all_traffic_leaves_through_outbound(self, wire: Wire, monkeypatch: Any) -> None:
        def refuse(*args: object, **kwargs: object) -> NoReturn:
            raise AssertionError("a socket was opened beside Outbound")

        for name in ("connect", "connect_ex", "sendto"):
            monkeypatch.setattr(socket.socket, name, refuse)
        wire.play("ok")

        wire.connect().check()

        assert len(wire.reports) == len(wire.calls) > 0

    def test_an_operators_override_moves_every_call(self, wire: Wire, provider: type[Provider]) -> None:
        wire.play("ok")
        for plan in wire.planned:
            plan.path = plan.path if plan.path == "*" else f"/stand-in{plan.path}"

        wire.connect(overrides=dict.fromkeys(["", *destinations(provider)], "http://127.0.0.1:8420/stand-in")).check()

        assert {seen.host for seen in wire.calls} == {"127.0.0.1"}
