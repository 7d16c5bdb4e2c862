"""A payment over real sockets: our API, the real transport, and a vendor on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.billing.api.conftest import PAYMENTS
from tests.billing.conftest import connected
from tests.billing.fictitious.tillbox import PROVIDER
from tests.billing.fictitious.vendor import Till, running


@pytest.fixture
def till(settings: Any) -> Iterator[Till]:
    """The vendor on loopback, to which an operator's override leads."""
    from integrations import registry

    vendor = Till()
    registry.register(PROVIDER)
    with running(vendor) as url:
        settings.PROVIDER_OVERRIDES = {"tillbox": {"": url}}
        yield vendor
    del registry._loaded.providers[PROVIDER.spec.key]


@pytest.fixture
def shop(inside: Any, till: Till) -> Any:
    """A connected integration."""
    return connected()


class TestOverTheWire:
    def test_a_card_is_charged_and_given_back(self, post: Any, client: Any, till: Till) -> None:
        made = post(method="card", card={"token": "tok_test_visa"})

        assert (made.status_code, made.json()["status"]) == (201, "succeeded")
        refund = client.post(f"{PAYMENTS}{made.json()['id']}/refunds/", {}, format="json")
        assert refund.json()["status"] == "succeeded"
        assert till.count("POST /payments") == 1

    def test_a_connection_that_breaks_leaves_it_processing_until_it_is_found(
        self, post: Any, client: Any, till: Till, work: Any
    ) -> None:
        till.fails["POST /payments"] = "lost"
        made = post(method="card", card={"token": "tok_test_visa"}).json()
        assert made["status"] == "processing"
        till.fails.clear()

        work(seconds=61)

        assert client.get(f"{PAYMENTS}{made['id']}/").json()["status"] == "succeeded"
        assert till.count("POST /payments") == 1
