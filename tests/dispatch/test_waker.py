"""Wake-ups for rows that become due in a moment, sent to a real Redis."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from core.ids import new_id
from dispatch import waker


@pytest.fixture(scope="module")
def queue() -> str:
    """A queue of this module's own: the suite's Redis is shared, and other tests wake workers, too."""
    name = f"test_{new_id()}"
    waker._flags[name], waker._later[name] = threading.Event(), set()
    waker.TASKS[name] = waker.TASKS["outbound"]
    return name


@pytest.fixture
def server(queue: str, settings: Any) -> Iterator[redis.Redis]:
    """Redis without a mark of an earlier wake-up."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    waker.woken(queue)
    yield client
    waker._later[queue].clear()
    waker.woken(queue)
    client.close()


def woken_after_s(server: redis.Redis, queue: str, *, within_s: float) -> float | None:
    """Seconds until a wake-up was sent; None when none was."""
    started = time.monotonic()
    while time.monotonic() - started < within_s:
        if server.exists(f"wake:{queue}"):
            return time.monotonic() - started
        time.sleep(0.01)  # the mark is set by another thread, which tells nobody
    return None


class TestWakeLater:
    def test_wakes_when_the_row_is_due_and_not_before(self, server: redis.Redis, queue: str) -> None:
        waker.wake_later(queue, wait_s=0.6)

        after_s = woken_after_s(server, queue, within_s=5)

        assert after_s is not None
        assert 0.55 <= after_s <= 0.6 + waker.STEP_S + 0.5

    def test_the_nearest_of_several_is_not_forgotten_for_a_later_one(self, server: redis.Redis, queue: str) -> None:
        waker.wake_later(queue, wait_s=1.2)
        waker.wake_later(queue, wait_s=0.1)

        assert woken_after_s(server, queue, within_s=1.0) is not None
        waker.woken(queue)
        assert woken_after_s(server, queue, within_s=5) is not None

    def test_keeps_a_bounded_number_however_many_rows_wait(self, server: redis.Redis, queue: str) -> None:
        for number in range(5000):
            waker.wake_later(queue, wait_s=number / 500)

        assert len(waker._later[queue]) <= waker.SWEPT_EVERY_S / waker.STEP_S + 2

    def test_leaves_longer_waits_to_the_sweep(self, queue: str) -> None:
        waker.wake_later(queue, wait_s=waker.SWEPT_EVERY_S)

        assert waker._later[queue] == set()
