"""What a developer may change about the behavior of the stand-ins, while they run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from sandbox.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Delays in seconds; None means never."""

    sent_after_s: float = 0.15
    delivered_after_s: float = 0.5
    # A message is read when the customer opens the chat. A number here makes every customer read by themselves.
    read_after_s: float | None = None
    template_review_s: float | None = 3.0
    # Meta repeats for seven days with growing gaps; here the same shape within minutes.
    retry_first_s: float = 1.0
    retry_factor: float = 2.0
    retry_longest_s: float = 60.0
    retry_tries: int = 30
    callback_timeout_s: float = 10.0
    # Meta answers some refusals (window closed, not reachable) at once and some by a "failed" status.
    refuse_late: bool = False
    # Zero switches a limit off. The figures are Meta's: 80 messages/s per number, a burst of 45 to one person.
    throughput_per_s: int = 80
    pair_burst: int = 45


class BadSetting(ValueError):
    """The name is unknown or the value has the wrong type."""


def read_settings(store: Store) -> Settings:
    """Return the settings in force."""
    return Settings(**(store.collection("sandbox", "settings").get("settings") or {}))


def change_settings(store: Store, values: dict[str, Any]) -> Settings:
    """Change some settings and return all; :raises BadSetting: a name is unknown or a value no number."""
    known = {field.name: field for field in fields(Settings)}
    for name, value in values.items():
        if name not in known:
            raise BadSetting(f"unknown setting {name}; known: {', '.join(known)}")
        optional = "None" in str(known[name].type)
        if not (isinstance(value, int | float) and value >= 0) and not (value is None and optional):
            raise BadSetting(f"{name} must be a number of 0 or more")
    changed = asdict(read_settings(store)) | values
    store.collection("sandbox", "settings").put("settings", changed)
    return Settings(**changed)
