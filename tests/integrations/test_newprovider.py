"""What `manage.py newprovider` writes runs green as it is: its own test and every question of the conformance suite."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from integrations.generate.skeleton import write_skeleton

ROOT = Path(__file__).resolve().parents[2]
KEY = "night_watch"

PLUGIN = '''
"""Count a folder outside the project as a part of it, for one run."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    import monitoring.providers
    from integrations import registry
    from tests.wire import Fixtures

    monitoring.providers.__path__.append(str(HERE / "monitoring" / "providers"))
    registry.load()
    usual = Fixtures.of.__func__

    def of(cls, provider):
        if provider.spec.key != "night_watch":
            return usual(cls, provider)
        return cls(folder=HERE / "tests" / "monitoring" / "providers" / "fixtures" / "night_watch")

    Fixtures.of = classmethod(of)
'''


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of a new provider, and a plugin that makes them count."""
    folder = tmp_path_factory.mktemp("skeleton")
    write_skeleton(folder, app="monitoring", key=KEY)
    (folder / "new_provider_plugin.py").write_text(PLUGIN)
    return folder


def run_pytest(written: Path, *arguments: str) -> str:
    """Run a part of the suite with the new provider in it."""
    command = [sys.executable, "-m", "pytest", "-q", "-c", "pyproject.toml", "-p", "new_provider_plugin", *arguments]
    path = f"{written}:{ROOT}"
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={**_environment(), "PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class TestSkeleton:
    def test_its_own_test_passes(self, written: Path) -> None:
        assert "passed" in run_pytest(written, str(written / f"tests/monitoring/providers/test_{KEY}.py"))

    def test_it_answers_every_question_of_the_conformance_suite(self, written: Path) -> None:
        told = run_pytest(written, "tests/conformance", "-k", KEY)

        assert "passed" in told
        assert "skipped" not in told

    def test_it_is_linted_and_formatted(self, written: Path) -> None:
        for part in ("check", "format"):
            options = ["--check"] if part == "format" else ["--config", "pyproject.toml", "--no-cache"]
            folder = str(written / "monitoring")
            subprocess.run([sys.executable, "-m", "ruff", part, *options, "--quiet", folder], cwd=ROOT, check=True)


def _environment() -> dict[str, str]:
    import os

    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
