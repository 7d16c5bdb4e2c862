"""
The fault tests at full length: leases of two minutes, Redis away for ten, an open breaker for one.

The suite runs the same scenarios at a twentieth (`tests/faults`, `core/pace.py`). LONG=1 runs them with TIME_SCALE=1,
for an hour and more; without it there is nothing to measure here. FAULTS_ONLY chooses by pytest's -k.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree as Xml

from benchmarks.report import Bar, Outcome, Table
from config.processes import PROJECT_ROOT

NOTE = "The fault tests run shortened in `make test`; `make bench ONLY=faults LONG=1` runs them at full length."
COLUMNS = ("scenario", "result", "seconds, with its connecting")


def measure() -> Outcome:
    """Run every scenario at full length, one after the other; without LONG only say where they run."""
    if not os.environ.get("LONG"):
        return Outcome(tables=[], notes=[NOTE])
    began = time.monotonic()
    cases = _run()
    passed = sum(result == "passed" for _name, result, _took in cases)
    minutes = (time.monotonic() - began) / 60
    rows = [[name, result, f"{took_s:,.1f}"] for name, result, took_s in cases]
    bar = Bar(name="scenarios without loss or repetition, in the table's time", wanted="all",
              measured=f"{passed} of {len(cases)}", is_met=passed == len(cases) > 0)  # fmt: skip
    return Outcome(
        tables=[Table(title="Each fault at full length", columns=COLUMNS, rows=rows)],
        bars=[bar],
        notes=[f"It took {minutes:.0f} minutes."],
        figures={"passed": passed, "scenarios": len(cases), "minutes": round(minutes, 1)},
    )


def _run() -> list[tuple[str, str, float]]:
    """Run the tests and return name, result and seconds of each."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "faults.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "processes", "tests/faults", f"--junit-xml={report}"]
        chosen = ["-k", only] if (only := os.environ.get("FAULTS_ONLY")) else []
        subprocess.run(
            [*command, *chosen], cwd=PROJECT_ROOT, env=os.environ | {"FAULTS_SCALE": "1"}, check=False
        )  # what failed is in the report
        if not report.exists():
            raise RuntimeError("the fault tests did not run; their lines are above")
        return [_case(found) for found in Xml.parse(report).iter("testcase")]


def _case(found: Xml.Element) -> tuple[str, str, float]:
    name = re.sub(r"^test_", "", found.get("name", "")).replace("_", " ")
    subject = found.get("classname", "").rpartition(".Test")[2]
    has_failed = any(found.find(kind) is not None for kind in ("failure", "error"))
    return f"{subject}: {name}"[:90], "failed" if has_failed else "passed", float(found.get("time", 0))
