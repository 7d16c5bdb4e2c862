from __future__ import annotations

import pytest

from tests.transport.loopback import reply
from transport.engine import Transport
from transport.errors import AddressRefused, DnsFailed, RequestInvalid
from transport.policy import TRUSTED, AllowedEndpoint, EgressPolicy, is_public
from transport.target import Target
from transport.wire import Terms, WireRequest

CUSTOMERS = EgressPolicy.for_customers()


def call(transport: Transport, url: str, policy: EgressPolicy) -> bytes:
    request = WireRequest(method="GET", target=Target.parse(url))
    return transport.send(request, Terms(policy=policy, deadline_s=2.0)).read()


class TestIsPublic:
    @pytest.mark.parametrize(
        "address",
        [
            "127.0.0.1", "127.8.9.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
            "0.0.0.0", "255.255.255.255", "224.0.0.1", "192.0.2.1", "198.18.0.1", "240.0.0.1",
            "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1",
            "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "::127.0.0.1",
            "not an address",
        ],
    )  # fmt: skip
    def test_refuses_what_is_not(self, address):
        assert not is_public(address)

    @pytest.mark.parametrize("address", ["8.8.8.8", "157.240.1.35", "2606:4700::1111", "64:ff9b::808:808"])
    def test_accepts_what_is(self, address):
        assert is_public(address)


class TestCustomersDestinations:
    @pytest.mark.parametrize(
        "host",
        ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"],
    )
    def test_refuses_loopback_in_every_spelling(self, transport, host):
        with pytest.raises((AddressRefused, DnsFailed)) as caught:
            call(transport, f"https://{host}:8443/?key=test_secret", CUSTOMERS)

        assert not caught.value.sent
        assert "test_secret" not in str(caught.value)

    def test_refuses_when_any_address_is_private(self):
        transport = Transport(resolver=lambda host, port: ["8.8.8.8", "10.0.0.7"])

        with pytest.raises(AddressRefused):
            call(transport, "https://mixed.example.com/", CUSTOMERS)

    def test_connects_to_the_address_it_checked_when_the_name_is_rebound(self, serve):
        server = serve(reply(b"checked"))
        asked: list[str] = []

        def rebinding(host: str, port: int) -> list[str]:
            asked.append(host)
            return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

        policy = EgressPolicy.for_customers(f"127.0.0.1:{server.port}")
        body = call(Transport(resolver=rebinding), f"http://rebind.example.com:{server.port}/", policy)

        assert body == b"checked"
        assert asked == ["rebind.example.com"]

    def test_refuses_a_name_rebound_on_the_next_call(self, serve):
        server = serve(reply(b"inside"))
        transport = Transport(resolver=lambda host, port: ["127.0.0.1"])

        with pytest.raises(AddressRefused):
            call(transport, f"https://rebind.example.com:{server.port}/", CUSTOMERS)

        assert server.connections == 0

    def test_reaches_what_the_operator_allows(self, serve, transport):
        server = serve(reply(b"hello"))
        policy = EgressPolicy.for_customers(f"localhost:{server.port}, 127.0.0.1:{server.port}")

        assert call(transport, server.url, policy) == b"hello"
        assert call(transport, f"http://localhost:{server.port}/", policy) == b"hello"

    def test_allows_only_the_named_port(self, serve, transport):
        server = serve(reply())

        with pytest.raises(AddressRefused):
            call(transport, server.url, EgressPolicy.for_customers("127.0.0.1:1"))

    def test_allows_any_port_with_a_star(self, serve, transport):
        server = serve(reply(b"hello"))

        assert call(transport, server.url, EgressPolicy.for_customers("127.0.0.1:*")) == b"hello"

    def test_refuses_plain_http_to_the_public(self):
        transport = Transport(resolver=lambda host, port: ["8.8.8.8"])

        with pytest.raises(AddressRefused, match="plain http"):
            call(transport, "http://plain.example.com/", CUSTOMERS)

    @pytest.mark.parametrize("text", ["localhost", "localhost:", ":80", "localhost:http"])
    def test_refuses_a_malformed_allowance(self, text):
        with pytest.raises(ValueError, match="EGRESS_ALLOW"):
            EgressPolicy.for_customers(text)

    def test_reads_an_ipv6_allowance(self):
        assert AllowedEndpoint.parse("[::1]:443") == AllowedEndpoint(host="::1", port=443)


class TestTrusted:
    def test_reaches_loopback_and_plain_http(self, serve, transport):
        assert call(transport, serve(reply(b"hello")).url, TRUSTED) == b"hello"

    def test_tries_the_next_address_when_one_refuses(self, serve):
        server = serve(reply(b"hello"))
        transport = Transport(resolver=lambda host, port: ["127.0.0.2", "::1", "127.0.0.1"])

        assert call(transport, f"http://many.example.com:{server.port}/", TRUSTED) == b"hello"

    def test_says_when_a_name_has_no_address(self):
        with pytest.raises(DnsFailed) as caught:
            call(Transport(resolver=lambda host, port: []), "https://gone.example.com/?a=test_secret", TRUSTED)

        assert not caught.value.sent


class TestTarget:
    @pytest.mark.parametrize(
        "url",
        [
            "ftp://example.com/", "example.com/path", "//example.com/", "/path", "", "http://", "http:///path",
            "http://user:pass@example.com/", "http://example.com\\@evil.example/", "http://example.com/a b",
            "http://example.com/\r\nHost: evil", "http://example.com:99999/", "javascript:alert(1)",
            "http://exa\tmple.com/",
        ],
    )  # fmt: skip
    def test_refuses_what_parsers_disagree_about(self, url):
        with pytest.raises(RequestInvalid):
            Target.parse(url)

    def test_lowers_the_host_and_fills_the_port(self):
        target = Target.parse("HTTPS://API.Example.com/v1?a=1#part")

        assert (str(target.origin), target.origin.port) == ("https://api.example.com", 443)
        assert target.request_line == "/v1?a=1"

    def test_shows_no_query(self):
        target = Target.parse("https://api.example.com/v1?key=test_secret")

        assert "test_secret" not in f"{target!r}{target.shown}{WireRequest(method='GET', target=target)!r}"
