"""Wake-ups for rows that become due in a moment, sent to a real Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from dispatch import waker


@pytest.fixture
def server(settings: Any) -> Iterator[redis.Redis]:
    """Redis without a mark of an earlier wake-up."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    waker.woken("outbound")
    yield client
    waker.woken("outbound")
    client.close()


def woken_after_s(server: redis.Redis, *, within_s: float) -> float | None:
    """Seconds until a wake-up was sent; None when none was."""
    started = time.monotonic()
    while time.monotonic() - started < within_s:
        if server.exists("wake:outbound"):
            return time.monotonic() - started
        time.sleep(0.01)  # no event tells of a key in another process
    return None


class TestWakeLater:
    def test_wakes_when_the_row_is_due_and_not_before(self, server: redis.Redis) -> None:
        waker.wake_later("outbound", wait_s=0.6)

        after_s = woken_after_s(server, within_s=5)

        assert after_s is not None
        assert 0.55 <= after_s <= 0.6 + waker.STEP_S + 0.5

    def test_the_nearest_of_several_is_not_forgotten_for_a_later_one(self, server: redis.Redis) -> None:
        waker.wake_later("outbound", wait_s=1.2)
        waker.wake_later("outbound", wait_s=0.1)

        assert woken_after_s(server, within_s=1.0) is not None
        waker.woken("outbound")
        assert woken_after_s(server, within_s=5) is not None

    def test_keeps_a_bounded_number_however_many_rows_wait(self, server: redis.Redis) -> None:
        for number in range(5000):
            waker.wake_later("outbound", wait_s=number / 500)

        assert len(waker._later["outbound"]) <= waker.SWEPT_EVERY_S / waker.STEP_S + 2
        waker._later["outbound"].clear()

    def test_leaves_longer_waits_to_the_sweep(self) -> None:
        waker.wake_later("outbound", wait_s=waker.SWEPT_EVERY_S)

        assert waker._later["outbound"] == set()
