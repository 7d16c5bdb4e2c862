"""Connecting a seller: the authorization page's rules, codes, and POST /oauth/token."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from werkzeug.wrappers import Request, Response

from sandbox.frame import json_answer
from sandbox.mercadopago.errors import oauth_error
from sandbox.mercadopago.reading import Body, read_body
from sandbox.mercadopago.state import TOKEN_LIFE_S, State, grant_key
from sandbox.mercadopago.webhooks import Notice, Webhooks
from sandbox.store import Document

CODE_LIFE_S = 600
VERIFIER_SHAPE = re.compile(r"[A-Za-z0-9._~-]{43,128}")
CHALLENGE_SHAPE = re.compile(r"[A-Za-z0-9_-]{43}")
METHODS = ("S256", "plain")
ASKED = (
    "client_id", "response_type", "platform_id", "state", "redirect_uri", "code_challenge", "code_challenge_method",
    "show_dialog", "lang",
)  # fmt: skip
COMMON = ("client_id", "client_secret", "grant_type")
FIELDS = {
    "authorization_code": (*COMMON, "code", "redirect_uri", "code_verifier", "test_token"),
    "refresh_token": (*COMMON, "refresh_token"),
    "client_credentials": COMMON,
}
USED_UP = "Error validating grant. Your authorization code or refresh token may be expired or it was already used"


class BadRequest(Exception):
    """The address of the authorization page is wrong; the page says why and sends nobody anywhere."""


class OAuth:
    """Codes and tokens of all applications."""

    def __init__(self, state: State, webhooks: Webhooks) -> None:
        self._state = state
        self._webhooks = webhooks
        self._grants: dict[str, Callable[[Document, Body], Document]] = {
            "authorization_code": self._exchange,
            "refresh_token": self._refresh,
            "client_credentials": self._own_token,
        }

    def asked(self, query: Mapping[str, str]) -> Document:
        """Return the application that asks; :raises BadRequest: anything about the address is wrong."""
        app = self._state.apps.get(query.get("client_id", ""))
        if app is None:
            raise BadRequest("client_id: no such application")
        for wrong, reason in _problems(query, app):
            if wrong:
                raise BadRequest(reason)
        return app

    def grant(self, query: Mapping[str, str], *, seller_id: int) -> str:
        """Write a code down and return the address to go back to."""
        app = self.asked(query)
        code = f"TG-{secrets.token_hex(12)}-{seller_id}"
        self._state.codes.put(
            code,
            {
                "code": code, "app_id": app["id"], "seller_id": seller_id, "redirect_uri": query["redirect_uri"],
                "challenge": query.get("code_challenge", ""), "method": query.get("code_challenge_method", "plain"),
                "dies_at": self._state.frame.now() + CODE_LIFE_S, "used": False,
            },
        )  # fmt: skip
        return back_address(query, code=code)

    def token(self, request: Request) -> Response:
        """Answer POST /oauth/token, in JSON or as a form."""
        body = self._body(request)
        kind = body.get("grant_type", "")
        if kind not in FIELDS:
            raise oauth_error("unsupported_grant_type", "grant_type is not supported")
        if unknown := sorted(set(body) - set(FIELDS[kind])):
            raise oauth_error("invalid_request", f"unknown parameter: {unknown[0]}")
        app = self._state.apps.get(body.get("client_id", ""))
        if app is None or not hmac.compare_digest(app["client_secret"], body.get("client_secret", "")):
            raise oauth_error("invalid_client", "invalid client_id or client_secret")
        return json_answer(self._grants[kind](app, body))

    def _body(self, request: Request) -> Body:
        if request.mimetype == "application/x-www-form-urlencoded":
            return dict(request.form.items())
        body = read_body(request)
        for name, value in body.items():
            # test_token may come as a flag; everything else is text, also the numbers of client_id
            if not isinstance(value, str) and not (name == "test_token" and isinstance(value, bool)):
                raise oauth_error("invalid_request", f"{name} must be text")
        return body

    def _exchange(self, app: Document, body: Body) -> Document:
        for name in ("code", "redirect_uri"):
            if not body.get(name):
                raise oauth_error("invalid_request", f"{name} is required")
        with self._state.frame.store.transaction():
            code = self._state.codes.get(body["code"])
            fits = code is not None and code["app_id"] == app["id"] and code["redirect_uri"] == body["redirect_uri"]
            if code is None or not fits or code["used"] or code["dies_at"] <= self._state.frame.now():
                raise oauth_error("invalid_grant", USED_UP)
            if not _proves(code, body.get("code_verifier", "")):
                raise oauth_error("invalid_grant", "code_verifier does not match the code_challenge")
            self._state.codes.change(code["code"], used=True)
            live_mode = str(body.get("test_token", "")).lower() != "true"
            answer = self._issue(app, code["seller_id"], live_mode=live_mode)
        self._tell(app, code["seller_id"])
        token = self._state.tokens.get(answer["access_token"]) or {}
        return answer | {
            "user_id": code["seller_id"], "public_key": token["public_key"], "live_mode": live_mode,
        }  # fmt: skip

    def _refresh(self, app: Document, body: Body) -> Document:
        with self._state.frame.store.transaction():
            known = self._state.refresh_tokens.get(body.get("refresh_token", ""))
            if known is None or known["app_id"] != app["id"] or known["dies_at"] <= self._state.frame.now():
                raise oauth_error("invalid_grant", USED_UP)
            if not known["used"]:
                self._state.refresh_tokens.change(known["token"], used=True)
                return self._issue(app, known["seller_id"], live_mode=known["live_mode"])
        # outside the transaction: a refusal would take the revocation back
        if self._state.habits.reuse_revokes:
            self._state.revoke_grant(app["id"], known["seller_id"])
        raise oauth_error("invalid_grant", USED_UP)

    def _own_token(self, app: Document, body: Body) -> Document:
        if app["owner"] is None:
            raise oauth_error("unauthorized_client", "this application belongs to no account")
        answer = self._issue(app, app["owner"], live_mode=True)
        answer.pop("refresh_token", None)
        return answer | {"user_id": app["owner"], "live_mode": True}

    def _issue(self, app: Document, seller_id: int, *, live_mode: bool) -> Document:
        token = self._state.add_token(seller_id=seller_id, app_id=app["id"], live_mode=live_mode, scopes=app["scopes"])
        answer: Document = {
            "access_token": token["token"], "token_type": "bearer", "expires_in": TOKEN_LIFE_S,
            "scope": " ".join(app["scopes"]),
        }  # fmt: skip
        if "offline_access" in app["scopes"]:
            text = f"TG-{secrets.token_hex(16)}-{seller_id}"
            self._state.refresh_tokens.put(
                text,
                {
                    "token": text, "app_id": app["id"], "seller_id": seller_id, "live_mode": live_mode, "used": False,
                    "dies_at": self._state.frame.now() + TOKEN_LIFE_S,
                },
                owner=grant_key(app["id"], seller_id),
            )  # fmt: skip
            answer["refresh_token"] = text
        return answer

    def _tell(self, app: Document, seller_id: int) -> None:
        self._webhooks.emit(
            Notice(
                topic="mp-connect", action="application.authorized", data_id=str(seller_id), seller_id=seller_id,
                app_id=app["id"],
            )
        )  # fmt: skip


def back_address(query: Mapping[str, str], **values: str) -> str:
    """Return the redirect address with values and the caller's state."""
    state = {"state": query["state"]} if "state" in query else {}
    joint = "&" if "?" in query["redirect_uri"] else "?"
    return f"{query['redirect_uri']}{joint}{urlencode(values | state)}"


def _problems(query: Mapping[str, str], app: Document) -> tuple[tuple[bool, str], ...]:
    challenge, method = query.get("code_challenge", ""), query.get("code_challenge_method", "")
    unknown = sorted(set(query) - set(ASKED))
    return (
        (bool(unknown), f"unknown parameter: {', '.join(unknown)}"),
        (query.get("response_type") != "code", "response_type must be code"),
        (query.get("platform_id", "mp") != "mp", "platform_id must be mp"),
        (query.get("redirect_uri") not in app["redirect_uris"], "redirect_uri is not the registered one"),
        (app["pkce"] and not challenge, "code_challenge is required: PKCE is enabled"),
        (bool(challenge) and method not in METHODS, "code_challenge_method must be S256 or plain"),
        (method == "S256" and not CHALLENGE_SHAPE.fullmatch(challenge), "code_challenge is malformed"),
    )


def _proves(code: Document, verifier: str) -> bool:
    if not code["challenge"]:
        return not verifier
    if not VERIFIER_SHAPE.fullmatch(verifier):
        return False
    hashed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return hmac.compare_digest(hashed if code["method"] == "S256" else verifier, code["challenge"])
