"""The calls of one MercadoPago account: exact JSON, our idempotency key, typed errors, pages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from billing.providers._mercadopago_json import items, moment, obj, read_answer, text, write_body, written_moment
from core.secret import Secret
from integrations.contract import (
    IntegrationContext,
    Misconfigured,
    NotFound,
    Outbound,
    OutboundResponse,
    UnexpectedResponse,
    VendorError,
)

PAGE = 100
"""The longest page of a search."""

LONGEST_KEY = 64
"""Of X-Idempotency-Key, as the vendor counts it."""

TEST_TOKEN = "TEST-"  # noqa: S105  how test tokens begin

_JSON = {"Content-Type": "application/json"}


class MercadoPagoApi:
    """One account's token and the calls made with it."""

    def __init__(self, integration: IntegrationContext, outbound: Outbound) -> None:
        self.integration = integration
        self.outbound = outbound

    @property
    def token(self) -> Secret:
        """The access token; :raises Misconfigured: there is none."""
        found = self.integration.secrets.get("access_token")
        if found is None:
            raise Misconfigured("no access_token", field="access_token", next_action="Give an access token.")
        return found

    @property
    def country(self) -> str:
        """The country that was chosen, upper case."""
        return text(self.integration.settings.get("country"))

    @property
    def collector(self) -> str:
        """The seller that was proved."""
        return self.integration.account_external_id

    @property
    def environment_of_live(self) -> str:
        """
        What `live_mode: true` means in this account's objects.

        Test users pay and sell in live mode with tokens of the live form, so that all of a test user is a test. A
        token that begins with TEST- sees test objects alone: a live one there is foreign.
        """
        is_test_user = self.integration.environment == "test" and not self.token.reveal().startswith(TEST_TOKEN)
        return "test" if is_test_user else "live"

    def environment(self, thing: Mapping[str, Any]) -> str:
        """Return "live" or "test" as an object says by `live_mode`, "" where it does not."""
        words = {True: self.environment_of_live, False: "test"}
        live_mode = thing.get("live_mode")
        return words[live_mode] if isinstance(live_mode, bool) else ""

    def get(self, path: str, *, operation: str, params: Mapping[str, Any] | None = None) -> Any:
        """Read something; see `Outbound.request` for errors."""
        return self._answer(
            self.outbound.request("GET", path, operation=operation, role="api", bearer=self.token, params=params)
        )

    def get_object(self, path: str, *, operation: str, params: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Read one object; :raises UnexpectedResponse: the answer is none."""
        return _object(self.get(path, operation=operation, params=params))

    def post(self, path: str, body: Mapping[str, Any], *, operation: str, key: str) -> Mapping[str, Any]:
        """Make something once for an idempotency key."""
        return self._write("POST", path, body, operation=operation, key=key)

    def put(self, path: str, body: Mapping[str, Any], *, operation: str, key: str) -> Mapping[str, Any]:
        """Change something."""
        return self._write("PUT", path, body, operation=operation, key=key)

    def require_own(self, owner: str) -> None:
        """
        Refuse an object of another seller, whose id somebody may have written into a webhook.

        :raises UnexpectedResponse: the object names no seller
        :raises NotFound: it is another seller's; reason "foreign_account"
        """
        if not owner:
            raise UnexpectedResponse("the object does not name its seller")
        if owner != self.collector:
            raise NotFound("the object belongs to another seller", reason="foreign_account")

    def find_by_reference(self, reference: str) -> Iterator[Mapping[str, Any]]:
        """List our payments of a reference, newest first."""
        params = {"external_reference": reference, "sort": "date_created", "criteria": "desc", "limit": PAGE}
        page = self.get_object("/v1/payments/search", operation="find_payment", params=params)
        for row in _rows(page):
            if text(row.get("external_reference")) == reference and text(row.get("collector_id")) == self.collector:
                yield row

    def changed_payments(self, *, since: datetime, until: datetime) -> Iterator[Mapping[str, Any]]:
        """
        List the payments that were created or changed in a time, oldest change first.

        A payment that changes meanwhile moves to the end, so that pages by number would skip another one: each page
        begins at the last one's latest change. By number only where one moment fills more than a page.
        """
        begin, offset, seen = since, 0, set[tuple[str, str]]()
        while True:
            rows = _rows(self._page(begin, until, offset))
            for row in rows:
                stamp = (text(row.get("id")), text(row.get("date_last_updated")))
                if stamp not in seen:
                    seen.add(stamp)
                    yield row
            if len(rows) < PAGE:
                return
            last = moment(rows[-1].get("date_last_updated"))
            if last is None:
                raise UnexpectedResponse("a payment of the list has no date_last_updated")
            begin, offset = (last, 0) if last > begin else (begin, offset + PAGE)

    def pages(self, path: str, *, operation: str, params: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """List all rows of a search by number."""
        offset = 0
        while True:
            page = self.get_object(path, operation=operation, params={**params, "limit": PAGE, "offset": offset})
            rows = _rows(page)
            yield from rows
            offset += len(rows)
            if len(rows) < PAGE:
                return

    def _page(self, begin: datetime, until: datetime, offset: int) -> Mapping[str, Any]:
        params = {
            "range": "date_last_updated",
            "begin_date": written_moment(begin),
            "end_date": written_moment(until),
            "sort": "date_last_updated",
            "criteria": "asc",
            "limit": PAGE,
            "offset": offset,
        }
        return self.get_object("/v1/payments/search", operation="list_payments", params=params)

    def _write(self, method: str, path: str, body: Mapping[str, Any], *, operation: str, key: str) -> Mapping[str, Any]:
        response = self.outbound.request(
            method,
            path,
            operation=operation,
            role="api",
            bearer=self.token,
            headers={**_JSON, "X-Idempotency-Key": idempotency_key(key)},
            data=write_body(body),
        )
        return _object(self._answer(response))

    def _answer(self, response: OutboundResponse) -> Any:
        return read_answer(response.body)


def idempotency_key(key: str) -> str:
    """Return a key of 1 to 64 characters; a longer one is replaced by its digest, always the same."""
    return key if len(key) <= LONGEST_KEY else hashlib.sha256(key.encode()).hexdigest()


def read_error(response: OutboundResponse) -> VendorError:
    """
    Read an error of any of the vendor's forms; the first cause's code is what it is about.

    Shapes: {message, error, status, cause: [{code, description}]}; {code, message}; OAuth {error or errorKey, message};
    Orders {errors: [{code, message}]}; HTML from the edge, of which only the status is known.
    """
    try:
        tree = obj(read_answer(response.body))
    except UnexpectedResponse:
        tree = {}
    first = next(iter((*items(tree.get("cause")), *items(tree.get("errors")))), {})
    word = next((text(tree.get(name)) for name in ("error", "errorKey", "code") if text(tree.get(name))), "")
    return VendorError(
        status=response.status,
        code=text(first.get("code")) or word or None,
        subcode=word or None,
        detail=text(first.get("description")) or text(first.get("message")) or text(tree.get("message")),
        trace_id=response.headers.get("x-request-id", ""),
    )


def _rows(page: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = page.get("results")
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise UnexpectedResponse("the answer is no list")
    return found


def _object(answer: Any) -> Mapping[str, Any]:
    if not isinstance(answer, dict):
        raise UnexpectedResponse("the answer is JSON, but no object")
    return answer
