"""Webhook endpoints and the list of events."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any

from sandbox.store import Document
from sandbox.stripe import params_pages as params
from sandbox.stripe.access import VERSION_SHAPE, Caller
from sandbox.stripe.errors import invalid
from sandbox.stripe.event_types import BY_RESOURCE, OTHER_RESOURCES
from sandbox.stripe.events import KEPT_S
from sandbox.stripe.form import merge_metadata
from sandbox.stripe.operations import Operation, delete, get, lists, post
from sandbox.stripe.shapes import thin
from sandbox.stripe.state import Scope, State, list_page, new_id

PATH = "/v1/webhook_endpoints"
MOST_ENDPOINTS = 16
# Live endpoints need https; this machine is the exception that lets a developer work.
SCHEMES = ("https://", "http://127.0.0.1", "http://localhost")


class Endpoints:
    """The operations on webhook endpoints and events."""

    def __init__(self, state: State) -> None:
        self._state = state

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        where: dict[str, Any] = {"right": "webhook_endpoints", "kind": "webhook_endpoint"}
        event: dict[str, Any] = {"right": "events", "kind": "event"}
        return (
            post(PATH, self._create, params=params.ENDPOINT_CREATE, **where),
            lists(PATH, self._list, params=params.listing(), **where),
            get(f"{PATH}/{{key}}", self._show, **where),
            post(f"{PATH}/{{key}}", self._update, params=params.ENDPOINT_UPDATE, **where),
            delete(f"{PATH}/{{key}}", self._delete, **where),
            lists("/v1/events", self._events, params=params.EVENT_LIST, **event),
            get("/v1/events/{key}", self._event, **event),
            get("/v2/core/events/{key}", self._thin_event, **event),
        )

    def _create(self, caller: Caller, values: Document) -> Document:
        scope, version = caller.scope, values.get("api_version")
        _check(values)
        if version is not None and not VERSION_SHAPE.fullmatch(version):
            raise invalid(f"Invalid api_version: {version}", param="api_version")
        if len(self._state.collection("webhook_endpoint").all(owner=scope.owner)) >= MOST_ENDPOINTS:
            raise invalid("You have reached the maximum of 16 webhook endpoints.")
        connect = bool(values.get("connect"))
        platform = self._state.collection("platform").get(scope.account)
        endpoint: Document = {
            "id": new_id("we"), "object": "webhook_endpoint", "api_version": version,
            "application": platform["client_id"] if connect and platform else None, "created": self._state.now(),
            "description": values.get("description"), "enabled_events": values["enabled_events"],
            "metadata": values.get("metadata") or {}, "secret": "whsec_test" + secrets.token_hex(16),
            "status": "enabled", "url": values["url"], "_connect": connect,
        }  # fmt: skip
        return self._state.add(scope, endpoint)

    def _list(self, caller: Caller, values: Document) -> Document:
        page = list_page(self._state, caller.scope, "webhook_endpoint", values, url=PATH)
        return page | {"data": [_without_secret(endpoint) for endpoint in page["data"]]}

    def _show(self, caller: Caller, values: Document, key: str) -> Document:
        return _without_secret(self._endpoint(caller.scope, key))

    def _update(self, caller: Caller, values: Document, key: str) -> Document:
        endpoint = self._endpoint(caller.scope, key)
        _check({"url": endpoint["url"], "enabled_events": endpoint["enabled_events"]} | values)
        endpoint |= {name: values[name] for name in ("url", "enabled_events", "description") if name in values}
        if "disabled" in values:
            endpoint["status"] = "disabled" if values["disabled"] else "enabled"
        if "metadata" in values:
            endpoint["metadata"] = merge_metadata(endpoint["metadata"], values["metadata"])
        return _without_secret(self._state.put(endpoint))

    def _delete(self, caller: Caller, values: Document, key: str) -> Document:
        self._endpoint(caller.scope, key)
        self._state.collection("webhook_endpoint").delete(key)
        return {"id": key, "object": "webhook_endpoint", "deleted": True}

    def _events(self, caller: Caller, values: Document) -> Document:
        types = values.get("types") or ([values["type"]] if "type" in values else None)
        if "type" in values and "types" in values:
            raise invalid("You may only specify one of these parameters: type, types.", param="type")
        delivered, since = values.get("delivery_success"), self._state.now() - KEPT_S
        return list_page(
            self._state, caller.scope, "event", values, url="/v1/events",
            keep=lambda row: row["created"] >= since and (types is None or _fits(row["type"], types))
            and (delivered is None or delivered == (row["pending_webhooks"] == 0)),
        )  # fmt: skip

    def _event(self, caller: Caller, values: Document, key: str) -> Document:
        event = self._state.need(caller.scope, "event", key)
        if event["created"] < self._state.now() - KEPT_S:
            raise invalid(f"No such event: '{key}'", code="resource_missing", param="id", status=404)
        return event

    def _thin_event(self, caller: Caller, values: Document, key: str) -> Document:
        context = caller.scope.account if caller.scope.platform else None
        return thin(self._event(caller, values, key), account=context)

    def _endpoint(self, scope: Scope, key: str) -> Document:
        return self._state.need(scope, "webhook_endpoint", key)


def _check(values: Document) -> None:
    if not values["url"].startswith(SCHEMES):
        message = "Invalid URL: an explicit scheme (such as https) must be provided."
        raise invalid(message, code="url_invalid", param="url")
    if not values["enabled_events"]:
        raise invalid("Missing required param: enabled_events.", code="parameter_missing", param="enabled_events")
    for place, kind in enumerate(values["enabled_events"]):
        if not _is_known(kind):
            param = f"enabled_events[{place}]"
            raise invalid(f"Invalid {param}: {kind} is no event type", param=param)


def _is_known(kind: str) -> bool:
    resource, _, rest = kind.partition(".")
    if resource in BY_RESOURCE:
        return rest in BY_RESOURCE[resource]
    return kind == "*" or (resource in OTHER_RESOURCES and re.fullmatch(r"[a-z_.]+", rest) is not None)


def _fits(kind: str, wanted: Sequence[str]) -> bool:
    """Types may end in .* and then stand for all of a resource."""
    return any(kind == name or (name.endswith(".*") and kind.startswith(name[:-1])) for name in wanted)


def _without_secret(endpoint: Document) -> Document:
    return {name: value for name, value in endpoint.items() if name != "secret"}
