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
AT_LEAST_S = 0.25
"""The kernel counts in ticks of 10 ms, for user and system time apart: the figure may be a little low for ever."""


class TestCpu:
    def test_counts_children_that_ended(self) -> None:
        before, all_before = machine.cpu_s(os.getpid()), machine.busy_s()

        subprocess.run([sys.executable, "-S", "-c", BUSY], check=True)

        assert machine.cpu_s(os.getpid()) - before >= AT_LEAST_S
        assert machine.busy_s() - all_before >= AT_LEAST_S

    def test_counts_children_that_run(self) -> None:
        child = subprocess.Popen([sys.executable, "-S", "-c", BUSY + "\ninput()"], stdin=subprocess.PIPE)
        try:
            end = time.monotonic() + 20
            while machine.cpu_s(child.pid) < AT_LEAST_S and time.monotonic() < end:
                time.sleep(0.02)

            assert child.pid in machine.descendants(os.getpid())
            assert machine.cpu_s(child.pid) >= AT_LEAST_S
            assert machine.pss_mb(child.pid)[child.pid] > 0.5
        finally:
            child.communicate(b"\n")
