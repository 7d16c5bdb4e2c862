"""A server on loopback that answers exactly the bytes a test wants, or none, as slowly as it wants."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass
class Received:
    """One request as it came over the wire."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Hit:
    """A request with the socket to answer on; `stopping` ends a script that would go on forever."""

    request: Received
    sock: socket.socket
    stopping: threading.Event


Script = Callable[[Hit], None]


@dataclass
class Loopback:
    """Serve a script on 127.0.0.1; connections are kept open between requests."""

    script: Script
    tls: ssl.SSLContext | None = None
    requests: list[Received] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._spawn(self._accept)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()

    def _spawn(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                self._sockets.append(sock)
                self._spawn(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
                self._sockets.append(sock)
            reader = sock.makefile("rb")
            while (request := _read_request(reader)) is not None:
                self.requests.append(request)
                self.script(Hit(request, sock, self._stopping))
        sock.close()


def reply(body: bytes = b"{}", *, status: str = "200 OK", headers: tuple[str, ...] = ()) -> Script:
    """Answer every request with these bytes and keep the connection."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return lambda hit: hit.sock.sendall("\r\n".join(lines).encode() + body)


def raw(data: bytes) -> Script:
    """Send these bytes and close."""

    def script(hit: Hit) -> None:
        hit.sock.sendall(data)
        hit.sock.shutdown(socket.SHUT_RDWR)

    return script


def drip(start: bytes, *, part: bytes = b"x", every_s: float = 0.05) -> Script:
    """Send the start at once, then a part again and again, forever."""

    def script(hit: Hit) -> None:
        hit.sock.sendall(start)
        while not hit.stopping.wait(every_s):
            hit.sock.sendall(part)

    return script


def hang(hit: Hit) -> None:
    """Say nothing until the server stops."""
    hit.stopping.wait(30)


@contextlib.contextmanager
def serving(script: Script, *, tls: ssl.SSLContext | None = None) -> Iterator[Loopback]:
    """Run a server for the length of a block."""
    server = Loopback(script, tls=tls)
    try:
        yield server
    finally:
        server.stop()


def _read_request(reader: object) -> Received | None:
    line = reader.readline()  # type: ignore[attr-defined]
    if not line:
        return None
    method, path, _ = line.decode().split(" ", 2)
    headers: dict[str, str] = {}
    while (line := reader.readline().decode("latin-1").strip()) != "":  # type: ignore[attr-defined]
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Received(method, path, headers, _read_body(reader, headers))


def _read_body(reader: object, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return reader.read(int(headers.get("content-length", "0")))  # type: ignore[attr-defined,no-any-return]
    body = b""
    while size := int(reader.readline(), 16):  # type: ignore[attr-defined]
        body += reader.read(size)  # type: ignore[attr-defined]
        reader.readline()  # type: ignore[attr-defined]
    reader.readline()  # type: ignore[attr-defined]
    return body
