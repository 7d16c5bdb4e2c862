"""The sweep of tokens leaves a vendor in trouble alone, and comes back when the trouble is over."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core import clock
from dispatch.models import BreakerState, Vendor
from integrations.services import courier, tokens
from tenants.context import in_organization
from tests.fictitious.conftest import Shop
from tests.fictitious.vendor import Parcelbox

pytestmark = pytest.mark.django_db

DUE = timedelta(minutes=51)
"""The tokens of these shops live for an hour and are renewed ten minutes before."""


def open_breaker(until: timedelta) -> None:
    """Open the vendor's breaker."""
    Vendor.objects.update_or_create(
        provider="parcelbox", defaults={"breaker": BreakerState.OPEN, "breaker_until": clock.now() + until}
    )


def open_incident() -> None:
    """Say that the vendor is down for many."""
    Vendor.objects.update_or_create(provider="parcelbox", defaults={"incident_class": "Unavailable"})


class TestTrouble:
    @pytest.mark.parametrize("trouble", ["incident", "breaker"])
    def test_of_the_vendor_holds_the_clock_and_its_end_frees_it(
        self, shop: Shop, other_shop: Shop, vendor: Parcelbox, trouble: str
    ) -> None:
        open_incident() if trouble == "incident" else open_breaker(DUE + timedelta(minutes=5))

        for minutes in range(5):
            with clock.shifted(DUE + timedelta(minutes=minutes)):
                assert (tokens.refresh_due_links(), courier.work_here()) == (0, 0)
            with clock.shifted(DUE + timedelta(minutes=minutes, seconds=59)):
                assert courier.work_here() == 0  # a courier looks between two sweeps, too
        Vendor.objects.update(incident_class="", breaker=BreakerState.CLOSED, breaker_until=None)
        with clock.shifted(DUE + timedelta(minutes=4, seconds=59)):
            assert tokens.refresh_due_links() == 2

        assert vendor.count("/token") == 2

    def test_of_another_vendor_holds_nothing(self, shop: Shop, vendor: Parcelbox) -> None:
        Vendor.objects.create(provider="stripe", incident_class="Unavailable")

        with clock.shifted(DUE):
            assert tokens.refresh_due_links() == 1

        assert vendor.count("/token") == 1

    def test_does_not_keep_a_caller_from_asking(self, shop: Shop, vendor: Parcelbox) -> None:
        open_incident()

        with in_organization(shop.organization), clock.shifted(DUE):
            tokens.refresh(shop.integration)

        assert vendor.count("/token") == 1
