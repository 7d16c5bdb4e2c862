"""Whatever is changed, removed or reordered behind our back is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import DatabaseError, connection, connections, transaction

from audit import chain as chains
from audit.chain import Finding, link_entries, verify
from audit.models import AuditChainLink, AuditEntry
from core import clock
from tests.audit.conftest import link_settled

OWNER = "owner"
Write = Callable[..., AuditEntry]


def links_of(chain: str, *, using: str = OWNER) -> Any:
    return AuditChainLink.objects.using(using).filter(organization_schema=chain).order_by("sequence")


def entries_of(chain: str) -> Any:
    return AuditEntry.objects.using(OWNER).filter(organization_schema=chain)


def kinds(findings: tuple[Finding, ...]) -> list[tuple[str, int]]:
    return [(finding.kind, finding.sequence) for finding in findings]


@pytest.fixture
def linked(chain: str, write: Write) -> list[AuditEntry]:
    """Commit and link five entries."""
    entries = [write(chain, f"entry.written_{letter}") for letter in "abcde"]
    link_settled()
    return entries


class TestLinkEntries:
    def test_links_each_chain_in_the_order_of_writing(self, chain: str, write: Write) -> None:
        other = chain + "_b"
        mine = [write(chain).id, write(chain).id]
        theirs = [write(other).id]
        mine.append(write(chain).id)

        assert link_settled() >= 4

        assert [link.entry_id for link in links_of(chain)] == mine
        assert [link.sequence for link in links_of(chain)] == [1, 2, 3]
        assert [link.entry_id for link in links_of(other)] == theirs
        assert str(links_of(other).get()) == f"{other} 1"

    def test_links_nothing_twice_and_goes_on_at_the_head(self, chain: str, write: Write) -> None:
        write(chain)
        link_settled()
        link_settled()
        write(chain)
        link_settled()

        first, second = links_of(chain)
        assert bytes(second.previous) == bytes(first.digest)
        assert bytes(first.previous) == chains.FIRST_PREVIOUS

    def test_works_in_batches(self, chain: str, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(chains, "BATCH", 2)
        for _ in range(5):
            write(chain)

        link_settled()

        assert links_of(chain).count() == 5
        assert verify(chain).links == 5
        assert verify(chain).is_intact

    def test_waits_for_the_oldest_open_transaction(self, chain: str, write: Write) -> None:
        with transaction.atomic(using=OWNER):
            with connections[OWNER].cursor() as cursor:
                cursor.execute("SELECT pg_current_xact_id()")
            write(chain)

            link_entries()
            assert not links_of(chain, using="default").exists()

        link_settled()
        assert links_of(chain).count() == 1

    def test_leaves_the_chain_to_the_writer_at_work(self, chain: str, write: Write) -> None:
        write(chain)
        with transaction.atomic(using=OWNER), connections[OWNER].cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [chains.LINK_LOCK])

            assert link_entries() == 0

        assert link_settled() >= 1

    def test_refuses_to_run_inside_a_transaction(self, committed: None) -> None:
        with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
            link_entries()

    def test_finds_on_request_what_was_committed_hours_late(self, chain: str, write: Write) -> None:
        write(chain)
        link_entries()
        with clock.shifted(-timedelta(hours=5)):
            late = write(chain)

        link_settled()
        assert not links_of(chain).filter(entry_id=late.pk).exists()

        link_settled(everything=True)
        assert links_of(chain).filter(entry_id=late.pk).exists()

    def test_links_what_came_with_a_restored_backup(self, chain: str, write: Write) -> None:
        entry = write(chain)
        with connections[OWNER].cursor() as cursor:
            cursor.execute(
                "UPDATE audit_auditentry SET transaction_id = '9000000000000000000' WHERE id = %s", [entry.pk]
            )

        link_settled()

        assert [link.entry_id for link in links_of(chain)] == [entry.pk]


class TestVerify:
    def test_finds_nothing_in_an_untouched_chain(self, chain: str, linked: list[AuditEntry]) -> None:
        found = verify(chain)

        assert found.is_intact
        assert (found.links, found.unlinked) == (5, 0)
        assert [(head.chain, head.sequence) for head in found.heads] == [(chain, 5)]

    @pytest.mark.parametrize(
        "change",
        [
            {"actor_id": "somebody-else"},
            {"actor_label": "Somebody else"},
            {"actor_kind": "vendor"},
            {"action": "entry.forged"},
            {"target_kind": "api_key"},
            {"target_id": "other"},
            {"target_label": "other"},
            {"details": {"fields": []}},
            {"request_id": "other"},
            {"ip_digest": "other"},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_finds_a_changed_value(self, chain: str, linked: list[AuditEntry], change: dict[str, Any]) -> None:
        entries_of(chain).filter(pk=linked[2].pk).update(**change)

        found = verify(chain)

        assert list(found.findings) == [Finding(kind="changed", chain=chain, sequence=3, entry_id=linked[2].pk)]

    def test_finds_a_changed_time(self, chain: str, linked: list[AuditEntry]) -> None:
        entries_of(chain).filter(pk=linked[2].pk).update(created_at=linked[2].created_at + timedelta(microseconds=1))

        assert kinds(verify(chain).findings) == [("changed", 3)]

    def test_finds_an_entry_moved_to_another_organization(self, chain: str, linked: list[AuditEntry]) -> None:
        entries_of(chain).filter(pk=linked[2].pk).update(organization_schema=chain + "_b")

        assert kinds(verify(chain).findings) == [("changed", 3)]

    def test_finds_a_removed_entry(self, chain: str, linked: list[AuditEntry]) -> None:
        entries_of(chain).filter(pk=linked[2].pk).delete()

        assert kinds(verify(chain).findings) == [("missing_entry", 3)]

    def test_finds_a_removed_link(self, chain: str, linked: list[AuditEntry]) -> None:
        links_of(chain).filter(sequence=3).delete()

        found = verify(chain)

        assert kinds(found.findings) == [("missing_link", 3)]
        assert found.unlinked == 1

    def test_finds_a_removed_entry_with_its_link(self, chain: str, linked: list[AuditEntry]) -> None:
        entries_of(chain).filter(pk=linked[0].pk).delete()
        links_of(chain).filter(sequence=1).delete()

        assert kinds(verify(chain).findings) == [("missing_link", 1)]

    def test_goes_on_behind_a_gap_wider_than_a_page(
        self, chain: str, linked: list[AuditEntry], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(chains, "BATCH", 2)
        links_of(chain).filter(sequence__in=[1, 2, 3, 4]).delete()
        links_of(chain).filter(sequence=5).update(sequence=10**12)

        assert kinds(verify(chain).findings) == [("missing_link", 1), ("changed", 10**12)]

    def test_finds_swapped_links(self, chain: str, linked: list[AuditEntry]) -> None:
        links = links_of(chain)
        for old, new in ((2, 99), (3, 2), (99, 3)):
            links.filter(sequence=old).update(sequence=new)

        assert kinds(verify(chain).findings)[:2] == [("reordered", 2), ("reordered", 3)]

    def test_finds_swapped_entries(self, chain: str, linked: list[AuditEntry]) -> None:
        links = links_of(chain)
        placeholder = linked[0].pk
        links.filter(sequence=1).delete()
        for sequence, entry in ((2, placeholder), (3, linked[1].pk), (2, linked[2].pk)):
            links.filter(sequence=sequence).update(entry_id=entry)

        assert ("changed", 3) in kinds(verify(chain).findings)

    def test_finds_a_forged_link(self, chain: str, linked: list[AuditEntry]) -> None:
        links_of(chain).filter(sequence=5).update(digest=bytes(32))

        assert kinds(verify(chain).findings) == [("changed", 5)]

    def test_cannot_see_a_cut_tail_without_a_head_kept_elsewhere(self, chain: str, linked: list[AuditEntry]) -> None:
        heads = verify(chain).heads
        entries_of(chain).filter(pk=linked[4].pk).delete()
        links_of(chain).filter(sequence=5).delete()

        assert verify(chain).is_intact
        assert kinds(verify(chain, known_heads=heads).findings) == [("cut", 5)]

    def test_leaves_other_chains_alone(self, chain: str, linked: list[AuditEntry], write: Write) -> None:
        write(chain + "_b")
        link_settled()
        entries_of(chain).filter(pk=linked[2].pk).delete()

        assert verify(chain + "_b").is_intact
        damaged = {finding.chain for finding in verify().findings}
        assert damaged == {chain}

    def test_reports_the_unlinked_tail(self, chain: str, linked: list[AuditEntry], write: Write) -> None:
        with clock.shifted(-timedelta(seconds=31)):
            waiting = write(chain)

        found = verify(chain)

        assert found.is_intact
        assert (found.unlinked, found.oldest_unlinked_at) == (1, waiting.created_at)
        assert found.is_tail_late
        assert not verify(chain + "_b").is_tail_late


class TestAppendOnly:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE audit_auditentry SET action = 'entry.forged'",
            "DELETE FROM audit_auditentry",
            "TRUNCATE audit_auditentry",
            "UPDATE audit_auditchainlink SET sequence = 1",
            "DELETE FROM audit_auditchainlink",
            "TRUNCATE audit_auditchainlink",
        ],
    )
    def test_the_applications_role_may_change_nothing(self, committed: None, statement: str) -> None:
        with pytest.raises(DatabaseError, match="permission denied"), connection.cursor() as cursor:
            cursor.execute(statement)

    @pytest.mark.parametrize("table", ["audit_auditentry", "audit_auditchainlink"])
    @pytest.mark.parametrize("verb", ["UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {}"])
    def test_the_trigger_holds_where_a_grant_was_given_by_mistake(self, committed: None, table: str, verb: str) -> None:
        grant = f"UPDATE, DELETE, TRUNCATE ON {table}"
        with connections[OWNER].cursor() as owner:
            owner.execute(f"GRANT {grant} TO {settings.DATABASE_APP_ROLE}")
            try:
                with pytest.raises(DatabaseError, match="is append-only"), connection.cursor() as cursor:
                    cursor.execute(verb.format(table))
            finally:
                owner.execute(f"REVOKE {grant} FROM {settings.DATABASE_APP_ROLE}")


class TestLinkDigest:
    def test_is_stable_over_a_round_trip_through_the_database(self, chain: str, write: Write) -> None:
        entry = write(chain)
        place = {"chain": chain, "sequence": 1, "previous": bytes(32)}

        again = AuditEntry.objects.get(pk=entry.pk)

        assert chains.link_digest(entry, **place) == chains.link_digest(again, **place)
        assert json.dumps(again.details) == '{"fields": ["access_token"]}'
