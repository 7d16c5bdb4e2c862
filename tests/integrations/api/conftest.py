"""What the tests of the API share: a fictional vendor, connected integrations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from audit.services import Actor
from integrations import registry
from integrations.services.connect import connect
from tenants.context import in_organization
from tests.integrations.api.fictional import FictionalProvider, body


@pytest.fixture(autouse=True)
def fictional_vendor() -> Iterator[None]:
    """Register the fictional vendor for one test."""
    registry.register(FictionalProvider)
    yield
    registry.load()


@pytest.fixture
def connected(organization: Any) -> Callable[..., Any]:
    """Connect an account: ``connected(account="acc2", of=other_organization)``."""

    def make(*, account: str = "acc1", environment: str = "test", of: Any = None) -> Any:
        values = body(settings={"account": account}, environment=environment)
        with in_organization(of or organization):
            return connect(**values, actor=Actor.system("test"))

    return make
