"""Commands beside a running installation make the same choices as it does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from config import running

CHOSEN = {
    "PORT": "8999",
    "SANDBOX": "1",
    "SANDBOX_URL": "http://127.0.0.1:9419",
    "PROVIDER_URL_STRIPE": "http://s.test",
}


class TestJoin:
    def test_takes_the_choices_of_what_runs(self, tmp_path: Path) -> None:
        running.write_down({**CHOSEN, "SECRET_KEY": "test", "PATH": "/bin"}, data_dir=tmp_path)
        environment: dict[str, str] = {}

        assert running.join(environment, data_dir=tmp_path)

        assert environment == CHOSEN

    def test_leaves_what_the_environment_says(self, tmp_path: Path) -> None:
        running.write_down(CHOSEN, data_dir=tmp_path)
        environment = {"SANDBOX": "0"}

        running.join(environment, data_dir=tmp_path)

        assert environment["SANDBOX"] == "0"

    def test_takes_nothing_once_it_stopped(self, tmp_path: Path) -> None:
        running.write_down(CHOSEN, data_dir=tmp_path)
        running.forget(tmp_path)
        environment: dict[str, str] = {}

        assert not running.join(environment, data_dir=tmp_path)
        assert environment == {}

    def test_takes_nothing_of_a_supervisor_that_was_killed(self, tmp_path: Path) -> None:
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        (tmp_path / running.FILE).write_text(json.dumps({"pid": ended.pid, "environment": CHOSEN}))
        environment: dict[str, str] = {}

        assert not running.join(environment, data_dir=tmp_path)
        assert environment == {}

    @pytest.mark.parametrize(
        "text", ["", "[]", "{}", '{"pid": "x", "environment": {}}', '{"pid": 1, "environment": 5}']
    )
    def test_is_not_stopped_by_a_file_it_cannot_read(self, tmp_path: Path, text: str) -> None:
        (tmp_path / running.FILE).write_text(text)

        assert not running.join({}, data_dir=tmp_path)
