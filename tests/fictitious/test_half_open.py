"""Twenty threads at one half-open breaker: one call reaches the vendor, however many want to try."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from core import clock
from dispatch.models import Link, Vendor
from integrations.contract import Unavailable
from integrations.outbound.breaker import BREAKER_OPEN
from integrations.services.credentials import Purpose
from integrations.services.providers import provider_for
from tenants.context import in_organization
from tests.fictitious.conftest import Shop
from tests.fictitious.vendor import Parcelbox

THREADS = 20
CHARGES = "/v1/charges"


def all_at_once(shop: Shop) -> list[str]:
    """Call in every thread at the same moment; return what each got."""
    start = threading.Barrier(THREADS)

    def call(number: int) -> str:
        try:
            with in_organization(shop.organization):
                provider: Any = provider_for(shop.integration, Purpose.CALL)
                start.wait()
                return str(provider.create_charge(amount_minor=5, currency="BRL", payer="Ana", reference=str(number)))
        except Unavailable as error:
            return error.reason
        finally:
            connections.close_all()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(call, range(THREADS)))


@pytest.mark.parametrize("kind", ["link", "vendor"])
def test_one_tries(committed: Shop, vendor: Parcelbox, kind: str) -> None:
    over = clock.now() - timedelta(seconds=1)
    rows: Any = Link.objects.filter(pk=committed.integration.pk)
    if kind == "vendor":
        Vendor.objects.update_or_create(provider="parcelbox")
        rows = Vendor.objects.filter(provider="parcelbox")
    rows.update(breaker="open", breaker_until=over, breaker_trips=1)
    vendor.failing[CHARGES] = "error__html_502"
    reached = vendor.count(CHARGES)

    answers = all_at_once(committed)

    opened = rows.get()
    rows.update(breaker="closed")
    assert vendor.count(CHARGES) - reached == 1
    assert answers.count(BREAKER_OPEN) == THREADS - 1
    assert (opened.breaker, opened.breaker_trips) == ("open", 2)
