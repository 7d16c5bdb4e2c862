"""OAuth2 client credentials of the bank, bound to the client certificate where one was shown (RFC 8705)."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets

from werkzeug.wrappers import Request, Response

from sandbox.frame import Refused, json_answer
from sandbox.pix.edge import Edge
from sandbox.pix.problems import problem
from sandbox.pix.state import State
from sandbox.store import Document

FORM = {"grant_type", "scope", "client_id", "client_secret"}


class Tokens:
    """Hand out and check tokens."""

    def __init__(self, state: State, edge: Edge) -> None:
        self._state = state
        self._edge = edge

    def issue(self, request: Request) -> Response:
        """Answer POST /oauth/token: HTTP Basic or client id and secret in the form; :raises Refused: RFC 6749."""
        if request.mimetype != "application/x-www-form-urlencoded" or set(request.form) - FORM:
            raise _oauth(400, "invalid_request")
        client = self._client(request)
        if request.form.get("grant_type") != "client_credentials":
            raise _oauth(400, "unsupported_grant_type")
        wanted = request.form.get("scope", "").split() or client["scopes"]
        if not set(wanted) <= set(client["scopes"]):
            raise _oauth(400, "invalid_scope")
        lifetime_s = self._state.settings.token_lifetime_s
        token = {
            "id": "test_" + secrets.token_urlsafe(32), "client": client["id"], "scopes": wanted,
            "expires_at": self._state.frame.now() + lifetime_s, "certificate": self._edge.client_of(request),
        }  # fmt: skip
        self._state.tokens.put(token["id"], token)
        answer = {"access_token": token["id"], "token_type": "Bearer", "expires_in": int(lifetime_s)}
        return json_answer(answer | {"scope": " ".join(wanted)}, headers={"Cache-Control": "no-store"})

    def caller(self, request: Request, *, scope: str) -> Document:
        """Return the client that calls; :raises Refused: 401 without a living token, 403 without the scope."""
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        token = self._state.tokens.get(text) if scheme == "Bearer" else None
        if token is None or token["expires_at"] <= self._state.frame.now():
            raise problem("AcessoNegado", "O token de acesso está ausente, é inválido ou expirou.", status=401)
        self._check_certificate(request, token=token)
        if scope not in token["scopes"]:
            raise problem("AcessoNegado", f"O token não tem o escopo {scope}.")
        client = self._state.clients.get(token["client"])
        if client is None:
            raise problem("AcessoNegado", status=401)
        return client

    def _client(self, request: Request) -> Document:
        client_id, secret = _basic(request) or (request.form.get("client_id"), request.form.get("client_secret"))
        client = self._state.clients.get(client_id or "")
        if client is None or not hmac.compare_digest(client["secret"].encode(), (secret or "").encode()):
            raise _oauth(401, "invalid_client")
        shown = self._edge.client_of(request)
        if (shown or not self._state.settings.require_certificate) and shown in ("", client["id"]):
            return client
        raise _oauth(401, "invalid_client")

    def _check_certificate(self, request: Request, *, token: Document) -> None:
        shown = self._edge.client_of(request)
        if shown != token["certificate"] or (self._state.settings.require_certificate and not shown):
            raise problem("AcessoNegado", "O certificado não é o do token.", status=401)


def _basic(request: Request) -> tuple[str, str] | None:
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise _oauth(401, "invalid_client") from error
    return client_id, secret


def _oauth(status: int, error: str) -> Refused:
    headers = {"WWW-Authenticate": "Basic"} if status == 401 else {}  # noqa: PLR2004 - the status itself
    return Refused(status, {"error": error, "error_description": f"{error}: see RFC 6749 section 5.2"}, headers)
