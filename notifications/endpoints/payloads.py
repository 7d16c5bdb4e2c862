"""What an event says: composed from the object when it is told, so that personal data lives in one place."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from core import clock
from notifications.endpoints.models import PublishedEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """The object of an event as the API shows it, and whose environment it is."""

    environment: str
    data: Mapping[str, Any]


Composer = Callable[[Sequence[PublishedEvent]], Mapping[UUID, Payload]]
"""
Composes the payloads of events of the types it is named for, by the event's id; one query however many they are.

An event whose object is gone is left out. An app names it in its `handlers` under "payloads", by type.
"""


def body_of(event: PublishedEvent, data: Mapping[str, Any]) -> bytes:
    """Return the bytes that are signed and sent; times, ids and amounts are texts and numbers as in the API."""
    said = {"type": event.type, "timestamp": clock.iso(event.occurred_at), "data": data}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"), default=str).encode()
