"""kill -9 of web, worker and beat: nothing lost, nothing doubled, back by itself (RELIABILITY section 6)."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from config import parts, processes
from tests.faults.conftest import SILENT_S
from tests.faults.installation import Installation, eventually, within
from tests.faults.traffic import Business

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("faults-1")]

WEB_TABLE_S = 30
LEASE_S = 120
WORKER_TABLE_S = 2 * LEASE_S + 10  # and a sweep
BEAT_TABLE_S = 120


class TestWeb:
    def test_killed_before_the_commit_has_promised_nothing(self, business: Business) -> None:
        is_taken = business.product.arm("ingress.before_commit")

        answer = business.post("wamid.before-commit")

        assert is_taken()
        assert answer.status == 0
        assert business.kept("wamid.before-commit") == 0
        business.post_again(within_s=within(WEB_TABLE_S))
        business.settle(within_s=within(WEB_TABLE_S))
        business.assert_nothing_lost_or_doubled()

    def test_killed_after_the_commit_loses_nothing_and_a_repetition_changes_nothing(self, business: Business) -> None:
        is_taken = business.product.arm("ingress.committed")

        answer = business.post("wamid.after-commit")

        assert is_taken()
        assert answer.status == 0
        eventually(lambda: business.kept("wamid.after-commit") == 1, within_s=within(WEB_TABLE_S), what="the sweep")
        business.post_again(within_s=within(WEB_TABLE_S))
        business.settle(within_s=within(WEB_TABLE_S))
        business.assert_nothing_lost_or_doubled()

    def test_the_whole_part_killed_in_the_middle_of_traffic_starts_again(self, business: Business) -> None:
        flow = business.flow(webhooks=40, messages=10)
        killed = business.product.kill("web")

        for thread in flow:
            thread.join()
        eventually(business.product.is_ready, within_s=within(WEB_TABLE_S), what="the page to answer")

        assert business.product.pid("web") not in {0, killed}
        business.post_again(within_s=within(WEB_TABLE_S))
        business.settle(within_s=within(WEB_TABLE_S))
        business.assert_nothing_lost_or_doubled()


class TestWorker:
    @pytest.mark.parametrize("point", ["delivery.claimed", "delivery.before_commit", "delivery.committed"])
    def test_killed_while_it_processes_has_one_effect(self, business: Business, point: str) -> None:
        is_taken = business.product.arm(point)

        answers = business.post_many(6)

        assert all(answer.is_taken for answer in answers)
        eventually(is_taken, within_s=within(WORKER_TABLE_S), what=f"a worker to die at {point}")
        business.settle(within_s=within(WORKER_TABLE_S))
        business.assert_nothing_lost_or_doubled()

    def test_a_delivery_that_kills_it_five_times_is_set_aside_and_blocks_nothing(self, business: Business) -> None:
        for crash in range(5):
            is_taken = business.product.arm("delivery.claimed")
            if crash == 0:
                business.post("wamid.poison")
            eventually(is_taken, within_s=within(LEASE_S), what=f"crash {crash + 1}")
            business.post(f"wamid.innocent-{crash}")
            eventually(lambda name=f"wamid.innocent-{crash}": business.kept(name) == 1, within_s=within(30),
                       what="the delivery beside it")  # fmt: skip

        business.settle(within_s=within(LEASE_S))

        rows = business.read("status || ' ' || error_class || ' ' || crashes", "public.dispatch_webhookdelivery",
                             f"link_id = '{business.integration}' AND status <> 'processed'")  # fmt: skip
        assert rows == ["dead WorkerDied 5"]
        assert business.kept("wamid.poison") == 0

    @pytest.mark.parametrize(
        "point",
        ["outbox.claimed", "outbox.before_call", "outbox.after_call", "outbox.before_commit", "outbox.committed"],
    )
    def test_killed_while_it_sends_sends_once(self, business: Business, point: str) -> None:
        is_taken = business.product.arm(point)

        answers = [business.send() for _ in range(4)]

        assert all(answer.is_taken for answer in answers)
        eventually(is_taken, within_s=within(WORKER_TABLE_S), what=f"a worker to die at {point}")
        business.settle(within_s=within(WORKER_TABLE_S))
        business.assert_nothing_lost_or_doubled()

    def test_killed_in_the_middle_of_a_vendors_call_sends_once(self, business: Business) -> None:
        business.spoil("hang", moment="after")
        business.send()
        eventually(lambda: business.calls() == 1, within_s=within(60), what="the call")

        business.product.kill("worker")

        business.settle(within_s=within(WORKER_TABLE_S))
        business.assert_nothing_lost_or_doubled()
        assert sum(business.arrived().values()) == 1

    def test_the_whole_part_killed_in_the_middle_of_traffic_starts_again(self, business: Business) -> None:
        flow = business.flow(webhooks=40, messages=15)
        killed = business.product.kill("worker")

        for thread in flow:
            thread.join()
        eventually(lambda: business.product.pid("worker"), within_s=within(60), what="a worker to run")

        assert business.product.pid("worker") != killed
        business.settle(within_s=within(WORKER_TABLE_S))
        business.assert_nothing_lost_or_doubled()
        assert len([answer for answer in business.posted.values() if answer.is_taken]) == 40

    def test_one_child_killed_is_replaced_without_a_word(self, business: Business) -> None:
        flow = business.flow(webhooks=30, messages=10)
        main, children = business.product.pid("worker"), business.product.children("worker")

        os.kill(children[0], signal.SIGKILL)

        for thread in flow:
            thread.join()
        business.settle(within_s=within(WORKER_TABLE_S))
        business.assert_nothing_lost_or_doubled()
        assert business.product.pid("worker") == main


class TestCanary:
    def test_a_worker_that_runs_but_consumes_nothing_is_ended_and_replaced(self, business: Business) -> None:
        stopped = business.product.signal("worker", signal.SIGSTOP)
        for _ in range(8):
            business.send()
            business.post()

        eventually(lambda: business.product.pid("worker") not in {0, stopped}, within_s=within(0, more_s=SILENT_S),
                   what="another worker")  # fmt: skip

        assert "worker runs but takes no work; it is ended and starts again" in business.product.output
        business.settle(within_s=within(WORKER_TABLE_S))
        business.assert_nothing_lost_or_doubled()


class TestBeat:
    def test_killed_is_restarted_and_the_sweeps_go_on(self, business: Business) -> None:
        killed = business.product.kill("beat")

        eventually(lambda: business.product.pid("beat") not in {0, killed}, within_s=within(BEAT_TABLE_S), what="beat")
        business.product.arm("ingress.committed")  # no wake-up follows: only a sweep can find the row

        business.post("wamid.found-by-a-sweep")

        eventually(lambda: business.kept("wamid.found-by-a-sweep") == 1, within_s=within(BEAT_TABLE_S), what="a sweep")

    @pytest.fixture
    def second_beat(self, product: Installation) -> Iterator[None]:
        environment = product.environment | {"DATA_DIR": str(product.data_dir)}
        command = [*parts.beat_command(environment), f"--schedule={product.data_dir / 'second-schedule'}"]
        process = subprocess.Popen(
            command, cwd=processes.PROJECT_ROOT, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        yield
        process.terminate()
        process.wait(timeout=10)

    @pytest.mark.usefixtures("second_beat")
    def test_two_of_them_double_nothing(self, business: Business) -> None:
        for thread in business.flow(webhooks=40, messages=15):
            thread.join()
        business.settle(within_s=within(WORKER_TABLE_S))

        business.assert_nothing_lost_or_doubled()
        assert sum(business.arrived().values()) == 15
