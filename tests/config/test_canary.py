"""When a worker's silence proves that it consumes no more, and who ends it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import canary, processes
from config.canary import HEARTBEAT, Canary, end_when_silent
from config.supervisor import Part, Supervisor

LONG_AGO = 1_000_000.0


@pytest.fixture
def heartbeat(tmp_path: Path) -> Path:
    """A heartbeat whose last beat was ten minutes ago."""
    path = tmp_path / "worker.heartbeat"
    canary.own(str(path))
    os.utime(path, (time.time() - 600, time.time() - 600))
    return path


def watching(heartbeat: Path, *, redis_answers: bool = True, for_s: float = 600) -> Canary:
    """Return a canary that has watched for some time."""
    return Canary(heartbeat, lambda: redis_answers, silent_after_s=120, _proves_since=time.time() - for_s)


class TestSilence:
    def test_is_a_proof_while_redis_answers_and_the_others_live(self, heartbeat):
        assert watching(heartbeat).is_silent(LONG_AGO)

    def test_ends_with_the_next_task(self, heartbeat):
        canary.touch(str(heartbeat))

        assert not watching(heartbeat).is_silent(LONG_AGO)

    def test_proves_nothing_while_redis_is_away_nor_soon_after(self, heartbeat):
        watched = watching(heartbeat, redis_answers=False)
        assert not watched.is_silent(LONG_AGO)

        watched.redis_answers = lambda: True

        assert not watched.is_silent(LONG_AGO)

    def test_proves_nothing_of_a_worker_or_a_beat_that_has_just_started(self, heartbeat):
        assert not watching(heartbeat).is_silent(time.time() - 5)

    def test_proves_nothing_to_whoever_has_just_begun_to_watch(self, heartbeat):
        assert not watching(heartbeat, for_s=5).is_silent(LONG_AGO)

    def test_of_a_worker_that_never_took_a_task_counts_from_its_start(self, tmp_path):
        assert watching(tmp_path / "never").is_silent(time.time() - 121)

    def test_asks_redis_once_a_second(self, heartbeat):
        asked: list[int] = []
        watched = Canary(heartbeat, lambda: bool(asked.append(1)) or True, silent_after_s=120)

        for _ in range(10):
            watched.is_silent(LONG_AGO)

        assert len(asked) == 1


class TestHealthCheck:
    @pytest.fixture
    def worker(self, heartbeat: Path) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        heartbeat.write_text(str(process.pid))
        os.utime(heartbeat, (time.time() - 600, time.time() - 600))
        yield process
        process.kill()
        process.wait()

    @staticmethod
    def look(heartbeat: Path, *, redis_answers: bool = True) -> bool:
        return end_when_silent({HEARTBEAT: str(heartbeat)}, redis_answers=lambda: redis_answers)

    @staticmethod
    def pass_time(heartbeat: Path) -> None:
        past = time.time() - 300
        os.utime(heartbeat.with_suffix(".amiss"), (past, past))

    def test_ends_a_silent_worker_at_its_second_look(self, heartbeat, worker):
        assert not self.look(heartbeat)
        self.pass_time(heartbeat)

        assert self.look(heartbeat)

        assert worker.wait(timeout=5) == -9

    def test_leaves_a_worker_alone_that_takes_tasks(self, heartbeat, worker):
        self.look(heartbeat)
        self.pass_time(heartbeat)
        canary.touch(str(heartbeat))

        assert not self.look(heartbeat)
        assert worker.poll() is None

    def test_leaves_a_worker_alone_while_redis_is_away(self, heartbeat, worker):
        self.look(heartbeat)
        self.pass_time(heartbeat)

        assert not self.look(heartbeat, redis_answers=False)
        assert not self.look(heartbeat)
        assert worker.poll() is None

    def test_runs_as_a_command(self, heartbeat, tmp_path):
        environment = os.environ | {HEARTBEAT: str(heartbeat), "REDIS_URL": f"unix://{tmp_path}/nobody.sock"}

        done = subprocess.run([sys.executable, "-m", "config.canary"], cwd=processes.PROJECT_ROOT, env=environment,
                              check=False)  # fmt: skip

        assert done.returncode == 0
        assert heartbeat.with_suffix(".amiss").exists()


class TestSupervisor:
    def test_ends_a_silent_part_only_while_the_part_that_it_hears_runs(self, tmp_path):
        out = (tmp_path / "out").open("w")
        supervisor = Supervisor(os.environ, processes.PROJECT_ROOT, out=out)
        sleep = (sys.executable, "-c", "import time; time.sleep(60)")
        asked: list[float] = []
        deaf = Part(
            name="deaf", command=sleep, hears=("voice",), is_silent=lambda since: bool(asked.append(since)) or True
        )
        try:
            supervisor.start([deaf], timeout_s=5)
            supervisor.tick()
            assert asked == []

            supervisor.start([Part(name="voice", command=sleep)], timeout_s=5)
            supervisor.tick()
            first = supervisor.running["deaf"].process
            assert first.wait(timeout=5) == -9
            assert asked
            assert asked[0] <= time.time()
        finally:
            supervisor.stop()
            out.close()
        assert "deaf runs but takes no work; it is ended and starts again" in (tmp_path / "out").read_text()
