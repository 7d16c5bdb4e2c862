"""
Working off links by a due column: claim, enter the organization, do one thing, note when the next is due.

A claim moves the due time on before the work, so that a worker that dies leaves a link that is due again soon, and two
sweeps never work the same link. No connection is held while a vendor is waited for: the work sees to that.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from django.db import transaction

from core import clock
from core.pace import scaled
from dispatch.models import Link, LinkStatus
from dispatch.vendors import vendor_state
from integrations.models import Integration
from tenants.context import in_organization
from tenants.models import Organization

log = structlog.get_logger(__name__)

BATCH = 20
LEASE = timedelta(seconds=scaled(600))
"""Above what a batch may take: a claim that was not worked off is due again after it."""

WORK_FOR = timedelta(seconds=scaled(40))
"""One link may take two calls of 20 s more: that is inside the task's limit of 90 s."""

HELD_FOR = timedelta(seconds=scaled(3600))
"""While its vendor has an incident, a link is looked at again after this."""

DAY_S = scaled(86_400)


def daily() -> timedelta:
    """Return about a day, give or take a tenth, so that links spread over it."""
    return timedelta(seconds=DAY_S * random.uniform(0.9, 1.1))  # noqa: S311


def within_a_day() -> timedelta:
    """Return any part of a day: a first due time."""
    return timedelta(seconds=DAY_S * random.random())  # noqa: S311


def work_due(column: str, work: Callable[[Integration], timedelta]) -> int:
    """
    Work off active links whose `column` is due, until none is or the time is over; return how many.

    :param work: runs inside the organization, with no transaction open; returns how long until the next time
    """
    started, done = clock.now(), 0
    while clock.now() - started < WORK_FOR:
        claimed = _claim(column)
        if not claimed:
            break
        for link in claimed:
            if clock.now() - started > WORK_FOR:
                _note(column, link, clock.now())  # what this sweep has no time for is due at once
                continue
            _work_one(column, link, work)
            done += 1
    return done


def is_open(schema_name: str) -> bool:
    """Whether an organization may work: nothing is asked of vendors for one that is suspended."""
    return Organization.objects.open().filter(schema_name=schema_name).exists()


def _claim(column: str) -> list[Link]:
    now = clock.now()
    due = Link.objects.filter(status=LinkStatus.ACTIVE, **{f"{column}__lte": now}).order_by(column)
    with transaction.atomic():
        claimed = list(due.select_for_update(skip_locked=True)[:BATCH])
        Link.objects.filter(pk__in=[link.pk for link in claimed]).update(**{column: now + LEASE})
    return claimed


def _work_one(column: str, link: Link, work: Callable[[Integration], timedelta]) -> None:
    """Work one link; whatever is wrong with it must not keep the others from their turn."""
    wait = HELD_FOR
    try:
        if not vendor_state(link.provider).has_incident and is_open(link.organization_schema):
            with in_organization(link.organization_schema):
                integration = Integration.objects.filter(pk=link.pk).first()
                wait = work(integration) if integration is not None else daily()
    except Exception:
        log.exception("due.work_crashed", column=column, integration=str(link.pk))
    _note(column, link, clock.now() + wait)


def _note(column: str, link: Link, due_at: datetime) -> None:
    Link.objects.filter(pk=link.pk).update(**{column: due_at})
