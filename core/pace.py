"""
The engine's durations: full length, or shortened where faults are tried out.

`TIME_SCALE=20` makes leases, back-offs, sweeps and open breakers last a twentieth, so that a test sees in seconds what
takes minutes. Production ignores it. Deadlines of vendors' calls are facts of the vendors and never shortened.
"""

from __future__ import annotations

import os


def _scale() -> float:
    if os.environ.get("ENVIRONMENT") == "production":
        return 1.0
    return max(1.0, float(os.environ.get("TIME_SCALE") or 1.0))


SCALE = _scale()


def scaled(seconds: float) -> float:
    """Return a duration of the engine, in seconds, at the pace of this process."""
    return seconds / SCALE
