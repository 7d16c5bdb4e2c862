"""
A vendor that answers after a fixed time and costs next to nothing: `python -m benchmarks.stand_in PORT LATENCY_S`.

It answers `GET /v1/account` as the sandbox's Stripe does, byte for byte but for the ids: the account of the key in the
request. The sandbox itself is threaded, strict and takes 1 to 2 ms of CPU for an answer, which would be measured too.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

from benchmarks.load import LOOPBACK

KEY = "sk_test_bench"
"""Keys are this and a number; the account is `acct_bench` and the same number."""

ACCOUNT = {
    "id": "@", "object": "account", "country": "BR", "default_currency": "brl",
    "charges_enabled": True, "payouts_enabled": True, "details_submitted": True, "type": "standard",
    "email": "bench@example.com", "business_type": "company",
    "settings": {"dashboard": {"display_name": "Bench", "timezone": "America/Sao_Paulo"}},
}  # fmt: skip
_BODY = json.dumps(ACCOUNT)
_HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nRequest-Id: req_bench\r\nContent-Length: {}\r\n\r\n"
_AUTHORIZATION = f"authorization: bearer {KEY}".encode()


class StandIn(asyncio.Protocol):
    """One connection: requests without bodies, one after the other."""

    answered = 0

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each whole request after the latency; the count at once."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            if head.startswith(b"GET /answered "):
                self._send(str(StandIn.answered))
            else:
                asyncio.get_running_loop().call_later(self._latency_s, self._answer, head)

    def _answer(self, head: bytes) -> None:
        StandIn.answered += 1
        number = head.lower().partition(_AUTHORIZATION)[2].partition(b"\r\n")[0].decode()
        self._send(_BODY.replace("@", f"acct_bench{number}"))

    def _send(self, body: str) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write((_HEAD.format(len(body)) + body).encode())


async def serve(port: int, latency_s: float) -> None:
    """Listen until the process is told to end."""
    server = await asyncio.get_running_loop().create_server(lambda: StandIn(latency_s), LOOPBACK, port, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
