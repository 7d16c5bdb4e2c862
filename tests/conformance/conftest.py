"""Every registered provider is asked the same questions; a provider's own tests hold only what is special to it."""

from __future__ import annotations

from typing import Any

import pytest

from integrations import registry
from integrations.contract import Provider
from tests.wire import Fixtures, Wire


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each question for each provider, and where it asks for `webhook` or `error_answer` for each such file."""
    providers = list(registry.providers().values())
    if "webhook" in metafunc.fixturenames:
        _each_file(metafunc, providers, argument="webhook", part="webhooks")
    elif "error_answer" in metafunc.fixturenames:
        _each_file(metafunc, providers, argument="error_answer", part="api/error__")
    elif "provider" in metafunc.fixturenames:
        metafunc.parametrize("provider", providers, ids=[item.spec.key for item in providers])


def _each_file(metafunc: pytest.Metafunc, providers: list[type[Provider]], *, argument: str, part: str) -> None:
    cases = [(item, name) for item in providers for name in Fixtures.of(item).index if name.startswith(part)]
    metafunc.parametrize(("provider", argument), cases, ids=[f"{item.spec.key}-{name}" for item, name in cases])


@pytest.fixture
def fixtures(provider: type[Provider]) -> Fixtures:
    """The provider's fixture folder."""
    return Fixtures.of(provider)


@pytest.fixture
def wire(provider: type[Provider]) -> Wire:
    """The vendor's side, which fails unplanned calls."""
    return Wire(provider=provider)


@pytest.fixture
def connection(fixtures: Fixtures) -> dict[str, Any]:
    """A fake connection: settings, secrets, environment."""
    values: dict[str, Any] = fixtures.conformance["connection"]
    return values
