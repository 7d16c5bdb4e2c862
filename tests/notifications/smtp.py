"""A mail server on loopback that takes mail, refuses it or hangs, as a test wants."""

from __future__ import annotations

import socketserver
import threading
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Mood:
    """What the server answers to RCPT and to the end of DATA; `taken` is what it took. `gate` holds it back."""

    rcpt: str = "250 ok"
    data: str = "250 taken"
    taken: list[str] = field(default_factory=list)
    gate: threading.Event | None = None
    reached: threading.Event = field(default_factory=threading.Event)


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        mood: Mood = self.server.mood  # type: ignore[attr-defined]
        mood.reached.set()
        if mood.gate is not None:
            mood.gate.wait(30)
        self._say("220 test")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                self._say("354 go on")
                body = self._body()
                if mood.data.startswith("250"):
                    mood.taken.append(body)
                self._say(mood.data)
            elif verb == b"QUIT":
                self._say("221 bye")
                return
            else:
                self._say(mood.rcpt if verb == b"RCPT" else "250 ok")

    def _body(self) -> str:
        lines = []
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            lines.append(line)
        return b"".join(lines).decode()

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class MailServer:
    """The server, from enter to exit; `mood` may be changed while it runs."""

    def __init__(self) -> None:
        self.mood = Mood()

    def __enter__(self) -> MailServer:
        """Listen on a free port."""
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Session)
        self._server.daemon_threads = True
        self._server.mood = self.mood  # type: ignore[attr-defined]
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc: Any) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
