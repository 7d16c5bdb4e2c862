from __future__ import annotations

import pytest

from core.secret import Secret, Secrets
from integrations.contract import Misconfigured, UnexpectedResponse
from integrations.outbound.overrides import read_overrides
from tests.transport.loopback import reply

TOKEN = Secret("test_token_0001")


class TestReadOverrides:
    def test_reads_keys_and_roles(self):
        environ = {
            "PROVIDER_URL_STRIPE": "http://127.0.0.1:8420/",
            "PROVIDER_URL_GOOGLE_AI": "http://127.0.0.1:8421/google",
            "PROVIDER_URL_STRIPE__CONNECT": "http://127.0.0.1:8422",
            "PROVIDER_URL_EMPTY": "",
            "OTHER": "http://127.0.0.1:1",
        }

        assert read_overrides(environ) == {
            "stripe": {"": "http://127.0.0.1:8420", "connect": "http://127.0.0.1:8422"},
            "google_ai": {"": "http://127.0.0.1:8421/google"},
        }

    @pytest.mark.parametrize("value", ["127.0.0.1:8420", "ftp://127.0.0.1/", "http://u:p@127.0.0.1/", "http://a/?b=1"])
    def test_names_the_variable_that_is_wrong(self, value):
        with pytest.raises(ValueError, match="PROVIDER_URL_STRIPE__CONNECT must be"):
            read_overrides({"PROVIDER_URL_STRIPE__CONNECT": value})


class TestBaseUrl:
    def test_is_the_specs_without_override(self, guard):
        assert guard().base_url() == "https://api.parcel.example"
        assert guard().base_url("models") == "https://models.parcel.example/v1"

    @pytest.mark.parametrize(
        ("role", "override", "expected"),
        [
            ("api", "http://127.0.0.1:8420", "http://127.0.0.1:8420"),
            ("api", "http://127.0.0.1:8420/parcel", "http://127.0.0.1:8420/parcel"),
            ("models", "http://127.0.0.1:8420/parcel", "http://127.0.0.1:8420/parcel/v1"),
            ("models", "http://127.0.0.1:8420/v1", "http://127.0.0.1:8420/v1"),
        ],
    )
    def test_keeps_the_vendors_path_under_an_override(self, guard, role, override, expected):
        assert guard(override).base_url(role) == expected

    def test_prefers_the_roles_own_override(self, guard):
        door = guard(overrides={"": "http://127.0.0.1:1", "media": "http://127.0.0.1:2"})

        assert (door.base_url("media"), door.base_url("api")) == ("http://127.0.0.1:2", "http://127.0.0.1:1")

    def test_of_a_destination_field_is_the_customers(self, guard):
        door = guard(settings={"endpoint": "https://otel.customer.example/in/"})

        assert door.base_url("endpoint") == "https://otel.customer.example/in"

    @pytest.mark.parametrize(
        ("endpoint", "expected"),
        [
            ("https://otel.customer.example/in/", "http://127.0.0.1:8420/parcel/in"),
            ("https://otel.customer.example", "http://127.0.0.1:8420/parcel"),
            ("https://otel.customer.example/parcel/in", "http://127.0.0.1:8420/parcel/in"),
            ("http://127.0.0.1:8420/parcel/in", "http://127.0.0.1:8420/parcel/in"),
            ("https://169.254.169.254/in", "http://127.0.0.1:8420/parcel/in"),
        ],
    )
    def test_of_a_destination_field_moves_with_the_others(self, guard, endpoint, expected):
        assert guard("http://127.0.0.1:8420/parcel", settings={"endpoint": endpoint}).base_url("endpoint") == expected

    def test_asks_for_the_destination_that_is_missing(self, guard):
        with pytest.raises(Misconfigured) as caught:
            guard().base_url("endpoint")

        assert caught.value.field == "endpoint"

    def test_refuses_a_destination_that_is_no_address(self, guard):
        with pytest.raises(Misconfigured) as caught:
            guard(settings={"endpoint": "not a url"})

        assert caught.value.field == "endpoint"


class TestResolution:
    @pytest.mark.parametrize(
        ("url", "role", "path"),
        [
            ("/v3/track", None, "/parcel/v3/track"),
            ("v3/track", None, "/parcel/v3/track"),
            ("/v3/track?x=1", None, "/parcel/v3/track?x=1&y=2"),
            ("/complete", "models", "/parcel/v1/complete"),
            ("https://media.parcel.example/m/1?sig=a", None, "/parcel/m/1?sig=a&y=2"),
            ("https://models.parcel.example/v1/complete", None, "/parcel/v1/complete"),
            ("HTTPS://API.parcel.example:443/v3", None, "/parcel/v3"),
            ("/v3/next?to=https://evil.example/", None, "/parcel/v3/next?to=https://evil.example/&y=2"),
        ],
    )
    def test_moves_the_vendors_urls_to_the_override(self, serve, guard, url, role, path):
        server = serve(reply())

        guard(f"{server.url}/parcel").request(
            "GET", url, operation="get", role=role, bearer=TOKEN, params={"y": 2} if "?" in url else None
        )

        assert server.requests[0].path == path

    def test_takes_urls_of_the_override_as_they_are(self, serve, guard):
        server = serve(reply())

        guard(f"{server.url}/parcel").request("GET", f"{server.url}/parcel/media/1", operation="get")

        assert server.requests[0].path == "/parcel/media/1"

    @pytest.mark.parametrize(
        "url",
        [
            "https://evil.example/", "http://api.parcel.example/", "https://api.parcel.example:8443/",
            "https://api.parcel.example.evil.example/", "https://api.parcel.example@evil.example/",
            "https://evil.example\\@api.parcel.example/", "https://user:x@api.parcel.example/", "//evil.example/v3",
            "https://evil.example/?https://api.parcel.example/", "file:///etc/passwd", "http://127.0.0.1:1/",
            "https://media.parcel.example.:443/", "https://[api.parcel.example]/",
        ],
    )  # fmt: skip
    def test_sends_the_credential_nowhere_else(self, serve, guard, reports, url):
        server = serve(reply())

        with pytest.raises(UnexpectedResponse):
            guard(server.url).request("GET", url, operation="get", bearer=TOKEN)

        assert (server.requests, reports) == ([], [])

    @pytest.mark.parametrize("url", ["\\\\evil.example/", "/v3 /x", "/v3\r\nX: y"])
    def test_refuses_ambiguous_paths(self, serve, guard, url):
        server = serve(reply())

        with pytest.raises(UnexpectedResponse):
            guard(server.url).request("GET", url, operation="get", bearer=TOKEN)

        assert server.requests == []

    def test_keeps_dots_on_the_host(self, serve, guard):
        server = serve(reply())

        guard(server.url).request("GET", "/v3/../../@evil.example/", operation="get")

        assert server.requests[0].path == "/@evil.example/"


class TestCustomersDestination:
    def test_is_reached_where_the_operator_allows_it(self, serve, guard):
        server = serve(reply())
        door = guard(settings={"endpoint": f"{server.url}/in"}, egress_allow=[f"127.0.0.1:{server.port}"])

        door.request("POST", "/v1/traces", operation="export", role="endpoint", data=b"x")
        door.request("POST", f"{server.url}/in/v1/logs", operation="export", data=b"x")

        assert [request.path for request in server.requests] == ["/in/v1/traces", "/in/v1/logs"]

    def test_is_refused_where_it_is_private(self, serve, guard, reports):
        server = serve(reply())

        with pytest.raises(Misconfigured, match="not allowed"):
            guard(settings={"endpoint": server.url}).request("POST", "/x", operation="export", role="endpoint")

        assert server.requests == []
        assert reports[0].error == "Misconfigured"

    def test_may_be_part_of_a_secret(self, serve, guard):
        server = serve(reply())
        secrets = Secrets({"dsn": f"http://test_key@127.0.0.1:{server.port}/42"})

        guard(secrets=secrets, egress_allow=["127.0.0.1:*"]).request("POST", "/envelope/", operation="send", role="dsn")

        assert server.requests[0].path == "/42/envelope/"
        assert "authorization" not in server.requests[0].headers
