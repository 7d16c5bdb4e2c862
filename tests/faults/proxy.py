"""
A TCP proxy between the product and a vendor that behaves as networks do at their worst.

What is spoiled is the answer, after the vendor did what it was asked: the cases in which things get sent twice. Only
`blackhole` lets nothing reach the vendor.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping

DRIP_GAP_S = 0.2
CUT_AFTER = 120  # bytes: inside the head of an answer of any vendor
BLOCK = 65_536
LOOK_S = 0.2
GARBAGE = b"\x00\xff\x16\x03\x01 not HTTP at all \r\n\r\n" * 4


class Proxy:
    """Listens on loopback and passes bytes on, unless a request holds a text that `spoil` names."""

    def __init__(self, target_port: int) -> None:
        self._modes: dict[bytes, str] = {}
        self._target = target_port
        self._closed = threading.Event()
        self._listener = self._listen(0)
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Listen no more; connections end within a moment."""
        self._closed.set()
        self._listener.close()

    def spoil(self, text: str, mode: str) -> None:
        """Treat the answers to requests that hold a text (a number's id in the path) as a key of `ANSWERS` says."""
        self._modes = {**self._modes, text.encode(): mode}

    def heal(self) -> None:
        """Pass everything on again."""
        self._modes = {}

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Let nobody listen for as long as the block lasts: connections are refused."""
        self._listener.close()
        try:
            yield
        finally:
            self._listener = self._listen(self.port)

    def _listen(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        listener.settimeout(LOOK_S)  # a closed listener is noticed by the thread that waits on it
        threading.Thread(target=self._accept, args=(listener,), daemon=True, name="fault-proxy").start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        while not self._closed.is_set():
            try:
                client, _address = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(None)
        address = ("127.0.0.1", self._target)
        with client, contextlib.suppress(OSError), socket.create_connection(address, timeout=10) as vendor:
            vendor.settimeout(None)
            mode = "pass"
            while mode and not self._closed.is_set():
                mode = self._pass_on(client, vendor, mode)

    def _pass_on(self, client: socket.socket, vendor: socket.socket, mode: str) -> str:
        """Move what has arrived on either side; return the mode in which the connection goes on, "" at its end."""
        readable, _writable, _broken = select.select([client, vendor], [], [], LOOK_S)
        if client in readable:
            asked = client.recv(BLOCK)
            mode = next((found for text, found in self._modes.items() if text in asked), mode)
            if asked and mode != "blackhole":
                vendor.sendall(asked)
            return mode if asked else ""
        if vendor in readable:
            answer = vendor.recv(BLOCK)
            return mode if answer and ANSWERS[mode](client, answer) else ""
        return mode


def _pass(client: socket.socket, answer: bytes) -> bool:
    client.sendall(answer)
    return True


def _drip(client: socket.socket, answer: bytes) -> bool:
    for place in range(len(answer)):
        client.sendall(answer[place : place + 1])
        time.sleep(DRIP_GAP_S)
    return True


def _reset(client: socket.socket, answer: bytes) -> bool:
    # SO_LINGER with zero seconds makes the closing send RST: "connection reset by peer".
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def _swallow(client: socket.socket, answer: bytes) -> bool:
    return True


def _cut(client: socket.socket, answer: bytes) -> bool:
    client.sendall(answer[:CUT_AFTER])
    return False


def _garble(client: socket.socket, answer: bytes) -> bool:
    client.sendall(GARBAGE)
    return False


ANSWERS: Mapping[str, Callable[[socket.socket, bytes], bool]] = {
    "pass": _pass,
    "drip": _drip,
    "reset": _reset,
    "swallow": _swallow,
    "blackhole": _swallow,
    "cut": _cut,
    "garbage": _garble,
}
