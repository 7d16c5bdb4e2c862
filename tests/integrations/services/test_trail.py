"""Whoever damages the trail is found within the hour, and staff are told once a day."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail

from accounts.models import User
from audit.models import AuditChainLink, AuditEntry
from config.celery import SCHEDULE
from core import clock
from integrations import tasks
from integrations.services import trail
from notifications.models import Notification
from notifications.services import notify_staff
from tests.audit.conftest import chain, committed, link_settled, write

__all__ = ["chain", "committed", "write"]

STAFF = "trail-staff@example.com"


@pytest.fixture(autouse=True)
def staff(committed: None, tmp_path: Path, settings: Any) -> Iterator[None]:
    """One person to tell, and a place for evidence."""
    settings.EVIDENCE_URL = f"file://{tmp_path}"
    User.objects.create_superuser(STAFF, "a-long-test-password")
    yield
    User.objects.filter(email=STAFF)._raw_delete("default")  # no cascade: the log of Django's admin has no table
    Notification.objects.filter(organization_schema=None).delete()


@pytest.fixture
def damaged(chain: str, write: Callable[..., AuditEntry]) -> str:
    """A chain whose second entry was removed behind our back."""
    entries = [write(chain) for _ in range(3)]
    link_settled()
    AuditEntry.objects.using("owner").filter(pk=entries[1].pk).delete()
    return chain


def told(kind: str) -> list[str]:
    return list(Notification.objects.filter(organization_schema=None, kind=kind).values_list("text", flat=True))


class TestSweep:
    def test_tells_staff_of_a_damage_by_note_and_mail(self, damaged: str) -> None:
        seen = trail.sweep()

        assert seen is not None
        assert [(finding.kind, finding.sequence) for finding in seen.findings] == [("missing_entry", 2)]
        assert told(trail.DAMAGED) == [
            f"The audit trail is damaged in 1 places ({damaged}). "
            "Run verify_audit and keep the database and the evidence as they are."
        ]
        assert [message.to for message in mail.outbox] == [[STAFF]]

    def test_tells_the_same_again_after_a_day(self, damaged: str) -> None:
        for _ in range(3):
            trail.sweep()
        assert len(told(trail.DAMAGED)) == 1

        with clock.shifted(timedelta(hours=25)):
            trail.sweep()
        assert len(told(trail.DAMAGED)) == 2

    def test_finds_a_tail_that_was_cut_since_yesterday(self, chain: str, write: Callable[..., AuditEntry]) -> None:
        entry = write(chain)
        link_settled()
        first = trail.sweep()
        AuditChainLink.objects.using("owner").filter(entry_id=entry.pk).delete()
        AuditEntry.objects.using("owner").filter(pk=entry.pk).delete()

        second = trail.sweep()

        assert first is not None
        assert second is not None
        assert (first.findings, [finding.kind for finding in second.findings]) == ((), ["cut"])

    def test_says_nothing_of_an_untouched_trail(self, chain: str, write: Callable[..., AuditEntry]) -> None:
        write(chain)
        link_settled()

        trail.sweep()

        assert (told(trail.DAMAGED), mail.outbox) == ([], [])

    def test_tells_that_evidence_cannot_be_kept(self, settings: Any, tmp_path: Path) -> None:
        settings.EVIDENCE_URL = "s3://bucket/evidence"
        assert trail.sweep() is None

        assert told(trail.UNUSABLE) == ["EVIDENCE_URL starts with 's3'; use one of: file://."]

    def test_tells_that_the_folder_is_none(self, settings: Any, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        settings.EVIDENCE_URL = f"file://{tmp_path}/file"

        assert trail.sweep() is None
        assert told(trail.UNUSABLE) == ["The place of EVIDENCE_URL cannot be written to."]

    def test_is_run_every_hour_by_the_worker(self, damaged: str) -> None:
        assert SCHEDULE["sweep_audit_trail"] == {
            "task": tasks.sweep_audit_trail.name,
            "schedule": 3600.0,
            "queue": "bulk",
        }

        tasks.sweep_audit_trail()

        assert len(told(trail.DAMAGED)) == 1


class TestNotifyStaff:
    def test_keeps_the_note_when_no_mail_can_be_sent(self, settings: Any) -> None:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9

        assert notify_staff(kind="audit.damaged", text="Look.", target=("audit_chain", "public")) is not None
        assert told("audit.damaged") == ["Look."]

    def test_tells_of_another_place_at_once(self) -> None:
        for place in ("a", "b", "a"):
            notify_staff(kind="audit.damaged", text=place, target=("audit_chain", place))

        assert sorted(told("audit.damaged")) == ["a", "b"]
