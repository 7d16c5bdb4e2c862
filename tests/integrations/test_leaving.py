"""How long a worker's process that leaves waits for its calls; Celery says by the exit code why it leaves."""

from __future__ import annotations

from typing import Any

from billiard.pool import EX_OK, EX_RECYCLE

from integrations.tasks import calls_end_within_s

LONGEST_CALL_S = 20.0


def test_one_that_is_replaced_lets_every_call_end(settings: Any) -> None:
    settings.CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 5

    assert calls_end_within_s(EX_RECYCLE) > LONGEST_CALL_S


def test_one_that_is_stopped_keeps_nobody_waiting(settings: Any) -> None:
    settings.CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 5

    assert calls_end_within_s(EX_OK) == calls_end_within_s(None) == 5
