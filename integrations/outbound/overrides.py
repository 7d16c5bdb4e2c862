"""Operator overrides of vendors' base URLs, read from `PROVIDER_URL_<KEY>` and `PROVIDER_URL_<KEY>__<ROLE>`."""

from __future__ import annotations

from collections.abc import Mapping

PREFIX = "PROVIDER_URL_"


def read_overrides(environ: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return base URLs by provider key and role; the role "" serves all roles without one of their own."""
    found: dict[str, dict[str, str]] = {}
    for name, value in environ.items():
        if name.startswith(PREFIX) and value:
            key, _separator, role = name.removeprefix(PREFIX).lower().partition("__")
            found.setdefault(key, {})[role] = value.rstrip("/")
    return found
