"""A shop that was connected days ago, and short ways to compare its days."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from billing.models import Payment, Reconciliation
from billing.services import reconciliation
from core import clock
from tests.billing.conftest import connected
from tests.billing.reconciliation.daybook import Daybook, DaybookProvider

DAYS = timedelta(days=1)


@pytest.fixture
def till(monkeypatch: pytest.MonkeyPatch) -> Iterator[Daybook]:
    """The vendor's side, in memory, behind the real guard."""
    from integrations import registry

    vendor = Daybook()
    monkeypatch.setattr("integrations.outbound.guard.shared", lambda: vendor)
    registry.register(DaybookProvider)
    yield vendor
    del registry._loaded.providers["tillbox"]


@pytest.fixture
def shop(inside: Any, till: Daybook) -> Any:
    """An integration that was connected ten days ago, at midnight."""
    row = connected()
    row.created_at = noon() - timedelta(days=9, hours=12)
    row.save()
    return row


@pytest.fixture
def compare(shop: Any, actor: Any) -> Callable[..., Reconciliation]:
    """Compare yesterday, or another day."""

    def run(day: date | None = None) -> Reconciliation:
        return reconciliation.compare(shop, day or yesterday(), actor=actor)

    return run


@pytest.fixture
def known(shop: Any) -> Callable[..., Payment]:
    """Store a payment that was made through us, as its last webhook left it."""

    def make(external_id: str, **facts: Any) -> Payment:
        values = {"status": "pending", "amount_minor": 1990, "currency": "BRL", "created_at": noon(), **facts}
        if values["status"] in {"succeeded", "refunded"}:
            values = {"amount_received_minor": values["amount_minor"], "paid_at": values["created_at"], **values}
        return Payment.objects.create(
            integration=shop, external_id=external_id, vendor_at=values["created_at"], **values
        )

    return make


def yesterday() -> date:
    """The last whole day of UTC."""
    return clock.now().date() - DAYS


def noon(hours: float = 0) -> datetime:
    """Yesterday's noon, or hours later."""
    return datetime.combine(yesterday(), time(12), UTC) + timedelta(hours=hours)
