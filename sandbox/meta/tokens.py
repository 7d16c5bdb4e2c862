"""Apps and access tokens: who calls, for which app, with which permissions, on which objects."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import Any

from werkzeug.wrappers import Request

from sandbox.meta.errors import METHOD_ERROR, graph_error
from sandbox.meta.signing import app_secret_proof
from sandbox.store import Collection, Document, Store

# reason of a dead token: (error_subcode, text)
DEATHS: dict[str, tuple[int, str]] = {
    "expired": (463, "Error validating access token: Session has expired. The current time is later."),
    "revoked": (
        460,
        "Error validating access token: The session has been invalidated because the user changed their password or"
        " Facebook has changed the session for security reasons.",
    ),
    "app_removed": (458, "Error validating access token: The user has not authorized application {app_id}."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever proved to hold a token; `token` is None for an app token."""

    app: Document
    token: Document | None

    def may(self, scope: str) -> bool:
        """Say whether the token carries the permission."""
        return self.token is not None and scope in self.token["scopes"]

    def sees(self, target_id: str) -> bool:
        """Say whether the token was given for this object."""
        return self.token is not None and target_id in self.token["targets"]


class Tokens:
    """The apps and tokens of all Meta stand-ins."""

    def __init__(self, store: Store) -> None:
        self.apps: Collection = store.collection("meta", "app")
        self.tokens: Collection = store.collection("meta", "token")

    def add_app(self, app_id: str, *, secret: str, name: str, require_proof: bool = False) -> Document:
        """Write an app down; its webhook is set later."""
        webhook: Document = {"callback_url": "", "verify_token": "", "fields": []}
        return self.apps.put(
            app_id,
            {"id": app_id, "secret": secret, "name": name, "require_proof": require_proof, "webhook": webhook},
        )

    def mint(
        self,
        *,
        app_id: str,
        scopes: list[str],
        targets: list[str],
        expires_at: int = 0,
        text: str | None = None,
        kind: str = "SYSTEM_USER",
    ) -> Document:
        """Make a token; `expires_at` 0 means never, `targets` are the ids of its granular scopes."""
        token = text or "EAAtest" + secrets.token_hex(40)
        return self.tokens.put(
            token,
            {
                "token": token,
                "app_id": app_id,
                "scopes": scopes,
                "targets": targets,
                "expires_at": expires_at,
                "issued_at": int(time.time()),
                "kind": kind,
                "death": "",
                "user_id": "1221" + str(int(hashlib.sha256(token.encode()).hexdigest(), 16))[:14],
            },
            owner=app_id,
        )

    def caller(self, request: Request) -> Caller:
        """
        Return who calls, by the Bearer token.

        :raises Refused: 104 without a token, 190 with a wrong or dead one, 100 with a wrong or missing proof
        """
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not text:
            raise graph_error(104)
        caller = self.identify(text)
        self._check_proof(request, caller=caller, text=text)
        return caller

    def identify(self, text: str) -> Caller:
        """Return the holder of an access token or of an app token `app_id|app_secret`; :raises Refused: 190."""
        app_id, bar, secret = text.partition("|")
        if bar:
            app = self.apps.get(app_id)
            if app is None or not hmac.compare_digest(app["secret"], secret):
                raise graph_error(
                    190, message="Error validating application. Cannot get application info due to a system error."
                )
            return Caller(app=app, token=None)
        token = self.tokens.get(text)
        if token is None:
            raise graph_error(190)
        death = token_death(token)
        if death:
            subcode, message = DEATHS[death]
            raise graph_error(190, subcode=subcode, message=message.format(app_id=token["app_id"]))
        app = self.apps.get(token["app_id"])
        if app is None:
            raise graph_error(190)
        return Caller(app=app, token=token)

    def describe(self, text: str) -> dict[str, Any]:
        """Return the `data` of debug_token; a dead or unknown token is described, not refused."""
        token = self.tokens.get(text)
        if token is None:
            return {"error": {"code": 190, "message": "Malformed access token"}, "is_valid": False, "scopes": []}
        app = self.apps.get(token["app_id"]) or {"name": ""}
        death = token_death(token)
        data: dict[str, Any] = {
            "app_id": token["app_id"],
            "type": token["kind"],
            "application": app["name"],
            "data_access_expires_at": 0,
            "expires_at": token["expires_at"],
            "is_valid": not death,
            "issued_at": token["issued_at"],
            "scopes": token["scopes"],
            "user_id": token["user_id"],
            "granular_scopes": [{"scope": scope, "target_ids": token["targets"]} for scope in token["scopes"]],
        }
        if death:
            subcode, message = DEATHS[death]
            data |= {"error": {"code": 190, "subcode": subcode, "message": message.format(app_id=token["app_id"])}}
        return data

    def _check_proof(self, request: Request, *, caller: Caller, text: str) -> None:
        proof = request.args.get("appsecret_proof")
        if proof is None:
            if caller.app["require_proof"]:
                message = "API calls from the server require an appsecret_proof argument"
                raise graph_error(100, message=message, kind=METHOD_ERROR)
            return
        if not hmac.compare_digest(proof, app_secret_proof(text, app_secret=caller.app["secret"])):
            message = "Invalid appsecret_proof provided in the API argument"
            raise graph_error(100, message=message, kind=METHOD_ERROR)


def token_death(token: Document) -> str:
    """Return why the token is dead, or nothing."""
    if token["expires_at"] and token["expires_at"] <= time.time():
        return "expired"
    return str(token["death"])
