"""Tillbox with a book of its days: what was made or changed in a time is listed, page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from billing.contract import PaymentState
from core.ids import new_id
from tests.billing.fictitious.tillbox import TillboxProvider, _payment
from tests.billing.fictitious.vendor import Body, Till

PAGE = 2
LIST = "GET /payments"


@dataclass(kw_only=True)
class Daybook(Till):
    """The vendor: `hidden` payments are not listed, `on_list` runs when a page was asked for."""

    hidden: set[str] = field(default_factory=set)
    on_list: Callable[[], None] | None = None

    def sell(self, amount: int, *, at: datetime, currency: str = "BRL", **facts: Any) -> str:
        """Let somebody pay at the vendor's own page, of which no webhook tells; return the payment's id."""
        name = f"pay_{new_id().hex}"
        self.objects[name] = {
            "id": name, "kind": "payments", "amount": amount, "received": amount, "refunded": 0, "currency": currency,
            "status": "succeeded", "method": "card", "reference": "", "problem": None, "ends_at": None,
            "at": at.isoformat(), "made": at.isoformat(), **facts,
        }  # fmt: skip
        return name

    def touch(self, name: str, *, at: datetime, **facts: Any) -> None:
        """Change a payment at a moment, of which no webhook tells."""
        self.objects[name] = {**self.objects[name], **facts, "at": at.isoformat()}

    def _read(self, kind: str, rest: list[str], query: str) -> Body:
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        if kind != "payments" or rest or "since" not in asked:
            return super()._read(kind, rest, query)
        if self.on_list is not None:
            self.on_list()
        since, until = (datetime.fromisoformat(asked[name]) for name in ("since", "until"))
        found = [
            one
            for one in self.of("payments")
            if one["id"] not in self.hidden
            and any(since <= datetime.fromisoformat(one.get(name, one["at"])) <= until for name in ("made", "at"))
        ]
        start = int(asked["page"]) * PAGE
        return {"data": found[start : start + PAGE], "more": start + PAGE < len(found)}


class DaybookProvider(TillboxProvider):
    """One merchant whose days can be listed."""

    def list_payments(self, *, since: datetime, until: datetime) -> Iterator[PaymentState]:
        """List page by page."""
        page, more = 0, True
        while more:
            params = {"since": since.isoformat(), "until": until.isoformat(), "page": str(page)}
            answer = self._call("GET", "/payments", "list_payments", params=params)
            yield from map(_payment, answer["data"])
            page, more = page + 1, answer["more"]
