"""
Orchard, a vendor that does not exist: a login with PKCE that reaches several accounts, with rights that can be dropped.

`ORCHARD` is its provider, `Vendor` the vendor itself, a real server on loopback.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from core import clock
from core.secret import Secret
from integrations.contract import (
    Account,
    AccountKey,
    AppContext,
    Attempt,
    AuthenticationFailed,
    Category,
    CheckResult,
    ConnectsByOAuth,
    ErrorRule,
    Field,
    FieldKind,
    OAuth2Auth,
    Outbound,
    OutboundResponse,
    Priority,
    Provider,
    ProviderSpec,
    RefreshesTokens,
    TokenSet,
    VendorError,
    Verdict,
    read_json_object,
)

CLIENT_ID = "orchard-app-test"
CLIENT_SECRET = "orchard-secret-test-0017"
LIVES_S = 3600


class OrchardProvider(ConnectsByOAuth, RefreshesTokens, Provider):
    """One orchard."""

    spec: ClassVar[ProviderSpec] = ProviderSpec(
        key="orchard",
        label="Orchard",
        category=Category.ANALYTICS,
        priority=Priority.SPECIAL,
        docs_url="https://docs.orchard.example/",
        api_version="1",
        auth=OAuth2Auth(authorize_role="auth", token_role="auth", scopes=("pick", "water"), pkce=True),
        credentials=(
            Field(name="access_token", label="Access token", kind=FieldKind.SECRET, required=True, example="oat_test"),
            Field(name="refresh_token", label="Refresh token", kind=FieldKind.SECRET, example="ort_test"),
        ),
        settings=(Field(name="orchard", label="Orchard", example="north"),),
        hosts={"api": "https://api.orchard.example", "auth": "https://login.orchard.example"},
        errors=(ErrorRule(error=AuthenticationFailed, codes=("invalid_grant", "invalid_token")),),
    )

    def check(self) -> CheckResult:
        """Read the orchard that the settings name with the token."""
        token = self.integration.secrets["access_token"]
        name = self.integration.settings.get("orchard", "")
        answer = self.outbound.request("GET", f"/orchards/{name}", operation="check", role="api", bearer=token)
        found = read_json_object(answer.body)
        return CheckResult(
            account=Account(external_id=str(found["id"]), label=str(found["name"])),
            account_keys=(AccountKey(value=f"orchard:{found['id']}"),),
            verdicts=(Verdict(capability="tracks_events", ok=True),),
            environment=str(found["environment"]),
        )

    @classmethod
    def read_error(cls, response: OutboundResponse) -> VendorError:
        """Read {error}."""
        return VendorError(status=response.status, code=json.loads(response.body).get("error"))

    @classmethod
    def authorize_url(cls, app: AppContext, attempt: Attempt) -> str:
        """Build the address of the dialog."""
        query = {
            "client_id": app.client_id,
            "redirect_uri": attempt.redirect_uri,
            "state": attempt.state,
            "scope": " ".join(attempt.scopes),
            "code_challenge": attempt.code_challenge,
            "code_challenge_method": "S256",
        }
        return f"{cls.spec.hosts['auth']}/authorize?{urlencode(query)}"

    @classmethod
    def exchange_code(cls, app: AppContext, outbound: Outbound, attempt: Attempt) -> TokenSet:
        """Trade a code for tokens."""
        assert attempt.code is not None
        assert attempt.code_verifier is not None
        form = {
            "client_id": app.client_id,
            "client_secret": app.secrets["client_secret"].reveal(),
            "code": attempt.code.reveal(),
            "code_verifier": attempt.code_verifier.reveal(),
            "redirect_uri": attempt.redirect_uri,
        }
        answer = outbound.request("POST", "/token", operation="exchange_code", role="auth", data=form)
        facts = read_json_object(answer.body)
        return TokenSet(
            access_token=Secret(str(facts["access_token"])),
            refresh_token=Secret(str(facts["refresh_token"])),
            expires_at=clock.now() + timedelta(seconds=LIVES_S),
            scopes=tuple(str(facts["scope"]).split()),
        )

    @classmethod
    def list_accounts(cls, app: AppContext, outbound: Outbound, tokens: TokenSet) -> Sequence[Account]:
        """List the orchards."""
        answer = outbound.request("GET", "/orchards", operation="list", role="api", bearer=tokens.access_token)
        rows = read_json_object(answer.body)["orchards"]
        return [Account(external_id=row, label=f"Orchard {row}", settings={"orchard": row}) for row in rows]

    def refresh(self) -> TokenSet:
        """Nothing here renews tokens."""
        raise AuthenticationFailed("not in this test")


@dataclass
class Vendor:
    """Orchard itself: what a login reaches, what was asked, and codes that serve once."""

    orchards: list[str] = field(default_factory=lambda: ["north"])
    environment: str = "test"
    scope: str = "pick water"
    tokens: Mapping[str, str] = field(
        default_factory=lambda: {"access_token": "oat_test_17", "refresh_token": "ort_test_17"}
    )
    asked: list[Mapping[str, str]] = field(default_factory=list)
    hits: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""
    _codes: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def allow(self, address: str, **changes: str) -> str:
        """Let a person allow what the dialog at an address asks; return where the browser is sent back to."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        self.asked.append(asked)
        code = f"orchard-code-{len(self.asked)}"
        self._codes[code] = asked
        query = {"code": code, "state": asked["state"], **changes}
        return f"{asked['redirect_uri']}?{urlencode({name: value for name, value in query.items() if value})}"

    def deny(self, address: str) -> str:
        """Let a person say no."""
        return self.allow(address, code="", error="access_denied")

    def answer(self, method: str, path: str, form: dict[str, str], token: str) -> tuple[int, dict[str, Any]]:
        """Do what a request asks."""
        self.hits.append((f"{method} {path}", form))
        if path == "/token":
            return self._exchange(form)
        if token != "oat_test_17":
            return 401, {"error": "invalid_token"}
        if path == "/orchards":
            return 200, {"orchards": self.orchards}
        name = path.removeprefix("/orchards/")
        return 200, {"id": name, "name": f"Orchard {name}", "environment": self.environment}

    def _exchange(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        asked = self._codes.pop(form["code"], None)
        made = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        is_known = (form["client_id"], form["client_secret"]) == (CLIENT_ID, CLIENT_SECRET)
        if asked is None or not is_known or (asked["code_challenge"], asked["redirect_uri"]) != (
            made, form["redirect_uri"],
        ):  # fmt: skip
            return 400, {"error": "invalid_grant"}
        return 200, {**self.tokens, "scope": self.scope}


class Running:
    """The server in a thread, for the length of a block."""

    def __init__(self, vendor: Vendor) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(vendor))
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        vendor.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Running:
        self.thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)


def _handler(vendor: Vendor) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def _answer(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            status, facts = vendor.answer(method, urlsplit(self.path).path, dict(parse_qsl(body.decode())), token)
            sent = json.dumps(facts).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, format: str, *args: object) -> None:
            """The test asks `hits`."""

    return Handler
