"""Read what Meta posts: one pass over entries and changes, parts by account key, keys by digest."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from integrations.contract import InboundRequest, UnexpectedResponse, read_json_object

LONGEST_KEY = 200
"""Keys are indexed; a longer one, which no documented id makes, is replaced by its digest."""

MILLISECONDS_FROM = 100_000_000_000
"""Meta counts seconds on some pages and milliseconds on others; seconds reach this in the year 5138."""

PART_OF = "part_of"
"""In a part of a split body: the digest of the whole, so that keys made from the body stay the same."""

_WHITESPACE_FREE = (",", ":")

AccountKeyOf = Callable[[str, Mapping[str, Any], Mapping[str, Any]], str]
"""(object, entry, value) -> account key"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One `entry[].changes[]`, or a whole entry of an object that has none."""

    object: str
    entry_id: str
    time: Any
    field: str
    value: Mapping[str, Any]
    account_key: str
    body_digest: str

    def digest(self, part: Any = None) -> str:
        """Make a key for a fact without an id: over entry, time, field and the value or a part of it."""
        return digest([self.entry_id, self.time, self.field, self.value if part is None else part])


def walk(tree: Mapping[str, Any], *, body: bytes, account_key: AccountKeyOf) -> Iterator[Change]:
    """
    Yield every change of every entry, in the vendor's order.

    :raises UnexpectedResponse: `entry` is there but is no list of objects
    """
    name = text(tree.get("object"))
    whole = text(tree.get(PART_OF)) or hashlib.sha256(body).hexdigest()
    if "entry" not in tree:
        yield _change(name, {}, {"field": "", "value": tree}, account_key=lambda *_: "", whole=whole)
        return
    for entry in _entries(tree):
        for item in _changes(entry):
            yield _change(name, entry, item, account_key=account_key, whole=whole)


def split_body(request: InboundRequest, *, account_key: AccountKeyOf) -> dict[str, InboundRequest]:
    """
    Cut a body by account key; a part holds its own changes in their order and reads like a body of Meta.

    The signature headers stay although they no longer fit: a part is never verified again.
    """
    tree = read_json_object(request.body)
    whole = hashlib.sha256(request.body).hexdigest()
    if "entry" not in tree:
        return {"": request}
    parts: dict[str, list[dict[str, Any]]] = {}
    for entry in _entries(tree):
        for key, part in _cut(entry, name=text(tree.get("object")), account_key=account_key).items():
            parts.setdefault(key, []).append(part)
    head = {name: item for name, item in tree.items() if name not in ("entry", PART_OF)}
    return {
        key: replace(request, body=_dump({**head, PART_OF: text(tree.get(PART_OF)) or whole, "entry": entries}))
        for key, entries in parts.items()
    }


def digest(value: Any) -> str:
    """Make the SHA-256 of a JSON value, independent of the order of names."""
    return hashlib.sha256(_dump(value, sort_keys=True)).hexdigest()


def bounded(key: str) -> str:
    """Return a key as it is, or its digest when it is too long for an index."""
    return key if len(key) <= LONGEST_KEY else digest(key)


def text(value: Any) -> str:
    """Read an id or a text: numbers become text, anything else the empty text."""
    if isinstance(value, bool):
        return ""
    return str(value) if isinstance(value, str | int) else ""


def obj(value: Any) -> Mapping[str, Any]:
    """Read an object; anything else is an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> Sequence[Any]:
    """Read a list; anything else is an empty one."""
    return value if isinstance(value, list) else ()


def moment(value: Any) -> datetime | None:
    """Read Unix seconds or milliseconds, number or text; what cannot be a time is None."""
    digits = text(value)
    if not re.fullmatch(r"[0-9]{1,14}", digits):
        return None
    seconds = int(digits) / 1000 if int(digits) >= MILLISECONDS_FROM else int(digits)
    return datetime.fromtimestamp(seconds, UTC)


def _entries(tree: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    entries = tree["entry"]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UnexpectedResponse("`entry` of the webhook's body is no list of objects")
    return entries


def _changes(entry: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The changes of an entry; an entry without any is one change without a field."""
    if not _has_changes(entry):
        return [{"value": {name: item for name, item in entry.items() if name not in ("id", "time")}}]
    return [item if isinstance(item, dict) else {"value": {"item": item}} for item in entry["changes"]]


def _has_changes(entry: Mapping[str, Any]) -> bool:
    return isinstance(entry.get("changes"), list) and bool(entry["changes"])


def _value(change: Mapping[str, Any]) -> Mapping[str, Any]:
    """The value of a change; some objects put its members beside `field` instead."""
    value = change.get("value")
    if isinstance(value, dict):
        return value
    return {name: item for name, item in change.items() if name != "field"}


def _change(
    name: str, entry: Mapping[str, Any], item: Mapping[str, Any], *, account_key: AccountKeyOf, whole: str
) -> Change:
    value = _value(item)
    return Change(
        object=name,
        entry_id=text(entry.get("id")),
        time=entry.get("time"),
        field=text(item.get("field")),
        value=value,
        account_key=account_key(name, entry, value),
        body_digest=whole,
    )


def _cut(entry: Mapping[str, Any], *, name: str, account_key: AccountKeyOf) -> dict[str, dict[str, Any]]:
    """Cut one entry into one per account key."""
    if not _has_changes(entry):
        return {account_key(name, entry, _value(_changes(entry)[0])): dict(entry)}
    head = {member: item for member, item in entry.items() if member != "changes"}
    parts: dict[str, dict[str, Any]] = {}
    for change in _changes(entry):
        key = account_key(name, entry, _value(change))
        parts.setdefault(key, {**head, "changes": []})["changes"].append(change)
    return parts


def _dump(value: Any, *, sort_keys: bool = False) -> bytes:
    return json.dumps(value, separators=_WHITESPACE_FREE, sort_keys=sort_keys, allow_nan=False).encode("ascii")
