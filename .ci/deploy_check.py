"""
Run a management command with settings like those of production: keys made up here, addresses of nobody.

Without arguments it is Django's deployment check; the Dockerfile collects static files with it.
"""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
import sys
import tempfile

KEPT = ("PATH", "HOME", "LANG", "STATIC_ROOT")
DEPLOYMENT_CHECK = ("check", "--deploy", "--fail-level", "WARNING")


def made_up_key() -> str:
    """Return a key ring with one fresh key."""
    return "check1:" + base64.b64encode(secrets.token_bytes(32)).decode()


def production(folder: str) -> dict[str, str]:
    """Return the environment of an installation that could go live, but for its addresses."""
    return {
        "ENVIRONMENT": "production",
        "SECRET_KEY": secrets.token_urlsafe(60),
        "MASTER_KEYS": made_up_key(),
        "PLATFORM_KEYS": made_up_key(),
        "DATABASE_URL": "postgres://registry_app@database.example.com/registry",
        "DATABASE_OWNER_URL": "postgres://registry_owner@database.example.com/registry",
        "REDIS_URL": "redis://redis.example.com/0",
        "PUBLIC_URL": "https://hooks.example.com",
        "ADMIN_HOST": "admin.example.com",
        "EVIDENCE_URL": f"file://{folder}",
        "METRICS_TOKEN": secrets.token_urlsafe(),
        "DATA_DIR": folder,
    }


def main() -> int:
    """Run the command, which must connect to nothing, and return its exit code."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    command = [sys.executable, "manage.py", *(sys.argv[1:] or DEPLOYMENT_CHECK)]
    with tempfile.TemporaryDirectory(prefix="registry-check-") as folder:
        return subprocess.run(command, env=kept | production(folder), check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
