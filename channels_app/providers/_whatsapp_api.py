"""Calls of the Cloud API with the version, token and proof of one integration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from channels_app.contract import malformed
from channels_app.providers._meta import appsecret_proof, graph_version
from channels_app.providers._meta_json import items, obj, text
from core.secret import Secret
from integrations.contract import (
    IntegrationContext,
    Misconfigured,
    Outbound,
    OutboundResponse,
    UnexpectedResponse,
)

PAGE = {"limit": 100}
"""Rows of a page; Meta's default is 25."""

MOST_PAGES = 100
"""100 pages of 100 rows: more templates or numbers than any account may have; ends a paging that circles."""


class CloudApi:
    """What every verb needs: ids, and calls that answer with a JSON object."""

    def __init__(self, integration: IntegrationContext, outbound: Outbound) -> None:
        self.integration = integration
        self.outbound = outbound

    @cached_property
    def version(self) -> str:
        """The Graph version of this integration."""
        return graph_version(self.integration.settings)

    @property
    def phone_number_id(self) -> str:
        """The phone number's id."""
        return self._setting("phone_number_id")

    @property
    def waba_id(self) -> str:
        """The WhatsApp Business Account's id."""
        return self._setting("waba_id")

    @property
    def app_id(self) -> str:
        """The Meta app's id, or empty."""
        return str(self.integration.settings.get("app_id") or "")

    @property
    def access_token(self) -> Secret:
        """The token that calls are made with."""
        return self.secret("access_token") or self._missing("access_token")

    def secret(self, name: str) -> Secret | None:
        """Return an opened secret, or None."""
        return self.integration.secrets.get(name)

    def get(self, path: str, *, operation: str, params: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """GET a path below the version and return its JSON object."""
        return self.call("GET", path, operation=operation, params=params)

    def post(self, path: str, json: Any, *, operation: str, subject: str = "") -> Mapping[str, Any]:
        """POST JSON to a path below the version and return the JSON object of the answer."""
        return self.call("POST", path, operation=operation, json=json, subject=subject)

    def delete(
        self, path: str, *, operation: str, params: Mapping[str, Any] | None = None, json: Any = None
    ) -> Mapping[str, Any]:
        """DELETE a path below the version."""
        return self.call("DELETE", path, operation=operation, params=params, json=json)

    def call(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        data: Mapping[str, Any] | None = None,
        files: Mapping[str, Any] | None = None,
        subject: str = "",
    ) -> Mapping[str, Any]:
        """
        Call a path below the version with token and proof.

        :raises UnexpectedResponse: the answer is no JSON object
        """
        response = self.outbound.request(
            method,
            f"/{self.version}{path}",
            operation=operation,
            role="graph",
            bearer=self.access_token,
            params={**(params or {}), **self._proof()},
            json=json,
            data=data,
            files=files,
            subject=subject,
        )
        return read_object(response)

    def pages(self, path: str, *, operation: str, params: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Yield the rows of a list, page after page."""
        after: dict[str, str] = {}
        for _ in range(MOST_PAGES):
            page = self.get(path, operation=operation, params={**params, **after})
            yield from (row for row in items(page.get("data")) if isinstance(row, dict))
            paging = obj(page.get("paging"))
            cursor = text(obj(paging.get("cursors")).get("after"))
            if not paging.get("next") or not cursor or after.get("after") == cursor:
                return
            after = {"after": cursor}

    def _proof(self) -> dict[str, str]:
        app_secret = self.secret("app_secret")
        return {"appsecret_proof": appsecret_proof(self.access_token, app_secret)} if app_secret else {}

    def _setting(self, name: str) -> str:
        value = str(self.integration.settings.get(name) or "")
        if not re.fullmatch("[0-9]{5,20}", value):
            self._missing(name)
        return value

    def _missing(self, name: str) -> Any:
        raise Misconfigured(f"{name} is missing or malformed", field=name, next_action=f"Give {name}.")


def read_object(response: OutboundResponse) -> Mapping[str, Any]:
    """
    Read the JSON object of an answer.

    :raises UnexpectedResponse: it is none
    """
    try:
        answer = response.json()
    except (ValueError, RecursionError):
        raise UnexpectedResponse("the answer is not JSON") from None
    if not isinstance(answer, dict):
        raise UnexpectedResponse("the answer is JSON, but no object")
    return answer


def segment(value: str, *, field: str) -> str:
    """
    Return an id that is fit to be one segment of a path.

    :raises RequestRejected: it holds anything but letters, digits, dot, dash and underscore
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", value):
        raise malformed(field, "an id of letters and digits")
    return value
