"""Entries leave after five years, in order, and leave a beginning that still proves the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.db import DatabaseError, connection, connections

from audit.chain import Finding, verify
from audit.evidence import keep_heads, verify_with_evidence
from audit.models import AuditAnchor, AuditChainLink, AuditEntry
from audit.pruning import KEEP, Pruned, prune
from core import clock
from tests.audit.conftest import link_settled
from vault.keyring import KEYRING
from vault.models import OrganizationKey

OWNER = "owner"
Write = Callable[..., AuditEntry]


@pytest.fixture(autouse=True)
def leave_nothing(committed: None) -> Iterator[None]:
    """Remove anchors and the keys that signed them."""
    yield
    for model in (AuditAnchor, OrganizationKey):
        model.objects.using(OWNER).filter(organization_schema__startswith="org_trail_").delete()


@pytest.fixture
def aged(chain: str, write: Write) -> str:
    """A chain of three old entries and two new ones; returns its name."""
    with clock.shifted(-KEEP - timedelta(days=1)):
        for _ in range(3):
            write(chain, "entry.written_old")
    for _ in range(2):
        write(chain, "entry.written_new")
    link_settled(everything=True)
    return chain


def of(chain: str, pruned: list[Pruned]) -> list[Pruned]:
    return [one for one in pruned if one.chain == chain]


class TestPrune:
    def test_leaves_a_chain_that_still_verifies(self, aged: str) -> None:
        assert of(aged, prune()) == [Pruned(aged, 3)]

        actions = AuditEntry.objects.filter(organization_schema=aged).order_by("created_at").values_list("action")
        assert [action for (action,) in actions] == ["entry.written_new"] * 2 + ["audit_entry.pruned"]
        anchor = AuditAnchor.objects.get(organization_schema=aged)
        assert (anchor.sequence, anchor.entries, str(anchor)) == (3, 3, f"{aged} pruned to 3")
        link_settled()
        found = verify(aged)
        assert found.is_intact
        assert (found.links, found.heads[0].sequence) == (3, 6)

    def test_prunes_nothing_twice(self, aged: str) -> None:
        prune()

        assert of(aged, prune()) == []

    def test_keeps_the_last_link_for_the_next_one_to_follow(self, chain: str, write: Write) -> None:
        with clock.shifted(-KEEP - timedelta(days=1)):
            write(chain)
            write(chain)
        link_settled(everything=True)

        assert of(chain, prune()) == [Pruned(chain, 1)]

        link_settled()
        assert verify(chain).is_intact
        assert verify(chain).heads[0].sequence == 3

    def test_goes_on_from_an_earlier_anchor(self, aged: str) -> None:
        prune()
        link_settled()

        assert of(aged, prune(before=clock.now() + timedelta(seconds=1))) == [Pruned(aged, 2)]

        link_settled()
        assert verify(aged).is_intact
        assert AuditAnchor.objects.filter(organization_schema=aged).count() == 2

    def test_leaves_a_damaged_chain_alone(self, aged: str) -> None:
        entry = AuditEntry.objects.using(OWNER).filter(organization_schema=aged).order_by("created_at")[1]
        AuditEntry.objects.using(OWNER).filter(pk=entry.pk).update(action="entry.forged")

        assert of(aged, prune()) == []

        assert AuditEntry.objects.filter(organization_schema=aged).count() == 5

    def test_stops_in_front_of_a_young_entry(self, chain: str, write: Write) -> None:
        with clock.shifted(-KEEP - timedelta(days=1)):
            write(chain)
        write(chain)
        with clock.shifted(-KEEP - timedelta(days=1)):
            write(chain)
        link_settled(everything=True)

        assert of(chain, prune()) == [Pruned(chain, 1)]
        assert AuditChainLink.objects.filter(organization_schema=chain).count() == 2

    def test_agrees_with_heads_that_were_kept_before(self, aged: str, tmp_path: Path, settings: Any) -> None:
        settings.EVIDENCE_URL = f"file://{tmp_path}"
        keep_heads()
        prune()
        link_settled()

        assert verify_with_evidence(aged).is_intact
        prune(before=clock.now() + timedelta(seconds=1))  # past the head that was kept
        assert verify_with_evidence(aged).is_intact


class TestAnchor:
    def test_without_it_a_missing_beginning_is_found(self, aged: str) -> None:
        prune()
        AuditAnchor.objects.using(OWNER).filter(organization_schema=aged).delete()

        assert [finding.kind for finding in verify(aged).findings] == ["missing_link"]

    @pytest.mark.parametrize(
        "change", [{"sequence": 4}, {"digest": bytes(32)}, {"entries": 1}, {"signature": bytes(32)}]
    )
    def test_of_somebody_else_is_found(self, aged: str, change: dict[str, Any]) -> None:
        prune()
        AuditAnchor.objects.using(OWNER).filter(organization_schema=aged).update(**change)

        kinds = [finding.kind for finding in verify(aged).findings]

        assert kinds[0] == "forged"

    def test_proves_nothing_once_the_keys_are_destroyed(self, aged: str) -> None:
        prune()
        OrganizationKey.objects.filter(organization_schema=aged).update(wrapped=b"", destroyed_at=clock.now())
        KEYRING.forget(aged)

        assert verify(aged).findings[0] == Finding(kind="forged", chain=aged, sequence=3)

    @pytest.mark.parametrize("statement", ["UPDATE {} SET entries = 0", "DELETE FROM {}", "TRUNCATE {}"])
    def test_is_append_only_to_the_application(self, statement: str) -> None:
        with pytest.raises(DatabaseError, match="permission denied"), connection.cursor() as cursor:
            cursor.execute(statement.format("audit_auditanchor"))

        with connections[OWNER].cursor() as owner:
            owner.execute(f"GRANT UPDATE, DELETE, TRUNCATE ON audit_auditanchor TO {configured.DATABASE_APP_ROLE}")
            try:
                with pytest.raises(DatabaseError, match="is append-only"), connection.cursor() as cursor:
                    cursor.execute(statement.format("audit_auditanchor"))
            finally:
                owner.execute(
                    f"REVOKE UPDATE, DELETE, TRUNCATE ON audit_auditanchor FROM {configured.DATABASE_APP_ROLE}"
                )
