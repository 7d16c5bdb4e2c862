"""Tasks of the framework: workers of the two tables, and the sweeps that find what a lost wake-up left behind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import structlog
from billiard.pool import EX_RECYCLE
from celery import shared_task
from celery.signals import worker_process_shutdown
from django.conf import settings
from django.db import connection, transaction

from audit.services import link_entries
from core import clock
from dispatch.models import WebhookDelivery
from dispatch.waker import wake, woken
from integrations.services import (
    alerts,
    breakers,
    crew,
    drift,
    endpoints,
    expiry,
    incidents,
    outbox,
    probe_slots,
    quarantine,
    reconcile,
    retention,
    silence,
    tokens,
    trail,
)
from notifications import mail
from tenants.tasks import PublicTask

log = structlog.get_logger(__name__)

LOCKS = {
    "deliveries": 7_405_101,
    "outbox": 7_405_102,
    "health": 7_405_103,
    "retention": 7_405_104,
    "audit_trail": 7_405_105,
    "alerts": 7_405_120,
    "mail": 7_405_121,
    "incidents": 7_405_126,
    "drift": 7_405_122,
    "reconcile": 7_405_123,
    "rhythms": 7_405_124,
    "silence": 7_405_125,
    "breakers": 7_405_130,
    "endpoints": 7_405_140,
}
"""Advisory locks of the sweeps: held for one transaction, lost with its connection, so nothing can hang on one."""

ROUNDS = 100
"""Claims one task works off before it makes room for others: 2,500 rows at most."""

ROUNDS_WITHIN = timedelta(seconds=2)
"""After this no other round begins: a backlog of one queue keeps the others' tasks waiting no longer."""

REPLACED_WITHIN_S = 30.0
"""More than a call may take: it ends and is noted, as if its process had not reached its number of tasks."""

ROOM_WITHIN_S = 0.3
"""A task stays so long with a crew that is full, so that the next wake-up goes to another process."""


@shared_task(base=PublicTask, name="integrations.tasks.work_deliveries")
def work_deliveries(**kwargs: object) -> None:
    """Work off received webhooks until none is due."""
    woken("inbound")
    _until_empty(crew.work_deliveries, queue="inbound")


@shared_task(base=PublicTask, name="integrations.tasks.work_outbox")
def work_outbox(**kwargs: object) -> None:
    """Let this process's crew look at the outbox; it works on while the task makes room for others."""
    woken("outbound")
    if settings.OUTBOUND_THREADS:
        crew.outbound().rouse(room_within_s=ROOM_WITHIN_S)
    else:
        _until_empty(crew.work_outbox, queue="outbound")


@worker_process_shutdown.connect
def _finish_calls(exitcode: int | None = None, **kwargs: object) -> None:
    """Let a process that is replaced or stopped end its calls; what it cannot end is claimed again."""
    if settings.OUTBOUND_THREADS:
        crew.finish(within_s=calls_end_within_s(exitcode))


def calls_end_within_s(exitcode: int | None) -> float:
    """Return how long a process that leaves may wait for its calls: nobody waits for one that is replaced."""
    return REPLACED_WITHIN_S if exitcode == EX_RECYCLE else float(settings.CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT)


@shared_task(base=PublicTask, name="integrations.tasks.sweep_deliveries")
def sweep_deliveries(**kwargs: object) -> None:
    """Wake a worker for deliveries, and hand over what left quarantine."""
    if _alone("deliveries"):
        for provider in (
            WebhookDelivery.objects.filter(status="quarantined", organization_schema=None)
            .values_list("provider", flat=True)
            .distinct()
        ):
            quarantine.release(provider=provider)
        wake("inbound")


@shared_task(base=PublicTask, name="integrations.tasks.sweep_outbox")
def sweep_outbox(**kwargs: object) -> None:
    """Wake a worker for the outbox."""
    if _alone("outbox"):
        outbox.wake_expired()
        wake("outbound")


@shared_task(base=PublicTask, name="integrations.tasks.sweep_health")
def sweep_health(**kwargs: object) -> None:
    """Wake workers for the links whose check is due."""
    if _alone("health"):
        probe_slots.wake()


@shared_task(base=PublicTask, name="integrations.tasks.work_health")
def work_health(*, slot: int = 0, **kwargs: object) -> None:
    """Check what is due."""
    probe_slots.work(slot)


@shared_task(base=PublicTask, name="integrations.tasks.sweep_incidents")
def sweep_incidents(**kwargs: object) -> None:
    """Open, follow and close the incidents of vendors."""
    if _alone("incidents"):
        incidents.sweep()


@shared_task(base=PublicTask, name="integrations.tasks.sweep_drift")
def sweep_drift(**kwargs: object) -> None:
    """Ask vendors whether our webhooks are still registered; links are claimed one by one, so two are harmless."""
    if _alone("drift"):
        drift.sweep()


@shared_task(base=PublicTask, name="integrations.tasks.sweep_reconcile")
def sweep_reconcile(**kwargs: object) -> None:
    """Take in what no webhook brought; links are claimed one by one."""
    if _alone("reconcile"):
        reconcile.sweep()


@shared_task(base=PublicTask, name="integrations.tasks.sweep_rhythms")
def sweep_rhythms(**kwargs: object) -> None:
    """Learn the rhythms of links anew; they are claimed one by one."""
    if _alone("rhythms"):
        silence.sweep_rhythms()


@shared_task(base=PublicTask, name="integrations.tasks.sweep_silence")
def sweep_silence(**kwargs: object) -> None:
    """Look at the links that are silent for longer than they use to be; they are claimed one by one."""
    if _alone("silence"):
        silence.sweep()


@shared_task(base=PublicTask, name="integrations.tasks.sweep_refresh")
def sweep_refresh(**kwargs: object) -> None:
    """See to it that a courier renews the tokens that end soon; one is enough, so two of these are harmless."""
    tokens.refresh_due_links()


@shared_task(base=PublicTask, name="integrations.tasks.sweep_alerts")
def sweep_alerts(**kwargs: object) -> None:
    """Warn of what stays broken and of what ends soon, switch off at the end, and try what was switched off."""
    if _alone("alerts"):
        alerts.sweep()
        expiry.sweep()


@shared_task(base=PublicTask, name="integrations.tasks.sweep_mail")
def sweep_mail(**kwargs: object) -> None:
    """Begin the daily mails that are due."""
    if _alone("mail"):
        mail.begin_digests()


@shared_task(base=PublicTask, name="integrations.tasks.sweep_endpoints")
def sweep_endpoints(**kwargs: object) -> None:
    """Test the event endpoints that were switched off, and let go what was told long ago."""
    if _alone("endpoints"):
        endpoints.sweep()


@shared_task(base=PublicTask, name="integrations.tasks.sweep_breakers")
def sweep_breakers(**kwargs: object) -> None:
    """Open the breakers of vendors whose calls fail in several organizations."""
    if _alone("breakers"):
        breakers.judge_vendors()


@shared_task(base=PublicTask, name="integrations.tasks.sweep_audit_chain")
def sweep_audit_chain(**kwargs: object) -> None:
    """Link committed audit entries into their chains."""
    link_entries()


@shared_task(base=PublicTask, name="integrations.tasks.sweep_audit_trail")
def sweep_audit_trail(**kwargs: object) -> None:
    """Verify the chains, tell staff what is wrong, keep today's heads elsewhere."""
    if _alone("audit_trail"):
        trail.sweep()


@shared_task(base=PublicTask, name="integrations.tasks.sweep_retention")
def sweep_retention(**kwargs: object) -> None:
    """Make tomorrow's partitions and let go what is past its time."""
    if _alone("retention"):
        retention.sweep()


def _until_empty(work: Callable[[], int], *, queue: str) -> None:
    started = clock.now()
    for number in range(ROUNDS):
        begun = work()
        if begun == 0:
            return
        if number == 0 and begun == crew.DELIVERIES:
            wake(queue)  # there is more than one process should do
        if clock.now() - started > ROUNDS_WITHIN:
            break
    wake(queue)


def _alone(name: str) -> bool:
    """Take a sweep's lock for an instant: of two beats that tick together, one does the work."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCKS[name]])
        return bool(cursor.fetchone()[0])
