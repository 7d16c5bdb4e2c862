"""Accounts, account links and OAuth: how a platform comes to act for others."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from werkzeug.wrappers import Request, Response

from sandbox.frame import Refused, json_answer
from sandbox.store import Document
from sandbox.stripe import params_pages as params
from sandbox.stripe.access import RIGHTS, Access, Caller, no_access
from sandbox.stripe.errors import invalid, missing_param
from sandbox.stripe.events import Events
from sandbox.stripe.operations import Operation, get, post
from sandbox.stripe.state import VENDOR, Scope, State, new_id

CODE_LIVES_S = 300
LINK_LIVES_S = 300
CONTROLLER = {"fees": ("payer",), "losses": ("payments",), "stripe_dashboard": ("type",)}
NO_REQUIREMENTS: Document = {
    "alternatives": [], "current_deadline": None, "currently_due": [], "disabled_reason": None, "errors": [],
    "eventually_due": [], "past_due": [], "pending_verification": [],
}  # fmt: skip
CAPABILITIES = dict.fromkeys(("boleto_payments", "card_payments", "pix_payments", "transfers"), "active")
DUE = ["business_profile.url", "external_account", "tos_acceptance.date"]


class Connect:
    """The operations on accounts, and OAuth."""

    def __init__(self, state: State, *, events: Events, access: Access, balance: Document) -> None:
        self._state = state
        self._events = events
        self._access = access
        self._balance = balance

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        account: dict[str, Any] = {"right": "account", "kind": "account"}
        return (
            get("/v1/account", self._current, **account),
            get("/v1/balance", self._show_balance, right="balance", kind="balance"),
            post("/v1/accounts", self._create, params=params.ACCOUNT_CREATE, right="connect", kind="account"),
            get("/v1/accounts/{key}", self._show, **account),
            post("/v1/account_links", self._link, params=params.LINK_CREATE, right="connect", kind="account_link"),
        )

    def add_account(self, key: str, facts: Document) -> Document:
        """Write an account; test and live mode share it."""
        base: Document = {
            "id": key, "object": "account", "business_profile": {"name": None, "url": None}, "business_type": None,
            "capabilities": dict(CAPABILITIES),
            "charges_enabled": True, "payouts_enabled": True, "details_submitted": True,
            "controller": {"type": "account"}, "country": "BR", "created": self._state.now(),
            "default_currency": "brl", "email": None,
            "external_accounts": {
                "object": "list", "data": [], "has_more": False, "total_count": 0,
                "url": f"/v1/accounts/{key}/external_accounts",
            },
            "future_requirements": NO_REQUIREMENTS, "metadata": {}, "requirements": NO_REQUIREMENTS,
            "settings": {"dashboard": {"display_name": None, "timezone": "America/Sao_Paulo"}},
            "tos_acceptance": {"date": None, "ip": None, "user_agent": None}, "type": "standard", "_owner": key,
        }  # fmt: skip
        return self._state.put(base | facts)

    def account(self, key: str) -> Document:
        """Return an account; :raises KeyError: there is none."""
        found = self._state.collection("account").get(key)
        if found is None:
            raise KeyError(key)
        return found

    def change_account(self, key: str, *, livemode: bool, values: Document) -> Document:
        """Change an account and tell its platforms."""
        old = self.account(key)
        account = self._state.put(old | values)
        previous = {name: old.get(name) for name, value in values.items() if old.get(name) != value}
        self._events.emit(Scope(account=key, livemode=livemode), "account.updated", account, previous=previous)
        return account

    def deauthorize(self, platform: str, account: str, *, livemode: bool) -> None:
        """Take the account from the platform and tell it; :raises KeyError: it is not connected."""
        self._access.disconnect(platform, account, livemode=livemode)
        found = self._state.collection("platform").get(platform) or {"client_id": None}
        application = {"id": found["client_id"], "object": "application", "name": "Sandbox platform"}
        scope = Scope(account=account, livemode=livemode)
        self._events.emit(scope, "account.application.deauthorized", application)

    def code(self, *, platform: str, account: str, redirect_uri: str) -> str:
        """Return the code that the authorize page hands over; it lives 5 minutes and serves once."""
        code = "ac_test" + secrets.token_urlsafe(24)
        body = {"platform": platform, "account": account, "redirect_uri": redirect_uri, "at": self._state.now()}
        self._state.collection("oauth_code").put(code, body)
        return code

    def platform_of(self, client_id: str) -> Document | None:
        """Return the platform with this client id, or None."""
        return next(
            (found for found in self._state.collection("platform").all() if found["client_id"] == client_id), None
        )

    # OAuth answers in its own shape: {error, error_description}

    def oauth(self, request: Request, path: str) -> Response:
        """Answer /oauth/token and /oauth/deauthorize."""
        with self._state.frame.store.transaction():
            key = self._platform_key(request)
            if path == "/oauth/token":
                return json_answer(self._token(request, key))
            return json_answer(self._give_back(request, key))

    def _token(self, request: Request, key: Document) -> Document:
        form, codes = request.form, self._state.collection("oauth_code")
        livemode = key["key"].split("_")[1] == "live"
        if form.get("grant_type") != "authorization_code":
            raise _oauth_error("unsupported_grant_type", "grant_type must be authorization_code or refresh_token")
        found = codes.get(form.get("code", ""))
        if found is None or found["at"] + CODE_LIVES_S < self._state.now():
            raise _oauth_error("invalid_grant", f"Authorization code does not exist: {form.get('code')}")
        if found["platform"] != key["account"]:
            raise _oauth_error("invalid_grant", "This code was issued to another application.")
        if form.get("code") and not codes.delete(form["code"]):
            raise _oauth_error("invalid_grant", "This authorization code has already been used.")
        account, mode = found["account"], "live" if livemode else "test"
        self._access.connect(key["account"], account, livemode=livemode)
        token = f"sk_{mode}_sandboxOAuth{secrets.token_hex(10)}"
        self._access.keys.put(
            token, {"key": token, "rights": list(RIGHTS), "account": account, "platform": key["account"]}, owner=account
        )
        scope = Scope(account=account, livemode=livemode)
        self._events.emit(scope, "account.application.authorized", {"id": None, "object": "application"})
        return {
            "access_token": token, "livemode": livemode, "refresh_token": "rt_test" + secrets.token_hex(10),
            "token_type": "bearer", "stripe_publishable_key": f"pk_{mode}_sandbox{account[5:]}",
            "stripe_user_id": account, "scope": "read_write",
        }  # fmt: skip

    def _give_back(self, request: Request, key: Document) -> Document:
        platform = self.platform_of(request.form.get("client_id", ""))
        if platform is None or platform["account"] != key["account"]:
            raise _oauth_error("invalid_client", "No such application for this key.", status=401)
        account = request.form.get("stripe_user_id", "")
        try:
            self.deauthorize(key["account"], account, livemode=key["key"].split("_")[1] == "live")
        except KeyError as error:
            message = f"This application is not connected to stripe account {account}, or that account does not exist."
            raise _oauth_error("invalid_client", message, status=401) from error
        return {"stripe_user_id": account}

    def _platform_key(self, request: Request) -> Document:
        secret = request.form.get("client_secret") or request.headers.get("Authorization", "").removeprefix("Bearer ")
        found = self._access.keys.get(secret)
        if found is None or found.get("revoked"):
            raise _oauth_error("invalid_client", "No such API key.", status=401)
        if self._state.collection("platform").get(found["account"]) is None:
            raise _oauth_error("invalid_client", "This account is no Connect platform.", status=401)
        return found

    # The API

    def _current(self, caller: Caller, values: Document) -> Document:
        return self.account(caller.scope.account)

    def _show_balance(self, caller: Caller, values: Document) -> Document:
        return self._balance | {"livemode": caller.scope.livemode}

    def _show(self, caller: Caller, values: Document, key: str) -> Document:
        scope = caller.scope
        if key != scope.account and not self._access.is_connected(scope.account, key, livemode=scope.livemode):
            raise no_access(caller.key["key"], key)
        return self.account(key)

    def _create(self, caller: Caller, values: Document) -> Document:
        platform = caller.scope.account
        if self._state.collection("platform").get(platform) is None:
            message = "You can only create new accounts if you've signed up for Connect."
            raise invalid(message)
        if "type" in values and "controller" in values:
            message = "You may only specify one of these parameters: type, controller."
            raise invalid(message, code="parameters_exclusive", param="type")
        controller = _controller(values)
        facts: Document = {
            "business_type": values.get("business_type"), "country": values.get("country", "BR"),
            "email": values.get("email"), "metadata": values.get("metadata") or {}, "controller": controller,
            "charges_enabled": False, "payouts_enabled": False, "details_submitted": False,
            "type": values.get("type", "none"), "requirements": NO_REQUIREMENTS | {
                "currently_due": DUE, "eventually_due": DUE, "past_due": DUE, "disabled_reason": "requirements.past_due"
            },
            "capabilities": dict.fromkeys(values.get("capabilities") or {}, "inactive"),
            "business_profile": {"name": None, "url": None} | (values.get("business_profile") or {}),
        }  # fmt: skip
        account = self.add_account(new_id("acct"), facts)
        self._access.connect(platform, account["id"], livemode=caller.scope.livemode)
        return account

    def _link(self, caller: Caller, values: Document) -> Document:
        for name in ("refresh_url", "return_url"):
            if name not in values:
                raise missing_param(name)
        scope, account = caller.scope, values["account"]
        if not self._access.is_connected(scope.account, account, livemode=scope.livemode):
            raise no_access(caller.key["key"], account)
        key, now = secrets.token_urlsafe(12), self._state.now()
        body = values | {"at": now, "livemode": scope.livemode, "used": False}
        self._state.collection("account_link").put(key, body)
        url = f"{self._state.frame.base_url}/{VENDOR}/setup/{key}"
        return {"object": "account_link", "created": now, "expires_at": now + LINK_LIVES_S, "url": url}


def redirect_with(uri: str, **values: Any) -> str:
    """Return the address with these values in its query."""
    given = {name: value for name, value in values.items() if value}
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode(given)}"


def _controller(values: Document) -> Document:
    given = values.get("controller")
    if given is None:
        return {"type": "application", "is_controller": True}
    for name, fields in CONTROLLER.items():
        for field in fields:
            if field not in (given.get(name) or {}):
                raise missing_param(f"controller[{name}][{field}]")
    return {"type": "application", "is_controller": True, "requirement_collection": "stripe"} | dict(given)


def _oauth_error(code: str, message: str, *, status: int = 400) -> Refused:
    return Refused(status, {"error": code, "error_description": message})
