"""A bank on loopback that demands the client certificate of the integration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from billing.providers._pix_spec import SPEC
from billing.providers.pix import PixProvider
from core.secret import Secrets
from integrations.contract import AuthenticationFailed, IntegrationContext, Misconfigured
from integrations.outbound.guard import Guard
from tests.billing.providers.pix_bank import (
    HOOK,
    KEY,
)
from tests.transport.certificates import Authority, Pair
from tests.transport.loopback import Hit, Loopback, serving
from tests.wire import Fixtures
from transport.engine import Transport


@pytest.fixture
def fixtures() -> Fixtures:
    return Fixtures.of(PixProvider)


class TestAddresses:
    @pytest.mark.parametrize(
        "base_url", ["https://127.0.0.1/api", "https://169.254.169.254/api", "http://93.184.216.34/api"]
    )
    def test_of_the_customer_may_not_lead_inside(self, fixtures: Fixtures, tmp_path: Path, base_url: str) -> None:
        """The bank's address is a customer's URL: nothing private, nothing unencrypted."""
        pair = Authority(tmp_path).issue("integration-a")

        with pytest.raises(Misconfigured):
            _over_tls(fixtures, base_url=base_url, transport=Transport(), pair=pair).check()


class TestMutualTls:
    def test_the_bank_sees_the_integrations_certificate(self, fixtures: Fixtures, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        with _bank_at(authority, fixtures) as (server, base_url):
            result = _over_tls(
                fixtures, base_url=base_url, transport=_transport(authority), pair=authority.issue("integration-a")
            ).check()

        assert result.account.external_id == KEY
        assert result.expires_at is not None
        assert [(seen.method, seen.path) for seen in server.requests] == [("POST", "/oauth/token"), ("GET", HOOK)]

    def test_a_certificate_that_the_bank_does_not_know_carries_no_request(
        self, fixtures: Fixtures, tmp_path: Path
    ) -> None:
        authority, stranger = Authority(tmp_path), tmp_path / "stranger"
        stranger.mkdir()
        foreign = Authority(stranger).issue("integration-a")
        with _bank_at(authority, fixtures) as (server, base_url):
            bank = _over_tls(fixtures, base_url=base_url, transport=_transport(authority), pair=foreign)
            with pytest.raises(AuthenticationFailed) as caught:
                bank.check()

        assert caught.value.reason == "not_sent"
        assert server.requests == []

    def test_a_bank_that_is_not_who_it_says_gets_no_token_request(self, fixtures: Fixtures, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        with _bank_at(authority, fixtures) as (server, base_url):
            bank = _over_tls(fixtures, base_url=base_url, transport=_transport(None), pair=authority.issue("a"))
            with pytest.raises(AuthenticationFailed) as caught:
                bank.check()

        assert "certificate" in caught.value.next_action
        assert server.requests == []

    def test_a_key_of_another_certificate_is_the_users_to_mend(self, fixtures: Fixtures, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        pair = replace(authority.issue("a"), private_key=authority.issue("b").private_key)
        with _bank_at(authority, fixtures) as (server, base_url), pytest.raises(AuthenticationFailed) as caught:
            _over_tls(fixtures, base_url=base_url, transport=_transport(authority), pair=pair).check()

        assert "certificate and private key" in caught.value.next_action
        assert server.requests == []


def _bank_at(authority: Authority, fixtures: Fixtures) -> Any:
    """Serve a bank on loopback that demands a client certificate of its authority."""

    def script(hit: Hit) -> None:
        name = "token__ok" if hit.request.method == "POST" else "webhook__ours"
        body = fixtures.body(f"api/{name}.json")
        hit.sock.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return _Served(script, authority)


class _Served:
    def __init__(self, script: Any, authority: Authority) -> None:
        self._serving = serving(script, tls=authority.server_context("bank.example", wants_client=True))

    def __enter__(self) -> tuple[Loopback, str]:
        server = self._serving.__enter__()
        return server, f"https://bank.example:{server.port}"

    def __exit__(self, *raised: Any) -> None:
        self._serving.__exit__(*raised)


def _transport(authority: Authority | None) -> Transport:
    ca_file = str(authority.file) if authority else None
    return Transport(resolver=lambda host, port: ["127.0.0.1"], ca_file=ca_file)


def _over_tls(fixtures: Fixtures, *, base_url: str, transport: Transport, pair: Pair | None) -> PixProvider:
    connection = fixtures.conformance["connection"]
    changed = {"certificate": pair.certificate, "private_key": pair.private_key} if pair else {}
    secrets = Secrets({**connection["secrets"], **changed})
    settings = {**connection["settings"], "base_url": f"{base_url}/api/v2", "token_url": f"{base_url}/oauth/token"}
    guard = Guard(
        spec=SPEC, read_error=PixProvider.read_error, report=lambda report: None, owner="integration-a",
        settings=settings, secrets=secrets, egress_allow=["bank.example:*"], transport=transport,
    )  # fmt: skip
    context = IntegrationContext(
        id="integration-a", provider="pix", environment="test", settings=settings, secrets=secrets, webhook_url=""
    )
    return PixProvider(context, guard)
