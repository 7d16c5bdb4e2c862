"""
The environment, read once and typed.

`base.py` is the only module that imports this. A value that production needs and does not have stops the
start with one line that names it.
"""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from config import running

ROOT = Path(__file__).resolve().parents[2]

env = environ.Env()
if (ROOT / ".env").exists():
    environ.Env.read_env(ROOT / ".env")

ENVIRONMENT = env.str("ENVIRONMENT", default="development")
if ENVIRONMENT not in {"development", "production"}:
    raise ImproperlyConfigured("ENVIRONMENT must be 'development' or 'production'.")
IS_PRODUCTION = ENVIRONMENT == "production"


def data_dir() -> Path:
    """Return the folder of everything that a development installation keeps; absolute."""
    path = Path(env.str("DATA_DIR", default=".data"))
    return path if path.is_absolute() else ROOT / path


if not IS_PRODUCTION:
    running.join(os.environ, data_dir=data_dir())


def key_material(name: str) -> str:
    """
    Return a key setting: from the environment, or in development one generated into the data folder.

    :raises ImproperlyConfigured: production, and the setting is missing
    """
    if value := env.str(name, default=""):
        return str(value)
    if IS_PRODUCTION:
        raise ImproperlyConfigured(f"{name} is not set. Production does not start without it; see .env.example.")
    return _generated(name)


def _generated(name: str) -> str:
    folder = data_dir() / "keys"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / name
    if not path.exists():
        fresh = secrets.token_urlsafe(48)
        if name != "SECRET_KEY":
            fresh = "dev1:" + base64.b64encode(secrets.token_bytes(32)).decode()
        temporary = folder / f".{name}.{os.getpid()}"
        temporary.write_text(fresh)
        temporary.chmod(0o600)
        try:
            os.link(temporary, path)  # the first process wins; the others read its key
        except FileExistsError:
            fresh = ""
        finally:
            temporary.unlink()
        if fresh:
            return fresh
    return path.read_text().strip()


def require_in_production(name: str, default: str) -> str:
    """
    Return a text setting with a default that only development may use.

    :raises ImproperlyConfigured: production, and the setting is missing
    """
    value = env.str(name, default="")
    if not value and IS_PRODUCTION:
        raise ImproperlyConfigured(f"{name} is not set. Production does not start without it; see .env.example.")
    return value or default


def host_of(url: str) -> str:
    """Return the host name of a URL or of a bare host."""
    return urlsplit(url if "//" in url else f"//{url}").hostname or ""
