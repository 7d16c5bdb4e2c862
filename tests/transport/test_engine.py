from __future__ import annotations

import gzip
import os
import socket
import struct
import threading
import time
import zlib

import pytest

from tests.transport.loopback import Hit, drip, hang, raw, reply
from transport.connections import IDLE_PER_KEY
from transport.engine import Transport
from transport.errors import (
    BodyTooLarge,
    ConnectFailed,
    MalformedAnswer,
    Phase,
    RequestInvalid,
    ResetByPeer,
    Timeout,
    TransportError,
)
from transport.policy import TRUSTED, EgressPolicy
from transport.target import Target
from transport.wire import Terms, WireRequest

OK = b"HTTP/1.1 200 OK\r\n"


class TestSend:
    def test_returns_status_headers_and_body(self, serve, send):
        server = serve(reply(b'{"ok":true}', status="201 Created", headers=("X-Request-Id: r1",)))

        answer = send(f"{server.url}/v1/things?a=1", "POST", body=b"hello", headers=[("X-Test", "t")])

        assert (answer.status, answer.header("x-request-id"), answer.read()) == (201, "r1", b'{"ok":true}')
        request = server.requests[0]
        assert (request.method, request.path, request.body) == ("POST", "/v1/things?a=1", b"hello")
        assert request.headers["host"] == f"127.0.0.1:{server.port}"
        assert request.headers["x-test"] == "t"
        assert request.headers["accept-encoding"] == "gzip, deflate"

    def test_streams_an_iterable_in_chunks(self, serve, send):
        server = serve(reply())

        send(server.url, "POST", body=iter([b"one", b"", b"two"])).read()

        assert server.requests[0].body == b"onetwo"

    def test_sends_a_declared_length_as_it_is(self, serve, send):
        server = serve(reply())

        send(server.url, "PUT", body=iter([b"one", b"two"]), headers=[("Content-Length", "6")]).read()

        assert server.requests[0].headers["content-length"] == "6"
        assert server.requests[0].body == b"onetwo"

    @pytest.mark.parametrize("length", ["2", "40"])
    def test_refuses_a_stream_of_another_length_than_declared(self, serve, send, length):
        server = serve(reply())

        with pytest.raises(RequestInvalid):
            send(server.url, "PUT", body=iter([b"one"]), headers=[("Content-Length", length)])

    def test_ignores_a_wrong_content_length_of_bytes(self, serve, send):
        server = serve(reply())

        send(server.url, "POST", body=b"four", headers=[("content-length", "1")]).read()

        assert server.requests[0].body == b"four"

    def test_returns_a_redirect_instead_of_following_it(self, serve, send):
        other = serve(reply(b"secret"))
        server = serve(reply(b"", status="302 Found", headers=(f"Location: {other.url}/",)))

        answer = send(server.url)

        assert (answer.status, answer.read(), other.requests) == (302, b"", [])

    @pytest.mark.parametrize("header", [("X-Test", "a\r\nEvil: 1"), ("X Test", "a"), ("X-Test", "\u20ac")])
    def test_refuses_headers_that_would_break_the_framing(self, serve, send, header):
        server = serve(reply())

        with pytest.raises(RequestInvalid) as caught:
            send(server.url, headers=[header])

        assert "Evil" not in str(caught.value)
        assert not caught.value.sent
        assert server.requests == []

    def test_takes_an_early_answer_from_a_host_that_stops_reading(self, serve, send):
        def refuse(hit: Hit) -> None:
            hit.sock.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
            hit.sock.shutdown(socket.SHUT_RDWR)

        listener = serve(refuse)

        answer = send(listener.url, "POST", body=iter([b"x" * 10]), headers=[("Content-Length", "10")])

        assert (answer.status, answer.read()) == (413, b"no")


class TestDeadline:
    @pytest.mark.parametrize(
        ("script", "phase"),
        [
            (hang, Phase.HEADERS),
            (drip(b"HTTP/1.1 200"), Phase.HEADERS),
            (drip(OK + b"X-A: ", part=b"a"), Phase.HEADERS),
            (drip(b"", part=b"HTTP/1.1 100 Continue\r\n\r\n"), Phase.HEADERS),
            (drip(OK + b"Content-Length: 1000\r\n\r\n"), Phase.BODY),
            (drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", part=b"1\r\nx\r\n"), Phase.BODY),
            (drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", part=b"0"), Phase.BODY),
            (drip(OK + b"\r\n"), Phase.BODY),
        ],
        ids=["hang", "status", "header", "continue", "body", "chunks", "chunk-size", "until-close"],
    )
    def test_ends_a_slow_answer_in_time(self, serve, send, script, phase):
        server = serve(script)
        started = time.monotonic()

        with pytest.raises(Timeout) as caught:
            send(f"{server.url}/path?key=test_secret", deadline_s=0.4).read()

        assert 0.3 < time.monotonic() - started < 0.8
        assert (caught.value.phase, caught.value.sent) == (phase, True)
        assert "test_secret" not in f"{caught.value!r}{caught.value}"

    def test_ends_a_host_that_does_not_read(self, serve, send):
        server = serve(hang)
        started = time.monotonic()

        with pytest.raises(Timeout) as caught:
            send(server.url, "POST", body=b"x" * 50_000_000, deadline_s=0.4)

        assert time.monotonic() - started < 1.0
        assert caught.value.phase in (Phase.SEND, Phase.HEADERS)

    def test_covers_name_resolution(self):
        release = threading.Event()

        def stuck(host: str, port: int) -> list[str]:
            release.wait(10)
            return []

        transport = Transport(resolver=stuck)
        request = WireRequest(method="GET", target=Target.parse("http://slow.example.com/"))
        started = time.monotonic()

        with pytest.raises(Timeout) as caught:
            transport.send(request, Terms(policy=TRUSTED, deadline_s=0.2))

        release.set()
        assert time.monotonic() - started < 0.6
        assert (caught.value.phase, caught.value.sent) == (Phase.DNS, False)

    def test_covers_the_tls_handshake(self, send):
        with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(Timeout) as caught:
            send(f"https://127.0.0.1:{listener.getsockname()[1]}/", deadline_s=1.0)

        assert (caught.value.phase, caught.value.sent) == (Phase.TLS, False)

    def test_bounds_the_silence_of_a_stream(self, serve, send):
        server = serve(hang)
        started = time.monotonic()

        with pytest.raises(Timeout):
            send(server.url, deadline_s=10.0, idle_s=0.2)

        assert time.monotonic() - started < 1.0

    def test_gives_parts_of_a_stream_as_they_come(self, serve, send):
        server = serve(drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", part=b"5\r\nevent\r\n"))
        answer = send(server.url)
        parts = iter(answer)

        assert [next(parts), next(parts)] == [b"event", b"event"]

        answer.close()


class TestCaps:
    def test_refuses_a_body_over_the_cap(self, serve, send):
        server = serve(reply(b"x" * 2000))

        with pytest.raises(BodyTooLarge) as caught:
            send(server.url, max_bytes=1999).read()

        assert caught.value.sent

    def test_takes_a_body_at_the_cap(self, serve, send):
        server = serve(reply(b"x" * 2000))

        assert len(send(server.url, max_bytes=2000).read()) == 2000

    @pytest.mark.parametrize(
        ("encoding", "compress"),
        [
            ("gzip", gzip.compress),
            ("deflate", zlib.compress),
            ("gzip, gzip", lambda d: gzip.compress(gzip.compress(d))),
        ],
    )
    def test_stops_a_bomb_while_it_unpacks(self, serve, send, encoding, compress):
        bomb = compress(b"\0" * 200_000_000)
        server = serve(reply(bomb, headers=(f"Content-Encoding: {encoding}",)))
        before = _peak_bytes()

        with pytest.raises(BodyTooLarge):
            send(server.url, max_bytes=1_000_000, deadline_s=10).read()

        assert len(bomb) < 1_000_000
        assert _peak_bytes() - before < 60_000_000

    def test_unpacks_what_is_small(self, serve, send):
        server = serve(reply(gzip.compress(b"hello"), headers=("Content-Encoding: gzip",)))

        assert send(server.url).read() == b"hello"

    @pytest.mark.parametrize(
        "start", [OK + b"Transfer-Encoding: chunked\r\n\r\n", OK + b"X-Long: "], ids=["chunk-size", "header"]
    )
    def test_refuses_endless_lines(self, serve, send, start):
        server = serve(drip(start, part=b"0" * 100_000, every_s=0))

        with pytest.raises((MalformedAnswer, BodyTooLarge, ResetByPeer)):
            send(server.url, deadline_s=5).read()

    def test_refuses_endless_headers(self, serve, send):
        server = serve(drip(OK, part=b"X-A: b\r\n", every_s=0))

        with pytest.raises(MalformedAnswer):
            send(server.url, deadline_s=5)

    def test_refuses_endless_interim_answers(self, serve, send):
        server = serve(drip(b"", part=b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, every_s=0))

        with pytest.raises(BodyTooLarge):
            send(server.url, deadline_s=10, max_bytes=1000)


class TestBrokenAnswers:
    @pytest.mark.parametrize(
        ("data", "error"),
        [
            (b"", ResetByPeer),
            (b"hello\r\n\r\n", MalformedAnswer),
            (OK + b"Content-Length: 10\r\n\r\nabc", ResetByPeer),
            (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", ResetByPeer),
            (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nab", ResetByPeer),
            (OK + b"Content-Length: 1, 2\r\n\r\nab", MalformedAnswer),
            (OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", MalformedAnswer),
            (OK + b"Content-Encoding: zip\r\nContent-Length: 3\r\n\r\nabc", MalformedAnswer),
        ],
        ids=["empty", "not-http", "short", "chunk-cut", "chunk-size", "two-lengths", "not-gzip", "encoding"],
    )
    def test_is_a_typed_error_that_says_the_request_was_sent(self, serve, send, data, error):
        server = serve(raw(data))

        with pytest.raises(error) as caught:
            send(f"{server.url}/?key=test_secret", "POST", body=b"{}").read()

        assert caught.value.sent
        assert "test_secret" not in str(caught.value)

    def test_is_a_reset_when_the_host_resets(self, serve, send):
        def reset(hit: Hit) -> None:
            hit.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(hit.sock.detach())

        server = serve(reset)

        with pytest.raises(ResetByPeer) as caught:
            send(server.url)

        assert caught.value.sent

    def test_was_not_sent_when_nobody_listens(self, send):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]

        with pytest.raises(ConnectFailed) as caught:
            send(f"http://127.0.0.1:{port}/?key=test_secret")

        assert not caught.value.sent
        assert "ECONNREFUSED" in str(caught.value)
        assert "test_secret" not in str(caught.value)


class TestPool:
    @pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
    @pytest.mark.parametrize("body", [b"", b"{}", b"x" * 200_000])
    def test_reuses_a_connection_whose_answer_was_read(self, serve, send, status, body):
        server = serve(reply(body, status=status))

        for _ in range(3):
            assert send(server.url).read() == body

        assert server.connections == 1

    def test_closes_a_connection_whose_answer_was_not_read(self, serve, send):
        server = serve(reply(b"x" * 500_000))

        send(server.url).close()
        send(server.url).read()

        assert server.connections == 2

    def test_does_not_share_between_policies(self, serve, send):
        server = serve(reply())
        send(server.url).read()

        with pytest.raises(TransportError):
            send(server.url, policy=EgressPolicy())

        assert len(server.requests) == 1

    def test_does_not_believe_bytes_nobody_asked_for(self, serve, send):
        def smuggle(hit: Hit) -> None:
            hit.sock.sendall(OK + b"Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")

        server = serve(smuggle)

        bodies = [send(server.url).read() for _ in range(2)]

        assert bodies == [b"ok", b"ok"]

    def test_replaces_a_connection_that_the_host_closed_meanwhile(self, serve, send):
        closed = threading.Semaphore(0)

        def once(hit: Hit) -> None:
            hit.sock.sendall(OK + b"Content-Length: 2\r\n\r\nok")
            hit.sock.shutdown(socket.SHUT_RDWR)
            closed.release()

        server = serve(once)

        for _ in range(3):
            assert send(server.url, "POST", body=b"x").read() == b"ok"
            assert closed.acquire(timeout=5)

        assert server.connections == 3

    def test_keeps_a_few_idle_connections_only(self, serve, send):
        barrier = threading.Barrier(12)

        def together(hit: Hit) -> None:
            barrier.wait(5)
            reply()(hit)

        server = serve(together)
        for _ in range(2):
            threads = [threading.Thread(target=lambda: send(server.url).read()) for _ in range(12)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        assert server.connections == 12 + (12 - IDLE_PER_KEY)

    def test_repeats_only_harmless_methods_when_a_warm_connection_breaks(self, serve, send):
        answered = threading.Event()

        def first_only(hit: Hit) -> None:
            if answered.is_set() and len(server.requests) % 2 == 0:
                hit.sock.shutdown(socket.SHUT_RDWR)
                return
            answered.set()
            hit.sock.sendall(OK + b"Content-Length: 2\r\n\r\nok")

        server = serve(first_only)
        send(server.url).read()
        assert send(server.url).read() == b"ok"
        assert len(server.requests) == 3

        with pytest.raises(ResetByPeer):
            send(server.url, "POST", body=b"x")

        assert len(server.requests) == 4

    def test_is_not_shared_with_a_forked_child(self, serve, transport, send):
        server = serve(reply())
        send(server.url).read()
        reader, writer = os.pipe()

        child = os.fork()
        if child == 0:
            answer = send(server.url)
            os.write(writer, str(answer.status).encode())
            os._exit(0)
        os.waitpid(child, 0)

        assert os.read(reader, 3) == b"200"
        assert server.connections == 2
        send(server.url).read()
        assert server.connections == 2
        os.close(reader)
        os.close(writer)

    def test_serves_many_threads(self, serve, send):
        server = serve(lambda hit: reply(hit.request.path.encode())(hit))
        wrong: list[bytes] = []

        def work(name: str) -> None:
            for number in range(20):
                path = f"/{name}/{number}"
                body = send(server.url + path).read()
                if body != path.encode():
                    wrong.append(body)

        threads = [threading.Thread(target=work, args=(f"t{index}",)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert wrong == []
        assert len(server.requests) == 160
        assert server.connections <= 8


def _peak_bytes() -> int:
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
