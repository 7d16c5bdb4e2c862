"""
The operator's overrides of vendors' base URLs: PROVIDER_URL_<KEY> and PROVIDER_URL_<KEY>__<ROLE>.

Read once by the settings; passed down as values.
"""

from __future__ import annotations

from collections.abc import Mapping

from transport.errors import RequestInvalid
from transport.target import Target

PREFIX = "PROVIDER_URL_"
ALL_ROLES = ""
"""The role under which an override that serves all roles is kept."""

Overrides = Mapping[str, Mapping[str, str]]
"""Base URLs by provider key, then by role in lower case; `ALL_ROLES` serves every role that has none."""


def read_overrides(environ: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """
    Collect the overrides of an environment; empty values are none.

    :raises ValueError: a value is not a plain http or https base URL; names the variable
    """
    overrides: dict[str, dict[str, str]] = {}
    for name, value in environ.items():
        if not name.startswith(PREFIX) or not value.strip():
            continue
        key, _, role = name.removeprefix(PREFIX).lower().partition("__")
        overrides.setdefault(key, {})[role] = _base_url(name, value.strip())
    return overrides


def _base_url(name: str, value: str) -> str:
    try:
        target = Target.parse(value)
    except RequestInvalid:
        target = None
    if target is None or target.query:
        raise ValueError(f"{name} must be a base URL such as http://127.0.0.1:8420, without user, query or spaces")
    return target.shown.rstrip("/")
