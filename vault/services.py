"""
The one door of the vault, and the life of its keys.

`open_secrets` and `open_bytes` are the only ways to plaintext. They know nothing of audit: their callers are
`integrations/services/credentials.py` (credentials; it audits), `dispatch` (bodies and routes) and
`integrations/api/idempotency.py` (stored answers).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from django.db import transaction
from django.db.models import Count

from core import clock
from core.secret import Secret, Secrets
from vault import cipher, conf
from vault.cipher import SealBroken, SealContext, token_digest
from vault.keyring import KEYRING, OpenedKeys, unwrap
from vault.keys import BadKeyRing
from vault.models import OrganizationKey, OrganizationKeyQuerySet

__all__ = [
    "PLATFORM",
    "KeysDestroyed",
    "SealBroken",
    "SealContext",
    "check_master_keys",
    "destroy_keys",
    "ensure_key",
    "is_platform_secret_current",
    "keyed_digest",
    "open_bytes",
    "open_platform_secret",
    "open_secrets",
    "rewrap",
    "rotate_organization_key",
    "seal",
    "seal_platform_secret",
    "seal_secrets",
    "sealed_under_latest",
    "token_digest",
]

PLATFORM = "public"
"""The organization_schema of the platform itself: bodies of the platform's webhook URLs."""

_REWRAP_BATCH = 200
"""Keys per transaction of a master rotation: short locks, and a stop costs at most one batch."""


class KeysDestroyed(Exception):
    """The organization was erased; nothing is sealed for it any more."""


def seal(plaintext: bytes, context: SealContext) -> bytes:
    """
    Seal bytes for one place. The organization's first key is made here if it has none.

    :raises KeysDestroyed: the organization was erased
    """
    keys = _keys_to_seal(context.organization_schema)
    if keys.latest is None:
        raise KeysDestroyed(f"the keys of {context.organization_schema} were destroyed")
    return cipher.seal(plaintext, key=keys.by_version[keys.latest], key_version=keys.latest, context=context)


def seal_secrets(values: Mapping[str, str], context: SealContext) -> bytes:
    """Seal the fields of a credential, by field name; empty ones are left out."""
    kept = {name: value for name, value in values.items() if value}
    return seal(json.dumps(kept, separators=(",", ":"), sort_keys=True).encode(), context)


def open_bytes(sealed: bytes | memoryview, context: SealContext) -> bytes:
    """
    Open a sealed body.

    :raises SealBroken: wrong place, changed bytes, unknown or destroyed key
    """
    blob = bytes(sealed)
    version = cipher.key_version_of(blob)
    key = KEYRING.get(context.organization_schema).by_version.get(version)
    if key is None:  # another process rotated the key since we read it
        key = KEYRING.reload(context.organization_schema).by_version.get(version)
    if key is None:
        raise SealBroken
    return cipher.open_sealed(blob, key=key, context=context)


def open_secrets(sealed: bytes | memoryview, context: SealContext) -> Secrets:
    """
    Open the fields of a credential into an object that refuses str, repr, JSON and pickle.

    :raises SealBroken: wrong place, changed bytes, unknown or destroyed key, or not what `seal_secrets` made
    """
    values = _parsed(open_bytes(sealed, context))
    if values is None:
        raise SealBroken
    return Secrets(values)


def sealed_under_latest(sealed: bytes | memoryview, organization_schema: str) -> bool:
    """Tell whether a value is sealed under the organization's newest key; if not, a rotation seals it again."""
    return cipher.key_version_of(bytes(sealed)) == KEYRING.get(organization_schema).latest


def keyed_digest(data: bytes, *, organization_schema: str, purpose: str) -> bytes:
    """
    Return a 32-byte digest that only this organization's key can compute: for bodies, addresses and phone numbers.

    It stays the same when the master key or the organization's key is rotated. Random tokens of ours take
    `token_digest`, which needs no key.

    :raises KeysDestroyed: the organization was erased
    """
    keys = _keys_to_seal(organization_schema)
    if keys.latest is None:
        raise KeysDestroyed(f"the keys of {organization_schema} were destroyed")
    return cipher.keyed_digest(data, key=keys.digest_key, purpose=purpose)


def seal_platform_secret(value: str, *, label: str) -> bytes:
    """Seal one secret of the platform itself; the label names its place ("oauth_app:<id>:client_secret")."""
    return conf.platform_keys().seal(value.encode(), label=label)


def open_platform_secret(sealed: bytes | memoryview, *, label: str) -> Secret:
    """
    Open what `seal_platform_secret` sealed for the same label.

    :raises SealBroken: another label, an unknown key or changed bytes
    """
    return Secret(conf.platform_keys().open(bytes(sealed), label=label).decode())


def is_platform_secret_current(sealed: bytes | memoryview) -> bool:
    """Tell whether the first key of PLATFORM_KEYS sealed this value; if not, seal it again before dropping the old."""
    return conf.platform_keys().is_current(bytes(sealed))


def ensure_key(organization_schema: str) -> None:
    """Give an organization its first key if it never had one; safe to repeat and to race."""
    rows = OrganizationKey.objects.using(conf.key_database())
    if not rows.filter(organization_schema=organization_schema).exists():
        rows.bulk_create([_new_row(organization_schema, version=1)], ignore_conflicts=True)
    KEYRING.forget(organization_schema)


def rotate_organization_key(organization_schema: str) -> int:
    """
    Make a new key version that seals from now on, and return it; older versions still open what they sealed.

    Other processes go on sealing under the older version for at most five minutes.

    :raises KeysDestroyed: the organization was erased
    """
    ensure_key(organization_schema)
    alias = conf.key_database()
    with transaction.atomic(using=alias):
        rows = OrganizationKey.objects.using(alias).select_for_update()
        last = rows.filter(organization_schema=organization_schema).order_by("-version")[0]
        if last.destroyed_at is not None:
            raise KeysDestroyed(f"the keys of {organization_schema} were destroyed")
        _new_row(organization_schema, version=last.version + 1).save(using=alias, force_insert=True)
    KEYRING.forget(organization_schema)
    return last.version + 1


def rewrap() -> Iterator[int]:
    """
    Wrap every organization key under the current master key; yield how many each batch did.

    Resumable: what is done is not seen again. Sealed values are not touched.

    :raises BadKeyRing: a key is wrapped under a master key that is not in the ring
    """
    check_master_keys()
    while _waiting_for_rewrap().exists():
        yield _rewrap_batch()


def destroy_keys(organization_schema: str) -> int:
    """
    Destroy all key versions of an organization and return how many.

    Everything sealed under them is unreadable from then on, in other processes after five minutes at most and in
    backups when the last copy of this table is gone (kept 7 days).
    """
    rows = OrganizationKey.objects.using(conf.key_database()).live()
    destroyed = rows.filter(organization_schema=organization_schema).update(wrapped=b"", destroyed_at=clock.now())
    KEYRING.forget(organization_schema)
    return destroyed


def check_master_keys() -> None:
    """
    Prove that the master keys at hand open what is stored, one key for each master id.

    :raises BadKeyRing: a needed master key is missing, or its id stands before other bytes
    """
    live = OrganizationKey.objects.using(conf.key_database()).live()
    for use in live.values("master_id").annotate(keys=Count("pk")).order_by("master_id"):
        master_id = use["master_id"]
        if not conf.master_keys().has(master_id):
            raise BadKeyRing(
                f"MASTER_KEYS lacks the key {master_id!r}, which {use['keys']} organization keys need: "
                "put it back behind the current one, then run rotate_master_key before you drop it."
            )
        try:
            unwrap(live.filter(master_id=master_id).order_by("pk")[0])
        except SealBroken:
            raise BadKeyRing(
                f"MASTER_KEYS holds another key under the id {master_id!r} than the one in use: put the old one back."
            ) from None


def _keys_to_seal(organization_schema: str) -> OpenedKeys:
    keys = KEYRING.get(organization_schema)
    if keys.latest is None and not keys.was_destroyed:
        ensure_key(organization_schema)
        keys = KEYRING.reload(organization_schema)
    return keys


def _new_row(organization_schema: str, *, version: int) -> OrganizationKey:
    stored = conf.master_keys().wrap(cipher.new_key(), organization_schema=organization_schema, version=version)
    return OrganizationKey(
        organization_schema=organization_schema,
        version=version,
        wrapped=stored.wrapped,
        master_id=stored.master_id,
    )


def _waiting_for_rewrap() -> OrganizationKeyQuerySet:
    live = OrganizationKey.objects.using(conf.key_database()).live()
    return live.exclude(master_id=conf.master_keys().current_id)


def _rewrap_batch() -> int:
    alias, provider = conf.key_database(), conf.master_keys()
    with transaction.atomic(using=alias):
        rows = list(_waiting_for_rewrap().select_for_update().order_by("pk")[:_REWRAP_BATCH])
        for row in rows:
            stored = provider.wrap(unwrap(row), organization_schema=row.organization_schema, version=row.version)
            row.wrapped, row.master_id = stored.wrapped, stored.master_id
        OrganizationKey.objects.using(alias).bulk_update(rows, ["wrapped", "master_id"])
    return len(rows)


def _parsed(plaintext: bytes) -> dict[str, str] | None:
    """Parse the fields of a credential; None instead of an error, whose context would hold the plaintext."""
    try:
        values = json.loads(plaintext)
    except ValueError:
        return None
    is_flat = isinstance(values, dict) and all(isinstance(value, str) for value in values.values())
    return values if is_flat else None
