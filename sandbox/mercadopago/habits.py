"""What a developer may change about the behavior of this vendor while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.frame import Refused
from sandbox.store import Collection


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """Delays in seconds; None means never."""

    # Real notifications carry thirteen digits, the documentation shows ten.
    ts_unit: str = "ms"
    # Documentation long said lower case for ids with letters; the SDKs take them as received since June 2026.
    id_case: str = "as_received"
    # A pix in the vendor's own test environment stays pending; a number here makes every pix pay itself.
    pay_pix_after_s: float | None = None
    # The vendor calls it a failure when nobody answered 200 or 201 within 22 s.
    answer_within_s: float = 22.0
    duplicates: int = 0
    disorder: bool = False
    # Payments made with TEST- credentials send nothing to their notification_url.
    test_credentials_notify: bool = False
    # A refresh token that is used twice kills the whole authorization.
    reuse_revokes: bool = False


def _word(*allowed: str) -> Callable[[object], bool]:
    return lambda value: value in allowed


def _seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _flag(value: object) -> bool:
    return isinstance(value, bool)


CHECKS: dict[str, Callable[[object], bool]] = {
    "ts_unit": _word("s", "ms"),
    "id_case": _word("as_received", "lower"),
    "pay_pix_after_s": lambda value: value is None or _seconds(value),
    "answer_within_s": _seconds,
    "duplicates": lambda value: isinstance(value, int) and _seconds(value),
    "disorder": _flag,
    "test_credentials_notify": _flag,
    "reuse_revokes": _flag,
}


def read_habits(store: Collection) -> Habits:
    """Return the habits in force."""
    return Habits(**(store.get("habits") or {}))


def change_habits(store: Collection, values: dict[str, Any]) -> Habits:
    """Change some habits and return all; :raises Refused: a name is unknown or a value wrong."""
    for name, value in values.items():
        if name not in CHECKS:
            raise Refused(400, {"error": f"unknown setting {name}; known: {', '.join(CHECKS)}"})
        if not CHECKS[name](value):
            raise Refused(400, {"error": f"{name} cannot be {value!r}"})
    changed = asdict(read_habits(store)) | values
    store.put("habits", changed)
    return Habits(**changed)
