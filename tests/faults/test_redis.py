"""Redis down, hanging, restarted empty, flushed, full: webhooks stay 2xx, nothing is lost (RELIABILITY section 6)."""

from __future__ import annotations

import contextlib
import shutil
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from config import runtime
from tests.faults.installation import SCALE, Installation, eventually, within
from tests.faults.traffic import Business

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("faults-1")]

DOWN_S = 600 / SCALE
BACK_TABLE_S = 60

LONGEST_RECONNECT_S = 30.0
"""Celery looks for its broker after 2, 4, 6 … at most 30 s; nothing configures that, so no scale shortens it."""

QUICK_S = 2.5
"""No answer waits for Redis: its time-outs are 1 and 2 s, and one caller at a time pays them."""


@contextlib.contextmanager
def down(product: Installation) -> Iterator[None]:
    """Keep Redis from living: whatever starts is killed, until the block ends; then it comes back without its data."""
    is_over = threading.Event()
    killer = threading.Thread(target=_keep_killing, args=(product, is_over), daemon=True)
    killer.start()
    try:
        eventually(lambda: not product.pid("redis"), within_s=5, what="Redis to be gone")
        yield
    finally:
        shutil.rmtree(runtime.redis(product.data_dir).folder / "appendonlydir", ignore_errors=True)
        is_over.set()
        killer.join()


def _keep_killing(product: Installation, is_over: threading.Event) -> None:
    while not is_over.is_set():
        product.kill("redis")
        time.sleep(0.02)


def assert_all_taken_quickly(business: Business) -> None:
    assert {answer.status for answer in business.posted.values()} == {200}
    assert max(answer.took_s for answer in business.posted.values()) < QUICK_S


class TestRedis:
    def test_down_and_restarted_empty_loses_nothing(self, business: Business) -> None:
        worker = business.product.pid("worker")
        with down(business.product):
            began = time.monotonic()
            for thread in business.flow(webhooks=60, messages=15):
                thread.join()
            time.sleep(max(0.0, DOWN_S - (time.monotonic() - began)))
            assert_all_taken_quickly(business)
        assert len(business.sent) == 15

        business.settle(within_s=within(BACK_TABLE_S, more_s=LONGEST_RECONNECT_S))

        business.assert_nothing_lost_or_doubled()
        assert sum(business.arrived().values()) == 15
        assert business.product.pid("worker") == worker  # its silence was no proof

    def test_that_hangs_delays_nobody(self, business: Business) -> None:
        business.product.signal("redis", signal.SIGSTOP)
        for thread in business.flow(webhooks=30, messages=5):
            thread.join()
        assert_all_taken_quickly(business)

        business.product.signal("redis", signal.SIGCONT)

        business.settle(within_s=within(BACK_TABLE_S, more_s=LONGEST_RECONNECT_S))
        business.assert_nothing_lost_or_doubled()

    def test_flushed_in_the_middle_of_traffic_is_refilled(self, business: Business) -> None:
        flow = business.flow(webhooks=60, messages=20)
        while any(thread.is_alive() for thread in flow):
            with business.product.redis() as connection:
                connection.flushall()
            time.sleep(0.3)

        business.settle(within_s=within(BACK_TABLE_S))

        assert_all_taken_quickly(business)
        business.assert_nothing_lost_or_doubled()
        assert sum(business.arrived().values()) == 20

    def test_full_is_refilled_when_there_is_room_again(self, business: Business) -> None:
        with business.product.redis() as connection:
            room = connection.config_get("maxmemory")["maxmemory"]
            connection.config_set("maxmemory", "1mb")  # below what it needs empty: every write is refused
            try:
                for thread in business.flow(webhooks=30, messages=10):
                    thread.join()
            finally:
                connection.config_set("maxmemory", room)

        business.settle(within_s=within(BACK_TABLE_S, more_s=LONGEST_RECONNECT_S))

        assert_all_taken_quickly(business)
        business.assert_nothing_lost_or_doubled()
        assert len(business.sent) == 10
