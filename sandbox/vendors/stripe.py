"""Stripe, thin: what a check of a key and a webhook need. Keys, versions, errors and signatures are Stripe's."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from werkzeug.wrappers import Request, Response

from sandbox.callbacks import Unreachable, call_back
from sandbox.frame import Refused, Route, Routes, Vendor, json_answer, read_json
from sandbox.store import Document

API_VERSION = "2026-10-28.endive"
# Releases by train; older ones are bare dates.
VERSION_SHAPE = re.compile(r"\d{4}-\d{2}-\d{2}(\.(acacia|basil|clover|dahlia|endive))?")
KEY_SHAPE = re.compile(r"(sk|rk)_(test|live)_[A-Za-z0-9_]+")
IDEMPOTENCY_CHARS = 255
MOST_ENDPOINTS = 16
LONGEST_PAGE = 100
ENDPOINT_FIELDS = ("url", "enabled_events", "api_version", "description", "connect", "metadata")
DOCS_URL = "https://stripe.com/docs/error-codes/"
SECRET_KEY = "sk_test_sandboxAuroraPadaria"  # noqa: S105 - an invented key of a stand-in
RESTRICTED_KEY = "rk_test_sandboxAuroraReadBalance"
ACCOUNT: Document = {
    "id": "acct_1SandboxAurora", "object": "account", "country": "BR", "default_currency": "brl",
    "charges_enabled": True, "payouts_enabled": True, "details_submitted": True, "type": "standard",
    "email": "financeiro@aurora.example.com", "business_type": "company",
    "settings": {"dashboard": {"display_name": "Padaria Aurora", "timezone": "America/Sao_Paulo"}},
}  # fmt: skip
BALANCE: Document = {
    "object": "balance", "livemode": False,
    "available": [{"amount": 152_340, "currency": "brl", "source_types": {"card": 152_340}}],
    "pending": [{"amount": 8_990, "currency": "brl", "source_types": {"card": 8_990}}],
}  # fmt: skip


class Stripe(Vendor):
    """The API at /stripe/v1/…"""

    key = "stripe"
    label = "Stripe"

    def __init__(self, frame: Any) -> None:
        super().__init__(frame)
        self._keys = self.collection("key")
        self._endpoints = self.collection("endpoint")
        self._answers = self.collection("answer")
        self._events = self.collection("event")
        self._operations = Routes(
            [
                Route("GET", "/v1/account", self._account),
                Route("GET", "/v1/balance", self._balance),
                Route("GET", "/v1/events", self._list_events),
                Route("POST", "/v1/webhook_endpoints", self._create_endpoint),
                Route("GET", "/v1/webhook_endpoints", self._list_endpoints),
                Route("GET", "/v1/webhook_endpoints/{endpoint_id}", self._show_endpoint),
                Route("DELETE", "/v1/webhook_endpoints/{endpoint_id}", self._delete_endpoint),
            ]
        )
        frame.runner.handle(vendor=self.key, name="deliver", handler=self._deliver)

    def operation(self, request: Request, path: str) -> str:
        """Name the operation by its pattern."""
        found = self._operations.find(request.method, path)
        return f"{request.method} {found[0].pattern}" if found else ""

    def failure(self, status: int) -> object:
        """Return Stripe's body for too many requests and for a failure."""
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return _error("invalid_request_error", "Too many requests hit the API too quickly.", code="rate_limit")
        return _error("api_error", "An error occurred on our side.")

    def call(self, request: Request, path: str) -> Response:
        """Answer one call: key, version, path, then the operation."""
        request_id = "req_" + secrets.token_hex(7)
        headers = {"Request-Id": request_id, "Stripe-Version": request.headers.get("Stripe-Version", API_VERSION)}
        try:
            key = self._authenticate(request)
            _check_version(request)
            found = self._operations.find(request.method, path)
            if found is None:
                message = f"Unrecognized request URL ({request.method}: {path})."
                raise Refused(404, _error("invalid_request_error", message))
            response = self._once(request, key=key, act=lambda: found[0].handler(request, key, **found[1]))
        except Refused as refused:
            response = refused.response()
        response.headers.update(headers)
        return response

    def seed(self) -> None:
        """Write one secret key and one restricted key that may read the balance only."""
        self._keys.put(SECRET_KEY, {"key": SECRET_KEY, "rights": ["account", "balance", "events", "webhook_endpoints"]})
        self._keys.put(RESTRICTED_KEY, {"key": RESTRICTED_KEY, "rights": ["balance"]})

    def control(self) -> Sequence[Route]:
        """Return the control routes."""
        return (
            Route("GET", "/accounts", self._list_accounts),
            Route("POST", "/keys", self._add_key),
            Route("POST", "/keys/{key}/revoke", self._revoke_key),
            Route("POST", "/events", self._send_event),
            Route("GET", "/endpoints", self._show_secrets),
        )

    # The API

    def _account(self, request: Request, key: Document) -> Response:
        _require(key, "account")
        return json_answer(ACCOUNT)

    def _balance(self, request: Request, key: Document) -> Response:
        _require(key, "balance")
        return json_answer(BALANCE)

    def _list_events(self, request: Request, key: Document) -> Response:
        """List events, newest first, by `created[gte]`, in pages of `limit` after `starting_after`."""
        _require(key, "events")
        if unknown := set(request.args) - {"created[gte]", "limit", "starting_after", "type"}:
            name = min(unknown)
            raise _bad_field(name, f"Received unknown parameter: {name}", code="parameter_unknown")
        since, limit = _whole(request, "created[gte]", 0), _whole(request, "limit", 10)
        if not 1 <= limit <= LONGEST_PAGE:
            raise _bad_field("limit", "This value must be between 1 and 100.", code="parameter_invalid_integer")
        found = [event for event in reversed(self._events.all()) if event["created"] >= since]
        after = request.args.get("starting_after")
        if after is not None:
            places = [place for place, event in enumerate(found) if event["id"] == after]
            if not places:
                raise _bad_field("starting_after", f"No such event: '{after}'", code="resource_missing")
            found = found[places[0] + 1 :]
        page = {"object": "list", "url": "/v1/events", "has_more": len(found) > limit, "data": found[:limit]}
        return json_answer(page)

    def _create_endpoint(self, request: Request, key: Document) -> Response:
        _require(key, "webhook_endpoints")
        form = _form(request)
        if not form.get("url", "").startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise _bad_field("url", "Invalid URL: an explicit scheme (such as https) must be provided.")
        if not form.get("enabled_events"):
            raise _bad_field("enabled_events", "Missing required param: enabled_events.", code="parameter_missing")
        if len(self._endpoints.all()) >= MOST_ENDPOINTS:
            raise Refused(400, _error("invalid_request_error", "You have reached the maximum of 16 webhook endpoints."))
        endpoint = {
            "id": "we_" + secrets.token_hex(12), "object": "webhook_endpoint", "url": form["url"], "livemode": False,
            "enabled_events": form["enabled_events"], "api_version": form.get("api_version"), "status": "enabled",
            "description": form.get("description"), "metadata": form.get("metadata", {}), "created": int(time.time()),
            "secret": "whsec_test" + secrets.token_hex(16),
        }  # fmt: skip
        self._endpoints.put(endpoint["id"], endpoint)
        return json_answer(endpoint)

    def _list_endpoints(self, request: Request, key: Document) -> Response:
        _require(key, "webhook_endpoints")
        data = [_without_secret(endpoint) for endpoint in reversed(self._endpoints.all())]
        return json_answer({"object": "list", "url": "/v1/webhook_endpoints", "has_more": False, "data": data})

    def _show_endpoint(self, request: Request, key: Document, endpoint_id: str) -> Response:
        _require(key, "webhook_endpoints")
        return json_answer(_without_secret(self._endpoint(endpoint_id)))

    def _delete_endpoint(self, request: Request, key: Document, endpoint_id: str) -> Response:
        _require(key, "webhook_endpoints")
        self._endpoint(endpoint_id)
        self._endpoints.delete(endpoint_id)
        return json_answer({"id": endpoint_id, "object": "webhook_endpoint", "deleted": True})

    def _endpoint(self, endpoint_id: str) -> Document:
        endpoint = self._endpoints.get(endpoint_id)
        if endpoint is None:
            message = f"No such webhook endpoint: '{endpoint_id}'"
            raise Refused(
                404, _error("invalid_request_error", message, code="resource_missing", param="webhook_endpoint")
            )
        return endpoint

    def _authenticate(self, request: Request) -> Document:
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        if scheme == "Basic":
            try:
                value = base64.b64decode(value, validate=True).decode().partition(":")[0]
            except (binascii.Error, UnicodeDecodeError):
                value = ""
        if scheme not in ("Bearer", "Basic") or not value:
            message = "You did not provide an API key. Send it as a Bearer token or as the Basic user name."
            raise Refused(401, _error("invalid_request_error", message))
        known = self._keys.get(value)
        if known is None or known.get("revoked"):
            shape = "expired" if known else "invalid"
            message = f"{shape.capitalize()} API Key provided: {value[:8]}****{value[-4:]}"
            raise Refused(401, _error("invalid_request_error", message, code="api_key_expired" if known else None))
        return known

    def _once(self, request: Request, *, key: Document, act: Callable[[], Response]) -> Response:
        name = request.headers.get("Idempotency-Key")
        if name is None or request.method != "POST":
            return act()
        if not 1 <= len(name) <= IDEMPOTENCY_CHARS:
            raise Refused(400, _error("invalid_request_error", "Idempotency-Key must have 1 to 255 characters."))
        digest = hashlib.sha256(request.path.encode() + b"\n" + request.get_data()).hexdigest()
        with self.frame.store.transaction():
            stored = self._answers.get(f"{key['key']}:{name}")
            if stored is None:
                response = act()
                self._answers.put(f"{key['key']}:{name}", {"digest": digest, "body": response.get_data(as_text=True)})
                return response
        if stored["digest"] != digest:
            message = (
                "Keys for idempotent requests can only be used with the same parameters they were first used with."
            )
            raise Refused(400, _error("idempotency_error", message))
        return json_answer(json.loads(stored["body"]), headers={"Idempotent-Replayed": "true"})

    # Control

    def _list_accounts(self, request: Request) -> Response:
        keys = [key for key in self._keys.all() if not key.get("revoked")]
        return json_answer({"accounts": [{"account": ACCOUNT["id"], "name": "Padaria Aurora", "keys": keys}]})

    def _add_key(self, request: Request) -> Response:
        values = read_json(request)
        key = str(values.get("key", "rk_test_" + secrets.token_hex(12)))
        if not KEY_SHAPE.fullmatch(key):
            raise Refused(400, {"error": "a key looks like sk_test_… or rk_test_…"})
        return json_answer(self._keys.put(key, {"key": key, "rights": list(values.get("rights", []))}), status=201)

    def _revoke_key(self, request: Request, key: str) -> Response:
        try:
            return json_answer(self._keys.change(key, revoked=True))
        except KeyError as error:
            raise Refused(404, {"error": "no such key"}) from error

    def _show_secrets(self, request: Request) -> Response:
        return json_answer({"endpoints": self._endpoints.all()})

    def _send_event(self, request: Request) -> Response:
        """
        Let something happen and send it: {type, object, url + secret | endpoint, id?, livemode?, age_s?, signature?}.

        With `lost` it is listed but no webhook is sent; `created` is its Unix time, now unless given.
        """
        values = read_json(request)
        endpoint = self._endpoints.get(str(values.get("endpoint", ""))) or {}
        url, secret = values.get("url") or endpoint.get("url"), values.get("secret") or endpoint.get("secret")
        if not (values.get("lost") or (url and secret)):
            raise Refused(400, {"error": "needed: url and secret, or the id of an endpoint"})
        event = {
            "id": values.get("id", "evt_" + secrets.token_hex(12)), "object": "event", "api_version": API_VERSION,
            "created": int(values.get("created", time.time())), "livemode": bool(values.get("livemode")),
            "pending_webhooks": 1,
            "type": values.get("type", "invoice.paid"), "data": {"object": values.get("object", {"object": "invoice"})},
            "request": {"id": None, "idempotency_key": None},
        }  # fmt: skip
        self._events.put(event["id"], event)
        if values.get("lost"):
            return json_answer({"event": event["id"]}, status=201)
        job = {
            "url": url, "secret": secret if values.get("signature") != "wrong" else "whsec_other", "event": event,
            "age_s": values.get("age_s", 0),
        }  # fmt: skip
        self.frame.runner.schedule(vendor=self.key, name="deliver", body=job)
        return json_answer({"event": event["id"]}, status=201)

    def _deliver(self, job: Document, attempts: int) -> float | None:
        settings = self.frame.settings
        body = json.dumps(job["event"], indent=2).encode()
        stamp = int(time.time() - job["age_s"])
        headers = {
            "Content-Type": "application/json; charset=utf-8", "User-Agent": "Stripe/1.0",
            "Stripe-Signature": signature_header(body, secret=job["secret"], stamp=stamp),
        }  # fmt: skip
        try:
            answer = call_back(
                job["url"], method="POST", body=body, headers=headers, timeout_s=settings.callback_timeout_s
            )
            done = HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES
        except Unreachable:
            done = False
        if done or attempts + 1 >= settings.retry_tries:
            return None
        return min(settings.retry_first_s * settings.retry_factor**attempts, settings.retry_longest_s)


def signature_header(body: bytes, *, secret: str, stamp: int) -> str:
    """Return `t=…,v1=…` over the stamp, a dot and the raw body."""
    digest = hmac.new(secret.encode(), str(stamp).encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={digest}"


def _check_version(request: Request) -> None:
    version = request.headers.get("Stripe-Version")
    if version is not None and not VERSION_SHAPE.fullmatch(version):
        raise Refused(400, _error("invalid_request_error", f"Invalid Stripe API version: {version}"))


def _require(key: Document, right: str) -> None:
    if right not in key["rights"]:
        message = f"The provided key does not have the required permissions for this endpoint ({right})."
        raise Refused(403, _error("invalid_request_error", message, code="more_permissions_required_for_application"))


def _form(request: Request) -> dict[str, Any]:
    if request.get_data() and request.mimetype != "application/x-www-form-urlencoded":
        raise Refused(400, _error("invalid_request_error", "Send the parameters form-encoded."))
    form: dict[str, Any] = {}
    for name, value in request.form.items(multi=True):
        field, bracket, inner = name.partition("[")
        if field not in ENDPOINT_FIELDS:
            raise _bad_field(name, f"Received unknown parameter: {name}", code="parameter_unknown")
        if field == "enabled_events":
            form.setdefault(field, []).append(value)
        elif bracket:
            form.setdefault(field, {})[inner.rstrip("]")] = value
        else:
            form[field] = value
    return form


def _whole(request: Request, name: str, default: int) -> int:
    value = request.args.get(name, str(default))
    if not value.isdecimal():
        raise _bad_field(name, f"Invalid integer: {value}", code="parameter_invalid_integer")
    return int(value)


def _bad_field(name: str, message: str, *, code: str = "url_invalid") -> Refused:
    return Refused(400, _error("invalid_request_error", message, code=code, param=name))


def _without_secret(endpoint: Document) -> Document:
    return {name: value for name, value in endpoint.items() if name != "secret"}


def _error(kind: str, message: str, *, code: str | None = None, param: str | None = None) -> Document:
    error: Document = {"type": kind, "message": message}
    if code:
        error |= {"code": code, "doc_url": DOCS_URL + code}
    if param:
        error["param"] = param
    return {"error": error}


VENDOR = Stripe
