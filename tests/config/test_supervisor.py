"""The supervisor over toy parts: real processes, real signals."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config import processes
from config.supervisor import STOP_PARTS_WITHIN_S, STOP_WITHIN_S, Failed, Part, Supervisor, only_one

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads processes from /proc")

DRIVER = """
import os, signal, sys
from contextlib import suppress
from pathlib import Path
from config import processes
from config.supervisor import Failed, Part, Stopped, Supervisor, only_one, parent_was_interrupted

folder, toys = Path(sys.argv[1]), sys.argv[2:]
supervisor = Supervisor(dict(os.environ), folder)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, supervisor.request_stop)
if os.environ.get("STOP_WITH_PARENT"):
    supervisor.wants_stop = parent_was_interrupted()
parts = [
    Part(
        name=toy,
        command=(sys.executable, "-m", "config.processes", sys.executable, str(folder / "toy.py"), toy),
        ready=(folder / f"{toy}.ready").exists,
        is_server=toy.startswith("server"),
    )
    for toy in toys
]
os.environ["PYTHONPATH"] = os.getcwd()
supervisor.environment = dict(os.environ)
try:
    with suppress(Stopped), only_one(folder / "lock"):
        supervisor.start(parts, timeout_s=20)
        supervisor.say("all ready")
        supervisor.watch()
except Failed as problem:
    sys.exit(f"Cannot run: {problem}")
finally:
    supervisor.stop()
    supervisor.say("all stopped")
"""
TOY = """
import os, signal, subprocess, sys, time
from pathlib import Path

folder, name = Path(sys.argv[0]).parent, sys.argv[1]

def end(*_):
    with (folder / "order").open("a") as order:
        order.write(name + "\\n")
    sys.exit(0)

signal.signal(signal.SIGTERM, signal.SIG_IGN if "stubborn" in name else end)
if "parent" in name:
    subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"])
print(f"{name} speaks", flush=True)
(folder / f"{name}.ready").write_text(str(os.getpid()))
while True:
    time.sleep(0.05)
"""


class Installation:
    """A driver process over toys, and what belongs to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.marker = f"TOY_INSTALLATION={folder}"
        (folder / "toy.py").write_text(TOY)
        (folder / "driver.py").write_text(DRIVER)
        self.environment = os.environ | {"TOY_INSTALLATION": str(folder), "PYTHONPATH": str(processes.PROJECT_ROOT)}
        self.process: subprocess.Popen[str] | None = None

    def run(self, *toys: str, in_front: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """Start the driver and wait until every toy is ready."""
        self.process = subprocess.Popen(
            [*in_front, *self.command(*toys)] if not in_front else list(in_front),
            cwd=processes.PROJECT_ROOT,
            env=self.environment,
            stdout=(self.folder / "out").open("w"),
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert self.until(lambda: "all ready" in self.output), self.output
        return self.process

    def command(self, *toys: str) -> list[str]:
        return [sys.executable, str(self.folder / "driver.py"), str(self.folder), *toys]

    def pid(self, toy: str) -> int:
        return int((self.folder / f"{toy}.ready").read_text() or 0)

    @property
    def output(self) -> str:
        return (self.folder / "out").read_text()

    def processes(self) -> list[int]:
        """Return every living process that carries our mark in its environment."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/environ"):
            try:
                if self.marker.encode() in entry.read_bytes():
                    found.append(int(entry.parent.name))
            except OSError:  # it ended while we looked
                continue
        return found

    @staticmethod
    def until(condition: Callable[[], bool], timeout_s: float = 15.0) -> bool:
        return processes.until(condition, timeout_s=timeout_s)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path)
    yield made
    for pid in made.processes():
        os.kill(pid, signal.SIGKILL)


class TestRestart:
    def test_starts_a_dead_part_again_says_so_and_leaves_the_others_alone(self, installation):
        installation.run("one", "two")
        killed, other = installation.pid("one"), installation.pid("two")

        os.kill(killed, signal.SIGKILL)

        assert installation.until(lambda: installation.pid("one") not in {0, killed})
        assert installation.pid("two") == other
        assert "one died (signal 9); it starts again in 1 s" in installation.output
        assert installation.until(lambda: "one started again" in installation.output)

    def test_ends_the_children_of_a_dead_part(self, installation):
        installation.run("parent")
        assert installation.until(lambda: len(installation.processes()) == 3)
        before = set(installation.processes()) - {installation.process.pid}

        os.kill(installation.pid("parent"), signal.SIGKILL)

        assert installation.until(lambda: not before & set(installation.processes()))

    def test_labels_every_line_with_its_part(self, installation):
        installation.run("one", "two")

        assert re.search(r"^one +\| one speaks$", installation.output, re.MULTILINE)
        assert re.search(r"^two +\| two speaks$", installation.output, re.MULTILINE)


class TestStop:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_leaves_no_process_and_ends_the_servers_last(self, installation, number):
        process = installation.run("server", "one", "two")

        process.send_signal(number)

        assert process.wait(timeout=STOP_WITHIN_S) == 0
        assert installation.processes() == []
        assert (installation.folder / "order").read_text().split()[-1] == "server"

    def test_kills_what_does_not_listen_within_ten_seconds(self, installation):
        process = installation.run("server", "stubborn", "parent")
        began = time.monotonic()

        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)

        assert STOP_PARTS_WITHIN_S - 1 < time.monotonic() - began < 10
        assert installation.processes() == []
        assert "stubborn did not stop in time and is killed" in installation.output

    def test_a_second_ctrl_c_does_not_wait(self, installation):
        process = installation.run("stubborn")
        began = time.monotonic()

        process.send_signal(signal.SIGINT)
        assert installation.until(lambda: installation.pid("stubborn") > 0)
        time.sleep(0.7)  # two signals at the same moment are one request
        process.send_signal(signal.SIGINT)
        process.wait(timeout=5)

        assert time.monotonic() - began < 3
        assert installation.processes() == []

    def test_a_ctrl_c_that_arrives_twice_at_once_is_one(self, installation):
        process = installation.run("server", "one")

        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=STOP_WITHIN_S)

        assert "killed" not in installation.output
        assert (installation.folder / "order").read_text().split() == ["one", "server"]

    @pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
    def test_the_parts_end_even_when_the_supervisor_is_killed(self, installation):
        process = installation.run("server", "one", "two")

        process.kill()
        process.wait()

        assert installation.until(lambda: installation.processes() == [], timeout_s=5)

    def test_a_ctrl_c_that_reaches_make_alone_stops_everything(self, installation):
        command = " ".join(installation.command("server", "one"))
        makefile = installation.folder / "Makefile"
        makefile.write_text(f"run:\n\t@STOP_WITH_PARENT=1 exec {command}\n")
        # A shell lets what runs in its background ignore SIGINT, and make then ignores it for good.
        heeding = ("env", "--default-signal=INT")
        process = installation.run(in_front=(*heeding, "make", "-f", str(makefile), "run"))

        process.send_signal(signal.SIGINT)
        process.wait(timeout=STOP_WITHIN_S)

        assert installation.processes() == []


class TestOneAtATime:
    def test_refuses_a_second_on_the_same_folder_with_a_sentence(self, installation):
        first = installation.run("one")

        second = subprocess.run(
            installation.command("one"),
            env=installation.environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=20,
        )

        assert second.returncode == 1
        assert f"already runs on {installation.folder} (process {first.pid})" in second.stderr
        assert installation.pid("one") in installation.processes()

    def test_takes_the_folder_of_one_that_was_killed(self, tmp_path):
        (tmp_path / "lock").write_text("4194304")

        with only_one(tmp_path / "lock"):
            assert (tmp_path / "lock").read_text() == str(os.getpid())


class TestSteps:
    @pytest.fixture
    def supervisor(self, tmp_path):
        out = (tmp_path / "out").open("w")
        made = Supervisor(os.environ, processes.PROJECT_ROOT, out=out)
        yield made
        made.stop()
        out.close()

    def test_show_a_plain_step_without_a_label(self, supervisor, tmp_path):
        code = "import sys; print('the banner'); print('a log line', file=sys.stderr)"

        supervisor.run_step("demo", (sys.executable, "-c", code), plain=True)

        assert processes.until(lambda: (tmp_path / "out").read_text().count("\n") == 2, timeout_s=5)
        assert sorted((tmp_path / "out").read_text().splitlines()) == ["demo    | a log line", "the banner"]

    def test_fail_by_name(self, supervisor):
        with pytest.raises(Failed, match=r"migrate failed \(exit 3\)"):
            supervisor.run_step("migrate", (sys.executable, "-c", "raise SystemExit(3)"))

    def test_a_part_that_never_gets_ready_fails_the_start(self, supervisor):
        sleeper = Part(name="slow", command=(sys.executable, "-c", "import time; time.sleep(60)"), ready=lambda: False)

        with pytest.raises(Failed, match="slow was not ready within 0 s"):
            supervisor.start([sleeper], timeout_s=0.3)

    def test_a_part_that_keeps_dying_fails_the_start_before_the_timeout(self, supervisor):
        broken = Part(name="broken", command=(sys.executable, "-c", "raise SystemExit(3)"), ready=lambda: False)

        with pytest.raises(Failed, match="broken died 2 times; its lines are above"):
            supervisor.start([broken], timeout_s=60)

    def test_importing_the_supervisor_loads_no_django(self):
        code = textwrap.dedent("import sys, config.parts; print({'django', 'celery'} & set(sys.modules))")

        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

        assert done.stdout.strip() == "set()"
