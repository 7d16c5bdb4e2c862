"""
How many workers check at once: each holds a slot in Redis and hands it to its successor while links are due.

A bound, not a lock: two workers in one slot claim different links. A slot whose worker was killed is free again after a
minute; without Redis there are no tasks at all.
"""

from __future__ import annotations

import structlog
from celery import current_app
from django.core.cache import cache

from dispatch.waker import UNREACHABLE
from integrations.services import probe_claims, probing

TASK = "integrations.tasks.work_health"

SLOTS = 2
"""Both processes of the smallest worker; on a larger one the other processes stay free for messages and webhooks."""

HELD_S = 60
"""Longer than one task works: it claims for 5 s and waits for its last answers up to 45 s more."""

EXPIRES_S = 30
"""A task that waited so long in its queue says nothing that the next sweep does not know."""

log = structlog.get_logger(__name__)


def wake() -> None:
    """Send a worker for each free slot, if a link is due."""
    if not probe_claims.is_any_due():
        return
    for slot in range(SLOTS):
        try:
            if cache.add(_mark(slot), 1, timeout=HELD_S):
                _send(slot)
        except UNREACHABLE as error:
            log.warning("health.not_woken", error=type(error).__name__)
            return


def work(slot: int) -> int:
    """Check what is due for some seconds, then hand the slot on, or give it back when nothing is left."""
    checked = probing.check_due_links()
    try:
        if checked and probe_claims.is_any_due():
            cache.set(_mark(slot), 1, timeout=HELD_S)
            _send(slot)
        else:
            cache.delete(_mark(slot))
    except UNREACHABLE as error:
        log.warning("health.slot_not_passed_on", error=type(error).__name__)
    return checked


def _send(slot: int) -> None:
    current_app.send_task(TASK, kwargs={"slot": slot}, queue="health", retry=False, expires=EXPIRES_S)


def _mark(slot: int) -> str:
    return f"health:worker:{slot}"
