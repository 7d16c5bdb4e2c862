"""What is read from /proc."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from benchmarks import machine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

BUSY = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"


class TestCpu:
    def test_counts_children_that_ended(self) -> None:
        before, all_before = machine.cpu_s(os.getpid()), machine.busy_s()

        subprocess.run([sys.executable, "-S", "-c", BUSY], check=True)

        assert machine.cpu_s(os.getpid()) - before >= 0.3
        assert machine.busy_s() - all_before >= 0.25

    def test_counts_children_that_run(self) -> None:
        child = subprocess.Popen([sys.executable, "-S", "-c", BUSY + "\ninput()"], stdin=subprocess.PIPE)
        try:
            end = time.monotonic() + 20
            while machine.cpu_s(child.pid) < 0.3 and time.monotonic() < end:
                time.sleep(0.02)

            assert child.pid in machine.descendants(os.getpid())
            assert machine.cpu_s(child.pid) >= 0.3
            assert machine.pss_mb(child.pid)[child.pid] > 0.5
        finally:
            child.communicate(b"\n")
