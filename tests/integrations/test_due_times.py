"""Due times are columns: no code of ours lets Celery wait, because a waiting task repeats (RELIABILITY section 3)."""

from __future__ import annotations

import ast
from pathlib import Path

from django.apps import apps
from django.conf import settings

from integrations.tasks import LOCKS

WAITS = frozenset({"countdown", "eta"})


def sources() -> list[Path]:
    """Every module of the product, apart from migrations."""
    root = Path(settings.BASE_DIR)
    ours = [Path(config.path) for config in apps.get_app_configs() if Path(config.path).parent == root]
    folders = [*ours, *(root / name for name in ("config", "core", "transport", "audit", "meter"))]
    return [path for folder in set(folders) for path in folder.rglob("*.py") if "migrations" not in path.parts]


def waits_of(path: Path) -> list[str]:
    """Where a module hands a wait to Celery, as a keyword or as the key of options."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.keyword) and node.arg in WAITS:
            found.append(f"{path}:{node.value.lineno}")
        if isinstance(node, ast.Dict):
            keys = {key.value for key in node.keys if isinstance(key, ast.Constant)}
            found += [f"{path}:{node.lineno}"] * bool(keys & WAITS)
    return found


class TestCelery:
    def test_is_never_asked_to_wait(self) -> None:
        paths = sources()

        assert len(paths) > 150
        assert [place for path in paths for place in waits_of(path)] == []

    def test_would_be_found_out(self, tmp_path: Path) -> None:
        module = tmp_path / "late.py"
        module.write_text("task.apply_async(countdown=60)\nsend(**{'eta': soon})\n")

        assert len(waits_of(module)) == 2


class TestLocks:
    def test_no_two_sweeps_share_one(self) -> None:
        assert len(set(LOCKS.values())) == len(LOCKS)
