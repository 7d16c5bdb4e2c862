"""
Waking workers: a hint, never the truth. Losing one costs seconds, because the sweeps look every ten.

A request only sets a flag. One thread per process sends at most one task per queue and moment, and Redis holds
a short-lived mark so that stopped workers do not let wake-ups pile up.
"""

from __future__ import annotations

import math
import os
import threading
import time

import redis
import structlog
from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError

from core.pace import scaled

log = structlog.get_logger(__name__)

TASKS = {
    "inbound": "integrations.tasks.work_deliveries",
    "outbound": "integrations.tasks.work_outbox",
}
"""The task that empties each queue's table."""

UNREACHABLE = (redis.RedisError, OperationalError, OSError)
"""Redis is down, slow or full."""

PAUSE_S = 0.02
"""Gathers the wake-ups of a burst: one task for all of them, at the price of 20 ms."""

MARK_S = 3
"""While this mark stands in Redis nobody sends another wake-up; the worker removes it when it starts."""

EXPIRES_S = 30
"""A wake-up older than this says nothing the sweep does not know; workers that were stopped drop it."""

SWEPT_EVERY_S = scaled(10.0)
"""What is due later than this is found by the sweep as soon as by a wake-up."""

STEP_S = 0.5
"""Wake-ups for rows that become due within the same half second are one."""

_later: dict[str, set[int]] = {queue: set() for queue in TASKS}
"""The steps of the monotonic clock at which a row of each queue becomes due; twenty at most."""

_flags = {queue: threading.Event() for queue in TASKS}
_any = threading.Event()
_thread_of_process: dict[int, threading.Thread] = {}
_lock = threading.Lock()


def wake(queue: str) -> None:
    """Ask for a worker; returns at once and never fails."""
    _flags[queue].set()
    _any.set()
    if os.getpid() not in _thread_of_process:
        _start()


def wake_later(queue: str, *, wait_s: float) -> None:
    """Ask for a worker when a row becomes due after a short wait; longer ones are the sweep's."""
    if wait_s < SWEPT_EVERY_S:
        with _lock:
            _later[queue].add(math.ceil((time.monotonic() + wait_s) / STEP_S))
        _any.set()
        if os.getpid() not in _thread_of_process:
            _start()


def woken(queue: str) -> None:
    """Say that a worker of this queue is at work, so that later rows may send a new wake-up."""
    try:
        _redis().delete(_mark(queue))
    except UNREACHABLE:
        log.warning("wake.mark_not_removed", queue=queue)


def _start() -> None:
    with _lock:
        pid = os.getpid()
        if pid not in _thread_of_process:
            thread = threading.Thread(target=_run, name="waker", daemon=True)
            _thread_of_process[pid] = thread
            thread.start()


def _run() -> None:
    while True:
        _any.wait(_until_next_s())
        time.sleep(PAUSE_S)
        _any.clear()
        _flag_due()
        for queue, flag in _flags.items():
            if flag.is_set():
                flag.clear()
                _send(queue)


def _until_next_s() -> float | None:
    """Return how long nothing becomes due; None when nothing will."""
    with _lock:
        steps = [step for queue in _later.values() for step in queue]
    return max(0.0, min(steps) * STEP_S - time.monotonic()) if steps else None


def _flag_due() -> None:
    now = time.monotonic() / STEP_S
    with _lock:
        for queue, steps in _later.items():
            if due := {step for step in steps if step <= now}:
                steps.difference_update(due)
                _flags[queue].set()


def _send(queue: str) -> None:
    try:
        if _redis().set(_mark(queue), 1, nx=True, ex=MARK_S):
            current_app.send_task(TASKS[queue], queue=queue, retry=False, expires=EXPIRES_S)
    except UNREACHABLE as error:
        # Redis is down or slow: the sweep finds the row. Logged once per failure, without the request noticing.
        log.warning("wake.not_sent", queue=queue, error=type(error).__name__)


def _mark(queue: str) -> str:
    return f"wake:{queue}"


_clients: dict[int, redis.Redis] = {}


def _redis() -> redis.Redis:
    pid = os.getpid()
    if pid not in _clients:
        _clients[pid] = redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1, max_connections=2
        )
    return _clients[pid]
