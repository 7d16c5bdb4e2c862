from __future__ import annotations

import ssl

import pytest

from core.secret import Secret
from tests.transport.certificates import Authority
from tests.transport.loopback import reply
from transport.engine import Transport
from transport.errors import CertificateUnusable, TlsFailed
from transport.policy import TRUSTED
from transport.target import Target
from transport.tls import ClientCertificate, client_context
from transport.wire import Terms, WireRequest


def resolve_to_loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


@pytest.fixture
def trusting(authority):
    transport = Transport(resolver=resolve_to_loopback, ca_file=str(authority.file))
    yield transport
    transport.close()


def get(transport: Transport, host: str, port: int, certificate: ClientCertificate | None = None) -> bytes:
    request = WireRequest(method="GET", target=Target.parse(f"https://{host}:{port}/?key=test_secret"))
    return transport.send(request, Terms(policy=TRUSTED, deadline_s=3.0, certificate=certificate)).read()


def post(authority, port: int, certificate: ClientCertificate | None, *, body: bytes) -> bytes:
    transport = Transport(resolver=resolve_to_loopback, ca_file=str(authority.file))
    request = WireRequest(method="POST", target=Target.parse(f"https://bank.example.com:{port}/"), body=body)
    return transport.send(request, Terms(policy=TRUSTED, deadline_s=3.0, certificate=certificate)).read()


@pytest.fixture
def strangers(tmp_path) -> ClientCertificate:
    """A certificate of another authority."""
    (tmp_path / "stranger").mkdir()
    return client_certificate(Authority(tmp_path / "stranger"), "a")


def client_certificate(authority, integration_id: str) -> ClientCertificate:
    pair = authority.issue(integration_id)
    return ClientCertificate(
        integration_id=integration_id, certificate=Secret(pair.certificate), private_key=Secret(pair.private_key)
    )


class TestVerification:
    def test_checks_the_name_while_connecting_to_the_pinned_address(self, serve, authority, trusting):
        server = serve(reply(b"hello"), tls=authority.server_context("api.example.com"))

        assert get(trusting, "api.example.com", server.port) == b"hello"

    def test_keeps_a_connection_warm(self, serve, authority, trusting):
        server = serve(reply(b"hello"), tls=authority.server_context("api.example.com"))

        for _ in range(4):
            get(trusting, "api.example.com", server.port)

        assert server.connections <= 2

    def test_refuses_a_certificate_of_another_name(self, serve, authority, trusting):
        server = serve(reply(b"hello"), tls=authority.server_context("api.example.com"))

        with pytest.raises(TlsFailed, match="Hostname mismatch") as caught:
            get(trusting, "other.example.com", server.port)

        assert not caught.value.sent
        assert server.requests == []
        assert "test_secret" not in str(caught.value)

    def test_refuses_an_unknown_authority(self, serve, authority):
        server = serve(reply(b"hello"), tls=authority.server_context("api.example.com"))

        with pytest.raises(TlsFailed):
            get(Transport(resolver=resolve_to_loopback), "api.example.com", server.port)

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_refuses_old_protocols(self, serve, authority, trusting):
        context = authority.server_context("api.example.com")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        server = serve(reply(b"hello"), tls=context)

        with pytest.raises(TlsFailed):
            get(trusting, "api.example.com", server.port)

    def test_reports_what_does_not_speak_tls(self, serve, trusting):
        server = serve(reply(b"hello"))

        with pytest.raises(TlsFailed):
            get(trusting, "127.0.0.1", server.port)


class TestClientCertificate:
    def test_is_shown_to_the_host(self, serve, authority, trusting):
        server = serve(reply(b"hello"), tls=authority.server_context("bank.example.com", wants_client=True))

        assert get(trusting, "bank.example.com", server.port, client_certificate(authority, "a")) == b"hello"

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    @pytest.mark.parametrize("size_bytes", [0, 300_000])
    def test_refused_is_a_failure_of_tls_that_sent_nothing(self, serve, authority, strangers, version, size_bytes):
        """TLS 1.3 says it after our handshake, when a part of the request is written or all of it."""
        context = authority.server_context("bank.example.com", wants_client=True)
        context.minimum_version = context.maximum_version = version
        server = serve(reply(b"hello"), tls=context)

        for shown in (strangers, None):
            with pytest.raises(TlsFailed) as caught:
                post(authority, server.port, shown, body=b"x" * size_bytes)
            assert not caught.value.sent

        assert server.requests == []

    def test_keys_connections_by_integration(self, serve, authority, trusting):
        peers: list[str] = []

        def remember(hit):
            subject = dict(pair[0] for pair in hit.sock.getpeercert()["subject"])
            peers.append(subject["commonName"])
            reply()(hit)

        server = serve(remember, tls=authority.server_context("bank.example.com", wants_client=True))
        first, second = client_certificate(authority, "a"), client_certificate(authority, "b")

        for certificate in (first, second, first, second):
            get(trusting, "bank.example.com", server.port, certificate)

        assert peers == ["a", "b", "a", "b"]

    def test_refuses_a_key_that_does_not_fit(self, authority):
        one, other = authority.issue("a"), authority.issue("b")
        certificate = ClientCertificate(
            integration_id="a", certificate=Secret(one.certificate), private_key=Secret(other.private_key)
        )

        with pytest.raises(CertificateUnusable):
            client_context(certificate=certificate)

    def test_has_no_secret_in_its_text(self, authority):
        assert "PRIVATE" not in repr(client_certificate(authority, "a"))
