"""Hooks of the fault tests do nothing in production."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.processes import PROJECT_ROOT

SHOWS = "from core import fault_points, pace; fault_points.reach('here'); print(pace.SCALE)"


@pytest.mark.parametrize(
    ("environment", "scale", "is_taken"), [("production", "1.0", False), ("development", "20.0", True)]
)
def test_production_ignores_them(tmp_path: Path, environment: str, scale: str, is_taken: bool) -> None:
    point = tmp_path / "here"
    point.write_text("sleep 0")
    hooks = {"ENVIRONMENT": environment, "TIME_SCALE": "20", "FAULT_POINTS": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-c", SHOWS],
        cwd=PROJECT_ROOT,
        env=os.environ | hooks,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == scale
    assert point.exists() is not is_taken
