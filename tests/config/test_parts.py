"""What an installation consists of, and what it says when it cannot start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from config import parts, processes


def installation_environment(folder: Path) -> dict[str, str]:
    """Return our environment without what belongs to the suite, for an installation of its own."""
    kept = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return kept | {"DATA_DIR": str(folder)}


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return parts.complete({"PORT": "8000"}, data_dir=tmp_path)


class TestComplete:
    def test_settles_addresses_for_all_parts(self, tmp_path):
        made = parts.complete({"PORT": "8123", "SANDBOX_PORT": "9000"}, data_dir=tmp_path)

        assert made["DATA_DIR"] == str(tmp_path)
        assert made["HOST"] == "127.0.0.1"
        assert made["SANDBOX_URL"] == "http://127.0.0.1:9000"

    def test_puts_the_sandbox_beside_the_port_where_that_is_free(self, tmp_path):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            taken = probe.getsockname()[1]
            beside_a_taken_port = parts.complete({"PORT": str(taken - 420)}, data_dir=tmp_path)

        beside_a_free_one = parts.complete({"PORT": str(taken - 420)}, data_dir=tmp_path)

        assert beside_a_taken_port["SANDBOX_PORT"] != str(taken)
        assert beside_a_free_one["SANDBOX_PORT"] == str(taken)

    def test_names_an_address_that_can_be_called_when_all_are_listened_on(self, tmp_path):
        made = parts.complete({"HOST": "0.0.0.0", "SANDBOX_PORT": "9000"}, data_dir=tmp_path)

        assert made["SANDBOX_URL"] == "http://127.0.0.1:9000"


class TestParts:
    def test_the_embedded_servers_make_way_for_addresses(self, tmp_path):
        def names(environment: dict[str, str]) -> list[str]:
            return [part.name for part in parts.servers(tmp_path, environment)]

        assert names({}) == ["postgres", "redis"]
        assert names({"DATABASE_URL": "postgres://elsewhere/registry"}) == ["redis"]
        assert names({"DATABASE_URL": "postgres://elsewhere/registry", "REDIS_URL": "redis://elsewhere"}) == []

    @pytest.mark.parametrize(("switch", "with_sandbox"), [("1", True), ("true", True), ("0", False), ("", False)])
    def test_the_sandbox_is_there_when_it_is_wanted(self, environment, switch, with_sandbox):
        names = list(parts.product({**environment, "SANDBOX": switch}))

        assert names[-3:] == ["web", "worker", "beat"]
        assert ("sandbox" in names) is with_sandbox

    def test_a_worker_may_take_some_queues_only(self, environment):
        command = parts.worker_command({**environment, "WORKER_QUEUES": "bulk", "WORKER_CONCURRENCY": "1"})

        assert "--queues=bulk" in command
        assert "--concurrency=1" in command
        assert "--pool=prefork" in command


class TestCommandLine:
    def run(self, folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "config.parts", *words],
            cwd=processes.PROJECT_ROOT,
            env=installation_environment(folder) | more,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def test_a_taken_port_is_a_sentence_with_the_way_out(self, tmp_path):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            done = self.run(tmp_path, PORT=str(port))

        assert done.returncode == 1
        assert f"127.0.0.1:{port} is taken by another program: make run PORT={port + 1}" in done.stderr
        assert "Traceback" not in done.stderr

    def test_stop_ends_the_one_that_runs(self, tmp_path):
        holder = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import signal, sys, time; from pathlib import Path; from config.supervisor import only_one\n"
                "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
                "with only_one(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)",
                str(tmp_path / parts.LOCK),
            ],
            cwd=processes.PROJECT_ROOT,
            stdout=subprocess.PIPE,
        )
        assert holder.stdout.readline() == b"held\n"

        done = self.run(tmp_path, "stop")

        assert (done.returncode, done.stderr) == (0, "")
        assert holder.wait(timeout=5) == 7

    def test_stop_with_nothing_running_does_nothing(self, tmp_path):
        assert self.run(tmp_path, "stop").returncode == 0

    def test_up_with_a_part_becomes_that_part(self, tmp_path):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up", "web"],
            cwd=processes.PROJECT_ROOT,
            env=installation_environment(tmp_path) | {"PORT": str(port)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        listens = processes.until(lambda: accepts(port), timeout_s=20)
        became = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=15) == 0
        assert listens
        assert b"granian" in became
