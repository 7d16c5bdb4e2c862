"""
Why a payment is what it is, for a page: its claims rung by rung, and what happened in the order of time.

Words for each rung are ours; the ladder's own detail, which may hold amounts and accounts, stands beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.models import AuditEntry
from billing.admin.words import TONES, money, reason_of
from billing.models import Dispute, Evidence, Origin, Payment, Refund, Rung
from billing.models.payments import PaymentStatusChoices
from integrations.models import Event
from tenants.context import require_organization

SHOWN_CLAIMS = 30
SHOWN_ACTS = 50

_WORDS: Mapping[tuple[str, bool], Any] = {
    ("received", True): gettext_lazy("It was received."),
    ("signature", True): gettext_lazy("It is signed by the provider."),
    ("signature", False): gettext_lazy("It is not signed by the provider."),
    ("account", True): gettext_lazy("It belongs to this account and environment."),
    ("account", False): gettext_lazy("It belongs to another account or environment."),
    ("confirmed", True): gettext_lazy("The provider itself confirmed it."),
    ("confirmed", False): gettext_lazy("The provider has not confirmed it."),
    ("amount", True): gettext_lazy("The amount is what was asked, or no money is claimed."),
    ("amount", False): gettext_lazy("The amount is not what was asked."),
}
"""Rung, and whether the claim stands on it -> words."""

_NOT_REACHED = gettext_lazy("Not looked at.")

_ACTS: Mapping[str, tuple[str, Any]] = {
    "payment.created": ("add_card", gettext_lazy("%(who)s asked the provider for this payment.")),
    "payment.cancel_requested": ("cancel", gettext_lazy("%(who)s asked the provider to cancel it.")),
    "refund.created": ("undo", gettext_lazy("%(who)s gave money back: %(what)s.")),
}
"""Audit action -> icon and sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRung:
    """One rung: `is_ok` is None where the claim never came so far."""

    label: str
    is_ok: bool | None
    words: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownClaim:
    """One claim with its five rungs; `event` is the webhook's, where it is still kept."""

    evidence: Evidence
    rungs: tuple[ShownRung, ...]
    note: str
    claimed: str
    moved_to: str
    event: Event | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One line of the timeline."""

    at: datetime
    icon: str
    text: str
    tone: str = "muted"
    detail: str = ""


def claims_of(payment: Payment) -> list[ShownClaim]:
    """Return the newest claims about a payment, the latest first; two queries."""
    return shown_claims(list(Evidence.objects.filter(payment=payment).order_by("-id")[:SHOWN_CLAIMS]))


def shown_claims(rows: Sequence[Evidence]) -> list[ShownClaim]:
    """Put claims into words, with the events that brought them."""
    ids = {found for row in rows if (found := _uuid(row.source_id)) is not None}
    events = {str(event.pk): event for event in Event.objects.filter(pk__in=ids).defer("data", "raw")}
    return [_claim(row, events.get(row.source_id)) for row in rows]


def timeline(payment: Payment) -> list[Moment]:
    """Return what happened to a payment, the latest first."""
    parts = (_acts(payment), _moves(payment), _refunds(payment), _disputes(payment), _ends(payment))
    return sorted((moment for part in parts for moment in part), key=lambda moment: moment.at, reverse=True)


def status_label(status: str) -> str:
    """Return a payment's status in words; what a vendor claims of other objects stays."""
    return str(dict(PaymentStatusChoices.choices).get(status, status))


def _claim(row: Evidence, event: Event | None) -> ShownClaim:
    steps = {str(step.get("rung")): step for step in row.rungs}
    note = next((str(step["note"]) for step in row.rungs if step.get("note")), "")
    return ShownClaim(
        evidence=row,
        rungs=tuple(_rung(rung, steps.get(rung.value)) for rung in Rung),
        note=_(note) if note else "",
        claimed=status_label(row.claimed_status),
        moved_to=status_label(row.moved_to) if row.moved_to else "",
        event=event,
    )


def _rung(rung: Rung, step: Mapping[str, Any] | None) -> ShownRung:
    if step is None:
        return ShownRung(label=str(rung.label), is_ok=None, words=str(_NOT_REACHED))
    is_ok, detail = bool(step.get("ok")), str(step.get("detail") or "")
    words = str(_WORDS.get((rung.value, is_ok), ""))
    return ShownRung(label=str(rung.label), is_ok=is_ok, words=words, detail=_(detail) if detail else "")


def _acts(payment: Payment) -> Iterator[Moment]:
    """What people and programs asked for, from the audit trail."""
    entries = AuditEntry.objects.filter(
        organization_schema=require_organization(), target_kind="payment", target_id=str(payment.pk)
    )
    for entry in entries.order_by("-created_at")[:SHOWN_ACTS]:
        icon, text = _ACTS.get(entry.action, ("history", entry.action))
        amount = _amount_in(entry.target_label)
        who = entry.actor_label or entry.get_actor_kind_display()
        yield Moment(at=entry.created_at, icon=icon, text=str(text) % {"who": who, "what": amount})


def _moves(payment: Payment) -> Iterator[Moment]:
    """What claims made of it, and claims that were refused."""
    rows = Evidence.objects.filter(payment=payment).order_by("-id")[:SHOWN_CLAIMS]
    for row in rows:
        source = row.get_source_display()
        if row.moved_to:
            text = _("It became: %(status)s") % {"status": status_label(row.moved_to)}
            yield Moment(at=row.at, icon="trending_flat", text=text, tone=TONES.get(row.moved_to, "muted"),
                         detail=source)  # fmt: skip
        elif not row.is_believed:
            text = _("A claim was not believed: %(status)s") % {"status": status_label(row.claimed_status)}
            yield Moment(at=row.at, icon="gpp_bad", text=text, tone="bad", detail=source)


def _refunds(payment: Payment) -> Iterator[Moment]:
    rows: Iterable[Refund] = payment.refunds.order_by("-id")
    for row in rows:
        values = {"amount": money(row.amount_minor, row.currency), "status": row.get_status_display()}
        detail = reason_of(row.error) or row.reason
        yield Moment(at=row.vendor_at or row.created_at, icon="undo", tone=TONES.get(row.status, "muted"),
                     text=_("Refund of %(amount)s: %(status)s") % values, detail=detail)  # fmt: skip


def _disputes(payment: Payment) -> Iterator[Moment]:
    rows: Iterable[Dispute] = payment.disputes.order_by("-id")
    for row in rows:
        values = {"amount": money(row.amount_minor, row.currency), "status": row.get_status_display()}
        yield Moment(at=row.vendor_at or row.created_at, icon="gavel", tone="bad",
                     text=_("Dispute over %(amount)s: %(status)s") % values, detail=row.reason)  # fmt: skip


def _ends(payment: Payment) -> Iterator[Moment]:
    """Where it began, where it was not asked for here, and the times that the vendor names."""
    if payment.origin == Origin.VENDOR:
        text = _("It was seen at the provider for the first time; nobody asked for it here.")
        yield Moment(at=payment.created_at, icon="visibility", text=text)
    if payment.paid_at:
        text = _("The provider says that the money came.")
        yield Moment(at=payment.paid_at, icon="payments", text=text, tone="good")
    if payment.expires_at:
        yield Moment(at=payment.expires_at, icon="timer", text=_("End of the time to pay."))


def _amount_in(label: str) -> str:
    """Read the "1990 BRL" of an audit entry's label as money; other labels stay."""
    amount, _space, currency = label.partition(" ")
    return money(int(amount), currency) if amount.isdecimal() and currency else label


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def failed_rung(row: Evidence) -> ShownRung:
    """Return the rung on which a claim failed; of one that was not weighed for another reason, the last."""
    step = next((step for step in row.rungs if not step.get("ok")), row.rungs[-1] if row.rungs else None)
    found = Rung(step["rung"]) if step and step.get("rung") in Rung.values else Rung.RECEIVED
    return _rung(found, step)
