"""What the tests of the vault share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vault.keyring import KEYRING


@pytest.fixture(autouse=True)
def empty_keyring() -> Iterator[None]:
    """Keep no opened key from one test to the next, as their rows are rolled back."""
    KEYRING.forget()
    yield
    KEYRING.forget()
