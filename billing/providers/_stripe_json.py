"""Taking values out of Stripe's JSON: what is absent or of another type is empty, never a crash."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from integrations.contract import UnexpectedResponse

REFERENCE = "ir_reference"
"""The key of `metadata` that carries our id of an object."""

_SECRETS = frozenset({"client_secret", "secret"})
"""What opens a payment in a browser, or signs webhooks; neither is kept beside an object."""

_ACCOUNT = re.compile(r"acct_[A-Za-z0-9]{1,100}")


def obj(value: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """Return the object at a path, empty when there is none."""
    found: Any = value
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def text(value: Mapping[str, Any], name: str) -> str:
    """Return a text, empty when there is none."""
    found = value.get(name)
    return found if isinstance(found, str) else ""


def whole(value: Mapping[str, Any], name: str) -> int | None:
    """Return a whole number, None when there is none; true and false are no numbers."""
    found = value.get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def rows(value: Mapping[str, Any], *names: str) -> Sequence[Mapping[str, Any]]:
    """Return the objects of a list of Stripe's ({object: "list", data: […]}) at a path."""
    data = obj(value, *names).get("data")
    return [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []


def named(value: Mapping[str, Any], name: str) -> str:
    """Return the id of a field that is an id or, expanded, the object itself."""
    return text(value, name) or text(obj(value, name), "id")


def required(value: Mapping[str, Any], name: str) -> str:
    """
    Return a text that must be there.

    :raises UnexpectedResponse: it is not
    """
    found = text(value, name)
    if not found:
        raise UnexpectedResponse(f"an object of Stripe's has no {name}")
    return found


def moment(value: Any) -> datetime | None:
    """Read Unix seconds, or ISO 8601 as thin events have it; None for what is no time."""
    try:
        if isinstance(value, str):
            return datetime.fromisoformat(value).astimezone(UTC)
        if isinstance(value, int) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def iso(at: datetime | None) -> str | None:
    """Write a time as the public contract has it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None


def reference(value: Mapping[str, Any]) -> str:
    """Return our own id of an object that was made through us, else empty."""
    return text(obj(value, "metadata"), REFERENCE)


def account_id(value: str) -> str:
    """Return the text when it is an account's id, else empty."""
    return value if _ACCOUNT.fullmatch(value) else ""


def without_secrets(value: Any) -> Any:
    """Return JSON without the client secrets and signing secrets in it."""
    if isinstance(value, dict):
        return {name: without_secrets(item) for name, item in value.items() if name not in _SECRETS}
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    return value
