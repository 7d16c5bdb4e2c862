"""Make events of one change: the frame that all readers fill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels_app.contract import EventType, UnknownData
from channels_app.providers._meta_json import LONGEST_KEY, Change, bounded, moment, text
from integrations.contract import InboundEvent


def make_event(
    change: Change,
    kind: EventType,
    *,
    key: str,
    data: Mapping[str, Any],
    raw: Mapping[str, Any],
    object_key: str = "",
    external_id: str = "",
    time: Any = None,
) -> InboundEvent:
    """Make an event of a change; `time` is the item's own, the entry's serves when it has none."""
    return InboundEvent(
        type=kind.value,
        key=bounded(key),
        account_key=change.account_key,
        occurred_at=moment(time) or moment(change.time),
        data=data,
        raw=raw,
        object_key=bounded(object_key),
        external_id=external_id,
    )


def make_unknown(change: Change) -> InboundEvent:
    """A field or object we have no word for; user grants are keyed as Meta names them: user, field, verb, time."""
    verb = text(change.value.get("verb"))
    return make_event(
        change,
        EventType.UNKNOWN,
        key=f"{change.account_key}:{change.field}:{verb}:{text(change.time)}" if verb else f"unknown:{change.digest()}",
        data=UnknownData(object=change.object, field=change.field, value=change.value),
        raw=change.value,
    )


def make_unreadable(change: Change, item: Any) -> InboundEvent:
    """An item without the id or shape its list promises: kept as unknown, beside its readable neighbors."""
    return make_event(
        change,
        EventType.UNKNOWN,
        key=f"unknown:{change.digest([item])}",
        data=UnknownData(object=change.object, field=change.field, value=item),
        raw={"item": item},
    )


def is_key(value: str) -> bool:
    """Whether a vendor's id can be stored and indexed as it is."""
    return 0 < len(value) <= LONGEST_KEY
