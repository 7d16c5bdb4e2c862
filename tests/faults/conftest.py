"""One installation for the faults that a process of the suite tries, healed between tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.installation import Installation
from tests.faults.traffic import Business

SILENT_S = 30
"""After how much silence a worker is ended here; longer than a vendor's call, which may hold its processes."""


@pytest.fixture(scope="package")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Start the whole product at the pace of the fault tests; stop it when they are over: its sweeps never rest."""
    made = Installation(Path(tmp_path_factory.mktemp("faults")) / "data", WORKER_SILENT_S=str(SILENT_S))
    made.start()
    made.control("POST", "settings", pair_burst=0, throughput_per_s=0, sent_after_s=0.05, delivered_after_s=0.1)
    yield made
    made.stop()


@pytest.fixture
def product(installation: Installation) -> Iterator[Installation]:
    """The running product; whatever a test did to it is taken back."""
    yield installation
    installation.heal()


@pytest.fixture
def business(product: Installation) -> Business:
    """A newly connected business with one customer."""
    return Business(product).connect()


@pytest.fixture
def another(product: Installation) -> Callable[[], Business]:
    """Connect a business of the second organization."""
    return lambda: Business(product, organization=1).connect()
