"""An integration of a payments vendor whose claims the tests make themselves."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.models import Integration

ACCOUNT = "acct_test_ladder"


@pytest.fixture
def integration(inside: Any) -> Integration:
    """A Stripe account of the test environment; nothing is asked of it here."""
    return Integration.objects.create(
        provider="stripe", name="Ladder", environment="test", account_external_id=ACCOUNT, status="active"
    )
