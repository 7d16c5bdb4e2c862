"""Two hundred callers in four processes want one token and die at random: one call, nothing lost, nothing twice."""

from __future__ import annotations

import random

import pytest

from integrations.models import Integration
from integrations.services.credentials import Purpose
from integrations.services.providers import provider_for
from tenants.context import in_organization
from tests.fictitious.conftest import Shop
from tests.fictitious.race.driver import Callers, Race
from tests.fictitious.test_tokens import opened, states
from tests.fictitious.vendor import Parcelbox

ROUNDS = 25
"""In each of two tests, so that two workers share them; `make bench LONG=1` runs 1,000."""


class TestRace:
    @pytest.mark.xdist_group("refresh_race_first")
    def test_loses_nothing_in_the_first_rounds(self, committed: Shop, vendor: Parcelbox, callers: Callers) -> None:
        self.rounds(committed, vendor, callers, range(ROUNDS))

    @pytest.mark.xdist_group("refresh_race_second")
    def test_loses_nothing_in_the_next_rounds(self, committed: Shop, vendor: Parcelbox, callers: Callers) -> None:
        self.rounds(committed, vendor, callers, range(ROUNDS, 2 * ROUNDS))

    @staticmethod
    def rounds(shop: Shop, vendor: Parcelbox, callers: Callers, numbers: range) -> None:
        """Race, and look after each round whether the integration is whole."""
        race, killed = Race(vendor=vendor, callers=callers, chance=random.Random(numbers.start)), 0
        for seen, number in enumerate(numbers, start=1):
            done = race.run(number, seen=seen)
            killed += done.killed

            with in_organization(shop.organization):
                kept = opened(shop.integration)
                account = provider_for(shop.integration, Purpose.CHECK).check().account.external_id
                status = Integration.objects.get().status
                newest = states(shop.integration)[-1]
            assert (done.calls, done.errors) == (1, []), done
            assert done.tokens == {shop.merchant.access_token}, done
            assert kept["refresh_token"] == shop.merchant.refresh_token, done
            assert (account, status) == ("mer_9", "active"), done
            assert newest == (seen + 1, "current", True), done
        assert vendor.revoked == []
        assert killed > len(numbers)
