"""
One client of one bank's Pix API: its token, its calls, its pages.

The client certificate goes with every call by itself, the token's included: the guard takes it from the credential.
Source: bacen/pix-api 2.9.0; RFC 6749 section 4.4, as of 2026-11.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote

from billing.providers._pix_spec import SCOPES
from core.secret import Secret
from integrations.contract import (
    AUTHORIZE,
    IntegrationContext,
    Misconfigured,
    NotFound,
    Outbound,
    UnexpectedResponse,
    read_json_object,
)

PAGE: Final = 100
"""The default of the standard; the most that a bank allows is its own matter."""

MOST_PAGES: Final = 1000
"""A bank whose pages never end is not listed for ever."""

_ALMOST_A_SECOND: Final = timedelta(microseconds=999_999)
"""Added to the end of a window, so that what came within its last second is in it."""

_NEEDED: Final = (
    ("client_id", "Enter the client id that the bank gave for its Pix API."),
    ("certificate", "Enter the client certificate that is registered at the bank."),
    ("private_key", "Enter the private key of the client certificate."),
)
"""What every bank needs, with the remedy."""


class Bank:
    """Calls with a token that lives as long as this instance: within one task, never stored."""

    def __init__(self, integration: IntegrationContext, outbound: Outbound) -> None:
        self._secrets = integration.secrets
        self._outbound = outbound

    def require_credential(self) -> None:
        """Refuse a credential without what every bank needs; :raises Misconfigured: names the field."""
        for name, remedy in _NEEDED:
            if name not in self._secrets:
                raise Misconfigured(f"no {name}", field=name, next_action=remedy)

    def granted(self) -> frozenset[str]:
        """Return the scopes that the bank gave; those asked for where it does not say."""
        told = self._grant.get("scope")
        return frozenset((told if isinstance(told, str) and told.strip() else SCOPES).split())

    def call(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        json: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """
        Call the Pix API and return the object that it answers; an empty answer is an empty object.

        :raises ProviderError: by the spec's rules; UnexpectedResponse when the answer is no JSON object
        """
        response = self._outbound.request(
            method, path, operation=operation, role="base_url", bearer=self._token, json=json, params=params
        )
        return read_json_object(response.body) if response.body.strip() else {}

    def find(self, path: str, *, operation: str) -> dict[str, Any] | None:
        """Read one object; None when the bank has none."""
        try:
            return self.call("GET", path, operation=operation)
        except NotFound:
            return None

    def rows(
        self, path: str, name: str, *, operation: str, since: datetime, until: datetime, **filters: str
    ) -> Iterator[dict[str, Any]]:
        """
        List the objects of a time, page by page, in the bank's order.

        Shape: {parametros: {paginacao: {paginaAtual, quantidadeDePaginas}}, <name>: [object]}; pages count from 0.

        :raises UnexpectedResponse: a page has no such list
        """
        window = {"inicio": _rfc3339(since), "fim": _rfc3339(until + _ALMOST_A_SECOND), **filters}
        for number in range(MOST_PAGES):
            place = {"paginacao.paginaAtual": number, "paginacao.itensPorPagina": PAGE}
            page = self.call("GET", path, operation=operation, params={**window, **place})
            rows = page.get(name)
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise UnexpectedResponse(f"the answer has no list {name}")
            yield from rows
            if not rows or number + 1 >= _pages(page):
                return

    @property
    def _token(self) -> Secret:
        token = self._grant.get("access_token")
        if not isinstance(token, str) or not token:
            raise UnexpectedResponse("the token service's answer has no access_token")
        return Secret(token)

    @cached_property
    def _grant(self) -> Mapping[str, Any]:
        """Ask for a token, with HTTP Basic where there is a secret (RFC 6749 section 2.3.1: every server takes it)."""
        self.require_credential()
        client_id = self._secrets["client_id"].reveal()
        form = {"grant_type": "client_credentials", "client_id": client_id, "scope": SCOPES}
        headers = {}
        if secret := self._secrets.get("client_secret"):
            pair = base64.b64encode(f"{client_id}:{secret.reveal()}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        response = self._outbound.request("POST", "", operation=AUTHORIZE, role="token_url", headers=headers, data=form)
        return read_json_object(response.body)


def in_path(value: str) -> str:
    """Write a value as one segment of a path: keys have "@" and "+"."""
    return quote(value, safe="")


def _rfc3339(moment: datetime) -> str:
    """Write a moment as every bank reads it: UTC, whole seconds, the rest cut off."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _pages(page: Mapping[str, Any]) -> int:
    """Return how many pages there are; 1 where the bank does not say."""
    parameters = page.get("parametros")
    paging = parameters.get("paginacao") if isinstance(parameters, dict) else None
    count = paging.get("quantidadeDePaginas") if isinstance(paging, dict) else None
    return count if isinstance(count, int) else 1
