"""The services are tested with Parcelbox, whose vendor is a real server: no part of ours is replaced."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tenants.context import in_organization
from tests.fictitious.conftest import Shop, open_shop, other_shop, platform_app, post, shop, vendor

__all__ = ["open_shop", "other_shop", "platform_app", "post", "shop", "vendor"]


@pytest.fixture
def inside_shop(shop: Shop) -> Iterator[Shop]:
    """Run the test inside the shop's organization."""
    with in_organization(shop.organization):
        yield shop
