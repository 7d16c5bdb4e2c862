"""The load generator, against a server of a few lines."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from benchmarks import load


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[bytes], bytes]], int]]:
    """Serve keep-alive connections on the loopback; each request is one line, answered by a function."""
    listeners: list[socket.socket] = []

    def start(answer: Callable[[bytes], bytes]) -> int:
        listener = socket.create_server((load.LOOPBACK, 0))
        listeners.append(listener)
        threading.Thread(target=_accept, args=(listener, answer), daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listeners:
        listener.close()


class TestDrive:
    def test_sends_every_request_once_and_counts_statuses(self, serve: Callable[..., int]) -> None:
        seen: list[bytes] = []
        port = serve(lambda line: seen.append(line) or _answer(401 if line.endswith(b"bad") else 200))  # type: ignore[func-returns-value]
        requests = [b"%d%s\n" % (number, b"bad" if number % 10 == 0 else b"") for number in range(100)]

        answers = load.drive(port=port, requests=requests, connections=7)

        assert sorted(seen) == sorted(line.strip() for line in requests)
        assert answers.statuses == {200: 90, 401: 10}
        assert len(answers.latencies_s) == 100
        assert 0 < answers.percentile_ms(0.5) <= answers.percentile_ms(0.99) <= 1000 * answers.wall_s
        assert answers.per_second == pytest.approx(100 / answers.wall_s)

    def test_waits_for_an_answer_that_comes_in_pieces(self, serve: Callable[..., int]) -> None:
        port = serve(lambda line: _answer(200, body=b"x" * 300_000))

        assert load.drive(port=port, requests=[b"a\n"] * 4, connections=2).statuses == {200: 4}

    def test_takes_more_connections_than_requests(self, serve: Callable[..., int]) -> None:
        port = serve(lambda line: _answer(200))

        assert load.drive(port=port, requests=[b"a\n"], connections=5).statuses == {200: 1}

    def test_does_not_take_a_hang_up_for_an_answer(self, serve: Callable[..., int]) -> None:
        port = serve(lambda line: b"")

        with pytest.raises(load.Broken, match="closed"):
            load.drive(port=port, requests=[b"a\n"], connections=1)


class TestStatusAndLength:
    def test_waits_for_the_whole_head(self) -> None:
        assert load.status_and_length(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n") is None

    def test_reads_the_length_whatever_its_case(self) -> None:
        head = b"HTTP/1.1 503 Busy\r\nRetry-After: 5\r\nContent-Length: 12\r\nX: y\r\n\r\n"

        assert load.status_and_length(head + b"abc") == (503, len(head) + 12)

    def test_refuses_an_answer_without_length(self) -> None:
        with pytest.raises(load.Broken, match="content-length"):
            load.status_and_length(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")


def _accept(listener: socket.socket, answer: Callable[[bytes], bytes]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_talk, args=(connection, answer), daemon=True).start()


def _talk(connection: socket.socket, answer: Callable[[bytes], bytes]) -> None:
    with connection, connection.makefile("rb") as lines:
        for line in lines:
            answered = answer(line.strip())
            if not answered:
                return
            connection.sendall(answered)


def _answer(status: int, *, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body
