"""What stops the start, in one clear line, in real processes."""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(__file__).resolve().parents[2]


def ring(name: str = "k1") -> str:
    """Make a good ring."""
    return f"{name}:{base64.b64encode(secrets.token_bytes(32)).decode()}"


def production(**changes: str | None) -> dict[str, str]:
    """Return the environment of a production installation, with changes; None removes."""
    environment: dict[str, str | None] = {
        "PATH": os.environ["PATH"],
        "ENVIRONMENT": "production",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "MASTER_KEYS": ring(),
        "PLATFORM_KEYS": ring("p1"),
        "PUBLIC_URL": "https://api.registry.example",
        "ADMIN_HOST": "admin.registry.example",
        "DATABASE_URL": "postgres://app:x@127.0.0.1:1/registry",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "EVIDENCE_URL": "file:///evidence",
        "STATIC_ROOT": str(settings.STATIC_ROOT),
        **changes,
    }
    return {name: value for name, value in environment.items() if value is not None}


def check(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a management command in a process of its own."""
    command = [sys.executable, "manage.py", *(arguments or ("check",))]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


def last_line(result: subprocess.CompletedProcess[str]) -> str:
    """Return what a person reads last."""
    return result.stderr.strip().splitlines()[-1]


class TestProduction:
    """ENVIRONMENT=production."""

    @pytest.mark.parametrize("version", ["v21.0", "26"])
    def test_stops_with_a_graph_version_that_no_vendor_answers(self, version):
        result = check(production(META_GRAPH_VERSION=version))

        assert result.returncode != 0
        assert last_line(result).startswith("django.core.exceptions.ImproperlyConfigured: META_GRAPH_VERSION")
        assert "v22.0" in last_line(result)

    def test_starts_with_everything_set(self):
        result = check(production())

        assert result.returncode == 0, result.stderr

    @pytest.mark.parametrize("name", ["SECRET_KEY", "MASTER_KEYS", "PLATFORM_KEYS", "PUBLIC_URL", "ADMIN_HOST"])
    def test_stops_without(self, name):
        result = check(production(**{name: None}))

        assert result.returncode != 0
        assert name in last_line(result)

    @pytest.mark.parametrize("value", ["nonsense", "k1:c2hvcnQ=", "dev1:" + "A" * 43 + "=", "k1:" + "A" * 43 + "="])
    def test_stops_with_a_bad_master_key(self, value):
        result = check(production(MASTER_KEYS=value))

        assert result.returncode != 0
        assert "MASTER_KEYS" in last_line(result)
        assert value not in result.stderr

    @pytest.mark.parametrize(
        "override", [{"SANDBOX": "1"}, {"PROVIDER_URL_STRIPE": "http://127.0.0.1:8420"}], ids=["sandbox", "url"]
    )
    def test_stops_with_vendors_replaced(self, override):
        refused, allowed = check(production(**override)), check(production(**override, ALLOW_PROVIDER_OVERRIDES="1"))

        assert refused.returncode != 0
        assert "ALLOW_PROVIDER_OVERRIDES" in last_line(refused)
        assert allowed.returncode == 0, allowed.stderr


class TestWrongMasterKey:
    """A well-formed key that is not the one in use."""

    def test_stops_before_anything_is_served(self, django_db_setup):
        environment = {
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "config.settings.test",
            "TEST_DATA_DIR": str(settings.DATA_DIR),
            "MASTER_KEYS": ring("dev1"),
            "TEST_DATABASE_NAME": settings.TEST_DATABASE,
        }

        result = check(environment, "up", "web")

        assert result.returncode != 0
        assert "MASTER_KEYS" in last_line(result)
        assert "Traceback" not in result.stderr
