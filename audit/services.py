"""
Writing the audit trail.

`record` belongs into the transaction of the action it describes: if the entry cannot be written, the action does not
happen, and an action that is rolled back leaves no entry. What changes nothing else in the database (a sign-in, a
look at a secret) takes `record_alone`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import structlog
from django.db import connection, transaction

from audit.chain import Finding, Head, Verification, link_entries, verify
from audit.models import PLATFORM, ActorKind, AuditEntry
from core.redaction import redact_text
from tenants.context import current_schema
from vault import services as vault

__all__ = [
    "Actor",
    "ActorKind",
    "Finding",
    "Head",
    "OutsideTransaction",
    "Target",
    "Verification",
    "link_entries",
    "record",
    "record_alone",
    "verify",
]

_LABEL_LENGTH = 120


class OutsideTransaction(RuntimeError):
    """An entry was to be recorded outside the transaction of its action, where one could stay without the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts. The label is what other members see in the trail: a display name or a key's prefix."""

    kind: ActorKind
    id: str = ""
    label: str = ""

    @classmethod
    def system(cls, label: str = "system") -> Actor:
        """The platform itself; the label names the sweep, task or command."""
        return cls(kind=ActorKind.SYSTEM, label=label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What was acted upon: the word of DESIGN ("integration", "api_key"), its id and how it is called."""

    kind: str
    id: str
    label: str = ""


def record(
    *,
    action: str,
    actor: Actor,
    target: Target | None = None,
    details: Mapping[str, Any] | None = None,
    organization_schema: str = "",
    request_id: str = "",
    ip_address: str = "",
) -> AuditEntry:
    """
    Add an entry in the caller's transaction; the sweep links it into its chain within seconds.

    :param action: noun.past_participle, such as "credential.rotated"
    :param details: ids, names of fields and keyed digests; what looks like a key is hidden, personal data is refused
        by nobody but you
    :param organization_schema: the entered organization unless given; "public" is the platform
    :param request_id: the current request's unless given
    :param ip_address: kept as a digest that only the organization's key can compute
    :raises OutsideTransaction: no transaction is open
    """
    if not connection.in_atomic_block:
        raise OutsideTransaction(f"{action} must be recorded in the transaction of its action")
    schema = organization_schema or current_schema()
    target = target or Target(kind="", id="")
    return AuditEntry.objects.create(
        organization_schema=None if schema == PLATFORM else schema,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_label=_clean(actor.label)[:_LABEL_LENGTH],
        action=action,
        target_kind=target.kind,
        target_id=target.id,
        target_label=_clean(target.label)[:_LABEL_LENGTH],
        details=_cleaned(dict(details or {})),
        request_id=request_id or _current_request_id(),
        ip_digest=_ip_digest(ip_address, schema),
    )


def record_alone(*, action: str, actor: Actor, **facts: Any) -> AuditEntry:
    """Record what changes nothing else, in a transaction of its own; takes what `record` takes."""
    with transaction.atomic():
        return record(action=action, actor=actor, **facts)


def _current_request_id() -> str:
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


def _ip_digest(ip_address: str, schema: str) -> str:
    if not ip_address:
        return ""
    return vault.keyed_digest(ip_address.encode(), organization_schema=schema, purpose="audit.ip").hex()


def _clean(text: str) -> str:
    """Drop what PostgreSQL cannot store and hide what looks like a key."""
    return redact_text(text.encode("utf-8", "replace").decode().replace("\x00", ""))


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, Mapping):
        return {_clean(cast(str, name)): _cleaned(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_cleaned(item) for item in value]
    return value
