"""
What the tests of the audit trail share.

Entries are linked only once their transaction has ended, so the tests of the chain commit, under names of their own,
and the owner's role takes their rows away again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections

from audit.models import AuditChainLink, AuditEntry
from audit.services import Actor, Target, record_alone

OWNER = "owner"


@pytest.fixture
def committed(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Let a test commit rows of the trail, and remove all of them at its end."""
    with django_db_blocker.unblock():
        try:
            yield
        finally:
            for model in (AuditChainLink, AuditEntry):
                model.objects.using(OWNER).filter(organization_schema__startswith="org_trail_").delete()
            for connection in connections.all(initialized_only=True):
                connection.close()


@pytest.fixture
def chain(committed: None) -> str:
    """Return the name of a chain that no other test uses."""
    return f"org_trail_{secrets.token_hex(8)}"


@pytest.fixture
def write(committed: None) -> Callable[..., AuditEntry]:
    """Commit one entry into a chain."""

    def write(chain: str, action: str = "credential.rotated") -> AuditEntry:
        return record_alone(
            action=action,
            actor=Actor.system("test"),
            target=Target(kind="integration", id="0199c0de"),
            details={"fields": ["access_token"]},
            organization_schema=chain,
        )

    return write
