"""
What the tests of the audit trail share.

Entries are linked only once their transaction has ended, so the tests of the chain commit, under names of their own,
and the owner's role takes their rows away again.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections

from audit.models import AuditChainLink, AuditEntry
from audit.services import Actor, Target, link_entries, record_alone

OWNER = "owner"
SETTLES_WITHIN_S = 30.0


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


def link_settled(*, everything: bool = False) -> int:
    """
    Link when no transaction older than now is open anywhere on the server.

    Transaction numbers are the server's, so a test in another worker's database holds back this one's entries.
    """
    deadline = time.monotonic() + SETTLES_WITHIN_S
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
        wanted = cursor.fetchone()[0]
        while True:
            cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot()) >= %s::xid8", [wanted])
            if cursor.fetchone()[0]:
                return link_entries(everything=everything)
            assert time.monotonic() < deadline, "a transaction stayed open on the test server"
            time.sleep(0.02)


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
