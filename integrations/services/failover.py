"""
Moving outside work to a second integration of the same kind, where the kind of work allows it.

What may have happened at the first vendor must not happen again at the second: unless a kind says otherwise, work moves
only while no call was made for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_noop

from audit.services import Actor, Target, record
from core import clock
from dispatch.models import Link, LinkStatus, OutboxEntry, OutboxStatus
from dispatch.vendors import vendor_state
from dispatch.waker import wake
from integrations import registry
from integrations.contract import ProviderError
from integrations.models import Integration
from integrations.services.entries import tries_of
from notifications.services import notify
from tenants.context import require_organization

GOES_ON = gettext_noop("Nothing to do: the work goes on through %(second)s.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one kind of work says of failover; see `OutboxHandler`."""

    on: frozenset[str] = frozenset()
    after_attempt: bool = False
    capability: type | None = None


def rule_of(handler: Any) -> Rule:
    """Read what a handler says; one that says nothing never fails over."""
    return Rule(
        on=getattr(handler, "fails_over_on", frozenset()),
        after_attempt=getattr(handler, "after_attempt", False),
        capability=getattr(handler, "capability", None),
    )


def move(entry: OutboxEntry, first: Integration, error: ProviderError, *, rule: Rule, was_called: bool) -> bool:
    """
    Move a claimed entry to its second integration if its kind allows that after this error; return whether it moved.

    :param was_called: a call may have left for the vendor this time
    """
    if error.name not in rule.on or not (rule.after_attempt or _is_untouched(entry, was_called=was_called)):
        return False
    second = _usable(entry, first, rule)
    if second is None:
        return False
    with transaction.atomic():
        if not _moved(entry, first, second, error):
            return False
        record(
            action="outbox_entry.failed_over",
            actor=Actor.system("outbox"),
            target=Target(kind="outbox_entry", id=str(entry.id), label=entry.kind),
            details={"from": str(first.pk), "to": str(second.pk), "error": error.name},
        )
        notify(
            kind="outbox.failed_over",
            title=first.name,
            text=error.message,
            next_action=GOES_ON,
            details={"second": second.label},
            target=("integration", first.pk),
        )
        transaction.on_commit(lambda: wake("outbound"))
    return True


def _is_untouched(entry: OutboxEntry, *, was_called: bool) -> bool:
    """Whether certainly no call was made: no try before, no worker that died over it, no intent."""
    return not was_called and entry.intent_at is None and entry.crashes == 0 and tries_of(entry) == 1


def _usable(entry: OutboxEntry, first: Integration, rule: Rule) -> Link | None:
    """Return the second integration if it is this organization's, of the same environment and category, and well."""
    second = Link.objects.filter(
        pk__in=[entry.failover_link_id],
        organization_schema=require_organization(),
        environment=first.environment,
        category=first.category,
        status=LinkStatus.ACTIVE,
    ).first()
    if second is None or vendor_state(second.provider).has_incident:
        return None
    provider = registry.find(second.provider)
    is_able = provider is not None and (rule.capability is None or issubclass(provider, rule.capability))
    return second if is_able else None


def _moved(entry: OutboxEntry, first: Integration, second: Link, error: ProviderError) -> bool:
    ours = OutboxEntry.objects.filter(id=entry.id, lease_id=entry.lease_id, status=OutboxStatus.WORKING)
    changed = ours.update(
        status=OutboxStatus.WAITING,
        link_id=second.pk,
        failover_link_id=None,
        failed_over_from=first.pk,
        attempts=0,
        crashes=0,
        intent_at=None,
        next_attempt_at=clock.now(),
        not_before=None,  # claims read what holds the second
        leased_until=None,
        lease_id=None,
        error_class=error.name,
        error_text=error.message,
    )
    return changed == 1
