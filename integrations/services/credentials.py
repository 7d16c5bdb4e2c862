"""
Sealing and opening credentials. `open_for` is the only way to an integration's plaintext.

People's purposes write an audit entry in the same transaction or nothing opens; machines' purposes are counted
per credential, purpose and hour.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

import structlog
from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from redis import Redis, RedisError

import vault.services as vault
from audit.services import Actor, Target, record
from core import clock
from core.secret import Secrets
from integrations.contract import Misconfigured
from integrations.models import Credential, Integration
from tenants.context import require_organization
from vault.services import SealBroken, SealContext

log = structlog.get_logger(__name__)

FIELD = "credential"
COUNTED_FOR_S = 2 * 24 * 3600
"""How long the counts of openings stay."""

SHOWN_FROM_LENGTH = 12
"""Of a shorter secret four characters would be too much."""


class Purpose(StrEnum):
    """Why a credential is opened."""

    REVEAL = "reveal"
    EXPORT = "export"
    CONNECT = "connect"
    ROTATE = "rotate"
    VERIFY = "verify"
    CALL = "call"
    CHECK = "check"
    REFRESH = "refresh"


OF_PEOPLE = frozenset({Purpose.REVEAL, Purpose.EXPORT, Purpose.CONNECT, Purpose.ROTATE})
"""Purposes that write an audit entry each time."""


def open_for(integration: Integration, purpose: Purpose, *, actor: Actor | None = None) -> Secrets:
    """
    Open the current credential of an integration.

    :raises Misconfigured: there is none; the integration must be connected again
    :raises ValueError: a person's purpose without an actor
    """
    credential = require_current(integration)
    if purpose in OF_PEOPLE:
        if actor is None:
            raise ValueError(f"opening for {purpose} needs an actor")
        with transaction.atomic():
            record(
                action="credential.opened",
                actor=actor,
                target=audit_target(integration),
                details={"purpose": purpose.value, "version": credential.version},
            )
            return _open(integration, credential)
    _count(credential, purpose)
    return _open(integration, credential)


def open_loaded(credential: Credential, purpose: Purpose) -> Secrets:
    """
    Open a credential that was read with its integration.

    :raises ValueError: a person's purpose; those open with an audit entry
    :raises SealBroken: its bytes are not what was sealed
    """
    if purpose in OF_PEOPLE:
        raise ValueError(f"{purpose} is a person's purpose")
    _count(credential, purpose)
    return _open(credential.integration, credential)


def open_many(credentials: Sequence[Credential], purpose: Purpose) -> Iterator[tuple[Credential, Secrets]]:
    """
    Open credentials that were read with their integrations, for machines that work on many at once.

    What is broken is left out and logged.

    :raises ValueError: a person's purpose; those open one by one, with an audit entry
    """
    if purpose in OF_PEOPLE:
        raise ValueError(f"{purpose} is a person's purpose")
    _count_many(credentials, purpose)
    for credential in credentials:
        try:
            yield credential, _open(credential.integration, credential)
        except SealBroken:
            log.exception("credential.broken", integration=str(credential.integration_id))


def require_current(integration: Integration) -> Credential:
    """
    Return the credential that serves now.

    :raises Misconfigured: there is none; the integration must be connected again
    """
    credential = integration.current_credential
    if credential is None or credential.sealed is None:
        raise Misconfigured("no current credential", next_action="Reconnect the account: its credential was destroyed.")
    return credential


def open_previous(integration: Integration, version: int) -> Secrets | None:
    """Open a replaced version for its retirement at the vendor; nothing when its secrets are forgotten."""
    credential = integration.credentials.filter(version=version, state=Credential.State.PREVIOUS).first()
    if credential is None:
        return None
    _count(credential, Purpose.CALL)
    return _open(integration, credential)


def store(integration: Integration, values: Mapping[str, str], *, expires_at: datetime | None = None) -> Credential:
    """
    Seal a new version and let it serve; the one before stays as `previous`. Runs in the caller's transaction.

    Only fields of the spec are kept: an instance's secrets may hold those of an OAuth app as well.
    """
    last = integration.credentials.order_by("-version").first()
    for old in integration.credentials.filter(state=Credential.State.CURRENT):
        old.mark_previous()
        old.save(update_fields=["state"])
    version = (last.version if last else 0) + 1
    fields = {item.name for item in integration.provider_class.spec.credentials}
    kept = {name: value for name, value in values.items() if value and name in fields}
    main = _main_value(integration, kept)
    return Credential.objects.create(
        integration=integration,
        version=version,
        sealed=vault.seal_secrets(kept, _place(integration, version)),
        fields=sorted(kept),
        fingerprint=hashlib.sha256(f"{integration.id}:{main}".encode()).hexdigest()[:16],
        last4=main[-4:] if len(main) >= SHOWN_FROM_LENGTH else "",
        expires_at=expires_at,
    )


def destroy_all(integration: Integration) -> int:
    """Forget every version's secrets; return how many there were."""
    destroyed = 0
    for credential in integration.credentials.exclude(state=Credential.State.DESTROYED):
        _destroy(credential)
        destroyed += 1
    return destroyed


def destroy_version(integration: Integration, version: int) -> None:
    """Forget the secrets of one version that was replaced; the current one is not touched."""
    for credential in integration.credentials.filter(version=version, state=Credential.State.PREVIOUS):
        _destroy(credential)


def audit_target(integration: Integration) -> Target:
    """Name an integration in the audit trail."""
    return Target(kind="integration", id=str(integration.id), label=integration.name)


def _destroy(credential: Credential) -> None:
    credential.mark_destroyed()
    credential.save(update_fields=["state", "sealed", "destroyed_at"])


def _open(integration: Integration, credential: Credential) -> Secrets:
    return vault.open_secrets(bytes(credential.sealed or b""), _place(integration, credential.version))


def _place(integration: Integration, version: int) -> SealContext:
    return SealContext(
        organization_schema=require_organization(), owner=str(integration.id), field=FIELD, version=version
    )


def _main_value(integration: Integration, values: Mapping[str, str]) -> str:
    """Pick the field that the fingerprint and the last four characters stand for: the first required secret."""
    fields = integration.provider_class.spec.credentials
    ordered = [*(item.name for item in fields if item.required), *(item.name for item in fields)]
    return next((values[name] for name in ordered if name in values), "")


def _count(credential: Credential, purpose: Purpose) -> None:
    key = _counter(credential, purpose)
    try:
        cache.add(key, 0, timeout=COUNTED_FOR_S)
        cache.incr(key)
    except (RedisError, ValueError):
        return  # the count is an indication; without Redis the call still works


def _count_many(credentials: Iterable[Credential], purpose: Purpose) -> None:
    """Count as `_count` does, in one round trip: the cache's own way takes three for each credential."""
    with contextlib.suppress(RedisError), _redis(os.getpid()).pipeline(transaction=False) as pipeline:
        for credential in credentials:
            key = cache.make_key(_counter(credential, purpose))
            pipeline.incr(key)
            pipeline.expire(key, COUNTED_FOR_S)
        pipeline.execute()


def _counter(credential: Credential, purpose: Purpose) -> str:
    return f"opened:{credential.id}:{purpose}:{clock.now():%Y%m%d%H}"


@functools.cache
def _redis(pid: int) -> Redis:
    """Return this process's own client of the cache's server; sockets do not survive a fork."""
    return Redis.from_url(str(settings.CACHES["default"]["LOCATION"]), socket_timeout=2, socket_connect_timeout=2)
