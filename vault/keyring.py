"""
The opened keys of organizations, kept in this process for a short time.

Without it every seal and every webhook would cost one more query and one more unwrapping. Five minutes is how long a
destroyed key may go on opening in a process that had it (RELIABILITY section 5.7 counts on that bound).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from core import clock
from vault import cipher, conf
from vault.keys import Wrapped
from vault.models import OrganizationKey

KEPT_FOR = timedelta(minutes=5)
MOST_ORGANIZATIONS = 4096
"""Entries of about 1 KB, so at most 4 MB; a platform with more active organizations per process reads keys again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedKeys:
    """All live keys of one organization, by version. `latest` is None when it has none."""

    by_version: Mapping[int, bytes] = field(repr=False)
    digest_key: bytes = field(repr=False)
    latest: int | None
    was_destroyed: bool
    loaded_at: datetime
    expires_at: datetime


class Keyring:
    """A cache of opened keys by organization; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, OpenedKeys] = OrderedDict()

    def get(self, organization_schema: str) -> OpenedKeys:
        """
        Return an organization's keys, at most `KEPT_FOR` old.

        :raises cipher.SealBroken: a key cannot be unwrapped with the master keys at hand
        """
        opened = self._entries.get(organization_schema)
        if opened is not None and opened.loaded_at <= clock.now() < opened.expires_at:
            return opened
        return self.reload(organization_schema)

    def reload(self, organization_schema: str) -> OpenedKeys:
        """Read an organization's keys from the database and keep them."""
        opened = _load(organization_schema)
        with self._lock:
            self._entries[organization_schema] = opened
            self._entries.move_to_end(organization_schema)
            while len(self._entries) > MOST_ORGANIZATIONS:
                self._entries.popitem(last=False)
        return opened

    def forget(self, organization_schema: str | None = None) -> None:
        """Drop one organization's keys, or all."""
        with self._lock:
            if organization_schema is None:
                self._entries.clear()
            else:
                self._entries.pop(organization_schema, None)

    def __len__(self) -> int:
        return len(self._entries)


KEYRING = Keyring()
"""The keyring of this process."""


def unwrap(row: OrganizationKey) -> bytes:
    """
    Unwrap one stored key.

    :raises cipher.SealBroken: unknown master key, another row, changed bytes
    """
    return conf.master_keys().unwrap(
        Wrapped(master_id=row.master_id, wrapped=bytes(row.wrapped)),
        organization_schema=row.organization_schema,
        version=row.version,
    )


def _load(organization_schema: str) -> OpenedKeys:
    rows = list(
        OrganizationKey.objects.using(conf.key_database())
        .filter(organization_schema=organization_schema)
        .order_by("version")
    )
    live = [row for row in rows if row.destroyed_at is None]
    by_version = {row.version: unwrap(row) for row in live}
    now = clock.now()
    return OpenedKeys(
        by_version=by_version,
        # The oldest key, so that digests stay comparable when the organization's key is rotated.
        digest_key=cipher.digest_key(by_version[live[0].version]) if live else b"",
        latest=live[-1].version if live else None,
        was_destroyed=bool(rows) and not live,
        loaded_at=now,
        expires_at=now + KEPT_FOR,
    )
