"""The real server in its own process, and a receiver for the webhooks it sends."""

from __future__ import annotations

import http.server
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]
CUSTOMER = "5511955507788"
VERIFY_TOKEN = "verify-token-of-the-test"
DEADLINE_S = 10.0


@dataclass
class Sandbox:
    """The running sandbox and the first business in it."""

    url: str
    account: dict[str, Any] = field(default_factory=dict)

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Play the other side; a refusal fails the test."""
        answer = requests.request(method, f"{self.url}/control{path}", json=body, timeout=10)
        assert answer.ok, answer.text
        return answer.json()

    def graph(
        self, method: str, path: str, *, token: str | None = None, version: str = "v26.0", **options: Any
    ) -> requests.Response:
        """Call the Cloud API with the business's own token."""
        headers = {"Authorization": f"Bearer {token or self.account['access_token']}"} | options.pop("headers", {})
        address = f"{self.url}/whatsapp/{version}/{path}"
        return requests.request(method, address, headers=headers, timeout=10, allow_redirects=False, **options)

    def send(self, kind: str, content: object, **more: object) -> requests.Response:
        """Send a message of the business to the customer."""
        body = {"messaging_product": "whatsapp", "to": f"+{CUSTOMER}", "type": kind, kind: content} | more
        body = {name: value for name, value in body.items() if value is not None}
        return self.graph("POST", f"{self.account['phone_number_id']}/messages", json=body)

    def write(self, customer: str = CUSTOMER, **spec: object) -> dict[str, Any]:
        """Let a customer write to the business."""
        body = {"phone_number_id": self.account["phone_number_id"], "type": "text", "text": "Oi"} | spec
        return self.control("POST", f"/whatsapp/customers/{customer}/messages", body)

    def chat(self, customer: str = CUSTOMER) -> list[dict[str, Any]]:
        """Return what the customer's phone knows."""
        path = f"/whatsapp/customers/{customer}/messages?phone_number_id={self.account['phone_number_id']}"
        return self.control("GET", path)["messages"]


@dataclass
class Receiver:
    """An address of the product: answers the challenge and keeps what is posted."""

    url: str
    posts: queue.Queue[tuple[str, dict[str, str], bytes]] = field(default_factory=queue.Queue)
    statuses: list[int] = field(default_factory=list)
    challenge: str = "right"

    def next(self, *, timeout_s: float = DEADLINE_S) -> tuple[str, dict[str, str], bytes]:
        """Return the next POST: path, headers, raw body."""
        return self.posts.get(timeout=timeout_s)

    def silent(self, *, for_s: float = 0.5) -> bool:
        """Say whether nothing arrives for a while."""
        try:
            self.posts.get(timeout=for_s)
        except queue.Empty:
            return True
        return False


def code_of(answer: requests.Response) -> int:
    """Return the code of Meta's refusal."""
    return int(answer.json()["error"]["code"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(data_dir: Path, *, port: int) -> subprocess.Popen[bytes]:
    """Start the sandbox and return when it answers."""
    command = [sys.executable, "-m", "sandbox", "--port", str(port), "--data-dir", str(data_dir)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.01)
    process.kill()
    raise AssertionError("the sandbox did not start")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    process = start(tmp_path_factory.mktemp("sandbox"), port=port)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(timeout=10)


@pytest.fixture
def sandbox(server: str) -> Sandbox:
    """The sandbox with its first data and fast delays."""
    found = Sandbox(url=server)
    found.control("POST", "/reset")
    fast = {"sent_after_s": 0, "delivered_after_s": 0.05, "template_review_s": None, "retry_first_s": 0.05}
    found.control("POST", "/settings", fast | {"callback_timeout_s": 3})
    found.account = found.control("GET", "/whatsapp/accounts")["accounts"][0]
    return found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on a free port of this machine."""
    port = free_port()
    found = Receiver(url=f"http://127.0.0.1:{port}/hook/")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            known = query.get("hub.verify_token") == [VERIFY_TOKEN] and query["hub.mode"] == ["subscribe"]
            answers = {"right": query["hub.challenge"][0], "wrong": "something else"}
            self._answer(200 if known else 403, answers[found.challenge].encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.posts.put((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self._answer(found.statuses.pop(0) if found.statuses else 200, b"")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

    running = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield found
    running.shutdown()
    running.server_close()


@pytest.fixture
def connected(sandbox: Sandbox, receiver: Receiver) -> Sandbox:
    """The sandbox with the receiver as the callback of the account."""
    body = {"override_callback_uri": receiver.url, "verify_token": VERIFY_TOKEN}
    assert sandbox.graph("POST", f"{sandbox.account['waba_id']}/subscribed_apps", json=body).json() == {"success": True}
    return sandbox


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], object]:
    """Ask again until the answer is true, for work that the sandbox does in the background."""

    def ask(question: Callable[[], object]) -> object:
        deadline = time.monotonic() + DEADLINE_S
        while not (answer := question()):
            assert time.monotonic() < deadline, "it never became true"
            time.sleep(0.02)
        return answer

    return ask
