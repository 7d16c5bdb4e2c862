"""
The bank's TLS port: demands a client certificate of the bank's own authority and passes the call to the plain port.

It ends TLS, adds a header that names the certificate's owner and relays the bytes, so faults and the log of calls
stay the frame's. The header carries a proof that only this process can make.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import select
import socket
import ssl
import struct
import threading
from typing import Any
from urllib.parse import urlsplit

from werkzeug.wrappers import Request

from sandbox.frame import Frame

HEADER = "X-Sandbox-Client-Certificate"
HEAD_BYTES = 64 * 1024
BLOCK_BYTES = 64 * 1024
# Longer than any hang that a fault plays (faults.LONGEST_HANG_S), so the relay never ends a call by itself.
PATIENCE_S = 150.0

log = logging.getLogger("sandbox")


class Edge:
    """One listener on a free port of this machine, opened when the first client certificate is asked for."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._proof = secrets.token_bytes(32)
        self._listener: socket.socket | None = None

    @property
    def port(self) -> int:
        """Return the port, or 0 while it is closed."""
        return int(self._listener.getsockname()[1]) if self._listener else 0

    @property
    def url(self) -> str:
        """Return https://localhost:<port>, or nothing while it is closed."""
        return f"https://localhost:{self.port}" if self.port else ""

    def client_of(self, request: Request) -> str:
        """Return the client whose certificate was shown, or nothing."""
        client, _, proof = request.headers.get(HEADER, "").rpartition(":")
        return client if client and hmac.compare_digest(proof, self._sign(client)) else ""

    def open(self, *, certificate: str, private_key: str, authority: str, port: int = 0) -> None:
        """Listen, with PEM texts, at this port if it is free; an open listener stays."""
        if self._listener:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=authority)
        # The ssl module reads certificates of its own side from files only.
        path = self._frame.files_dir / f"edge-{secrets.token_hex(8)}.pem"
        path.touch(mode=0o600)
        path.write_text(certificate + private_key)
        try:
            context.load_cert_chain(path)
        finally:
            path.unlink()
        self._listener = _bound(port)
        threading.Thread(target=self._accept, args=(self._listener, context), daemon=True, name="pix-edge").start()

    def close(self) -> None:
        """Stop listening."""
        listener, self._listener = self._listener, None
        if listener:
            # close() alone leaves a thread in accept(); shutdown() wakes it.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _sign(self, client: str) -> str:
        return hmac.new(self._proof, client.encode(), hashlib.sha256).hexdigest()

    def _accept(self, listener: socket.socket, context: ssl.SSLContext) -> None:
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(raw, context), daemon=True, name="pix-edge-call").start()

    def _serve(self, raw: socket.socket, context: ssl.SSLContext) -> None:
        raw.settimeout(PATIENCE_S)
        try:
            with context.wrap_socket(raw, server_side=True) as caller:
                self._relay(caller)
        except OSError as error:
            # A refused certificate is an ordinary answer of this port.
            log.info("a TLS call ended: %s", type(error).__name__)
            raw.close()

    def _relay(self, caller: ssl.SSLSocket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            block = caller.recv(BLOCK_BYTES)
            head += block
            if not block or len(head) > HEAD_BYTES:
                return
        line, _, rest = head.partition(b"\r\n")
        client = _common_name(caller)
        mark = f"{HEADER}: {client}:{self._sign(client)}\r\nConnection: close\r\n"
        parts = urlsplit(self._frame.base_url)
        with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 80), timeout=PATIENCE_S) as inner:
            inner.sendall(line + b"\r\n" + mark.encode() + rest)
            _pump(caller, inner)


def _bound(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port), backlog=64)
    except OSError:
        # Somebody else has the port of the last life: any other will do, and the control route tells it.
        return socket.create_server(("127.0.0.1", 0), backlog=64)


def _pump(caller: ssl.SSLSocket, inner: socket.socket) -> None:
    """Relay both directions until the answer ends or the caller leaves; one thread, for TLS objects bear no two."""
    while True:
        ready = [caller] if caller.pending() else select.select([caller, inner], [], [], PATIENCE_S)[0]
        if not ready:
            return
        if caller in ready:
            block = caller.recv(BLOCK_BYTES)
            if not block:
                return
            inner.sendall(block)
        if inner in ready and not _passed_on(inner, caller):
            return


def _passed_on(inner: socket.socket, caller: ssl.SSLSocket) -> bool:
    """Pass a part of the answer on; say whether more may come."""
    try:
        block = inner.recv(BLOCK_BYTES)
    except ConnectionResetError:
        # What a fault cuts inside shall be cut outside too: a closing socket with zero patience sends RST.
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
    if block:
        caller.sendall(block)
    else:
        caller.unwrap()
    return bool(block)


def _common_name(caller: ssl.SSLSocket) -> str:
    # Shape: ((("commonName", "…"),), …)
    shown: Any = (caller.getpeercert() or {}).get("subject", ())
    return next((value for group in shown for name, value in group if name == "commonName"), "")
