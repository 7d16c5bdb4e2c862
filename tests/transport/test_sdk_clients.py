"""The same promises, as SDKs built on requests and on httpx2 meet them."""

from __future__ import annotations

import functools
import gzip
import logging
from collections.abc import Callable, Iterator

import httpx2
import pytest
import requests

from tests.transport.loopback import Loopback, drip, hang, raw, reply, serving
from transport.errors import BodyTooLarge, Timeout, TransportError
from transport.httpx_transport import PlainClient
from transport.policy import TRUSTED
from transport.requests_adapter import PlainSession
from transport.wire import Sender, Terms

COOKIE = reply(b'{"ok":true}', headers=("Set-Cookie: session=of-a; Path=/",))
TOKEN = "Bearer test_token_of_a"


@pytest.fixture
def sender(transport) -> Sender:
    terms = Terms(policy=TRUSTED, deadline_s=1.0, max_bytes=1_000_000)
    return functools.partial(transport.send, terms=terms)


@pytest.fixture
def session(sender) -> PlainSession:
    return PlainSession(sender)


@pytest.fixture
def client(sender) -> PlainClient:
    return PlainClient(sender)


@pytest.fixture(params=["requests", "httpx2"])
def get(request, session, client) -> Callable[..., requests.Response | httpx2.Response]:
    return (session if request.param == "requests" else client).get


@pytest.fixture
def trap(monkeypatch: pytest.MonkeyPatch, tmp_path) -> Iterator[Loopback]:
    """A proxy and a netrc file that would replace the credential if anybody believed the environment."""
    with serving(reply(b"from the proxy")) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setenv("NO_PROXY", "")
        netrc = tmp_path / "netrc"
        netrc.write_text("default login foreign password test\n")
        monkeypatch.setenv("NETRC", str(netrc))
        yield proxy


class TestBothKinds:
    def test_read_json(self, serve, get):
        server = serve(reply(gzip.compress(b'{"ok":true}'), headers=("Content-Encoding: gzip",)))

        assert get(f"{server.url}/v1?a=1").json() == {"ok": True}
        assert server.requests[0].path == "/v1?a=1"

    def test_keep_no_cookie(self, serve, get):
        server = serve(COOKIE)

        get(server.url)
        get(server.url)

        assert [request.headers.get("cookie") for request in server.requests] == [None, None]

    def test_ignore_proxies_and_netrc(self, serve, get, trap):
        server = serve(reply())

        get(server.url, headers={"Authorization": TOKEN})
        get(server.url)

        assert [request.headers.get("authorization") for request in server.requests] == [TOKEN, None]
        assert trap.requests == []

    def test_follow_no_redirect(self, serve, get):
        other = serve(reply())
        server = serve(reply(b"", status="307 Temporary Redirect", headers=(f"Location: {other.url}/",)))

        assert get(server.url, headers={"Authorization": TOKEN}).status_code == 307
        assert other.requests == []

    def test_are_capped(self, serve, get):
        server = serve(reply(gzip.compress(b"\0" * 50_000_000), headers=("Content-Encoding: gzip",)))

        with pytest.raises((requests.RequestException, httpx2.TransportError)) as caught:
            get(server.url)

        assert isinstance(caught.value.__cause__, BodyTooLarge)

    @pytest.mark.parametrize("script", [hang, drip(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")])
    def test_end_in_time(self, serve, get, script):
        server = serve(script)

        with pytest.raises((requests.ReadTimeout, httpx2.ReadTimeout)) as caught:
            get(f"{server.url}/?key=test_secret")

        assert isinstance(caught.value.__cause__, Timeout)
        assert "test_secret" not in str(caught.value)

    def test_raise_their_own_errors(self, serve, get):
        server = serve(raw(b"nonsense\r\n\r\n"))

        with pytest.raises((requests.ConnectionError, httpx2.RemoteProtocolError)) as caught:
            get(server.url)

        assert isinstance(caught.value.__cause__, TransportError)

    def test_show_no_query_when_a_status_is_an_error(self, serve, get):
        server = serve(reply(b"{}", status="401 Unauthorized"))
        response = get(f"{server.url}/collect?api_secret=test_secret")

        with pytest.raises((requests.HTTPError, httpx2.HTTPStatusError)) as caught:
            response.raise_for_status()

        assert "test_secret" not in f"{caught.value}{caught.value!r}{response!r}{response.url}"

    def test_log_no_query(self, serve, get, caplog):
        server = serve(reply())

        with caplog.at_level(logging.DEBUG):
            get(f"{server.url}/collect?api_secret=test_secret")

        assert "test_secret" not in caplog.text


class TestPlainSession:
    def test_does_not_carry_the_cookie_of_one_call_to_another(self, serve, sender):
        server = serve(COOKIE)
        shared = PlainSession(sender)

        shared.get(server.url, headers={"Authorization": "Bearer test_a"})
        shared.get(server.url, headers={"Authorization": "Bearer test_b"})
        PlainSession(sender).get(server.url)

        assert [request.headers.get("cookie") for request in server.requests] == [None, None, None]
        assert list(shared.cookies) == []

    def test_does_not_obey_proxies_verify_or_cert_of_a_caller(self, serve, session):
        proxy, server = serve(reply()), serve(reply())

        session.get(server.url, proxies={"http": proxy.url}, verify=False, cert="/nonexistent")

        assert (len(server.requests), proxy.requests) == (1, [])

    def test_posts_files_and_forms(self, serve, session):
        server = serve(reply())

        session.post(server.url, data={"a": "1"}, files={"file": ("a.txt", b"hello", "text/plain")})

        request = server.requests[0]
        assert request.headers["content-type"].startswith("multipart/form-data")
        assert b"hello" in request.body

    def test_uploads_a_stream(self, serve, session):
        server = serve(reply())

        session.put(server.url, data=iter([b"one", b"two"]))

        assert server.requests[0].body == b"onetwo"

    def test_streams_an_answer(self, serve, session):
        server = serve(reply(b"x" * 300_000))

        with session.get(server.url, stream=True) as response:
            sizes = [len(part) for part in response.iter_content(100_000)]

        assert sum(sizes) == 300_000

    def test_raises_a_late_stream_as_requests_error(self, serve, session):
        server = serve(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"))

        with pytest.raises(requests.RequestException), session.get(server.url, stream=True) as response:
            list(response.iter_content(10))

    def test_answers_head(self, serve, session):
        server = serve(lambda hit: hit.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 123\r\n\r\n"))

        response = session.head(server.url)

        assert (response.headers["content-length"], response.content) == ("123", b"")


class TestPlainClient:
    def test_streams_events_as_they_come(self, serve, client):
        start = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        server = serve(drip(start, part=b"9\r\ndata: a\n\n\r\n"))

        with client.stream("GET", server.url) as response:
            lines = response.iter_lines()
            assert [next(lines), next(lines), next(lines)] == ["data: a", "", "data: a"]

    def test_does_not_follow_when_an_sdk_asks_to(self, serve, client):
        other = serve(reply())
        server = serve(reply(b"", status="302 Found", headers=(f"Location: {other.url}/",)))

        assert client.get(server.url, follow_redirects=True).status_code == 302
        assert other.requests == []

    def test_posts_json_and_files(self, serve, client):
        server = serve(reply())

        client.post(server.url, json={"a": 1})
        client.post(server.url, files={"file": ("a.txt", b"hello", "text/plain")})

        assert server.requests[0].body == b'{"a":1}'
        assert b"hello" in server.requests[1].body
