"""
Run benchmarks and say what they found: `python -m benchmarks [NAME …]`, `make bench ONLY=ingest`.

Figures also go into `bench-results.json` (BENCH_RESULTS). A missed bar is printed, not an error: a busy machine
is not a defect. An answer or a row that is not what it must be ends the run with an error.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys

from benchmarks import machine
from config.processes import PROJECT_ROOT

NAMES = (
    "ingest", "organizations", "backlog", "fairness", "payments", "silence", "health_sweep", "ticks", "refresh_race",
    "faults",
)  # fmt: skip
RESULTS = PROJECT_ROOT / (os.environ.get("BENCH_RESULTS") or "bench-results.json")


def main(wanted: list[str]) -> int:
    """Run what is wanted, all by default; return the exit status."""
    if unknown := set(wanted) - set(NAMES):
        sys.stderr.write(f"No benchmark is called {', '.join(sorted(unknown))}; there are: {', '.join(NAMES)}.\n")
        return 2
    if sys.platform != "linux":
        sys.stderr.write("The benchmarks read CPU and memory from /proc and run on Linux only.\n")
        return 2
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in wanted or NAMES:
        sys.stdout.write(f"\n{name} (Python {platform.python_version()}, {machine.CORES} cores)\n\n")
        sys.stdout.flush()
        outcome = importlib.import_module(f"benchmarks.{name}").measure()
        sys.stdout.write(outcome.text() + "\n")
        kept[name] = outcome.as_json()
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
