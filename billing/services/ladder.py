"""
The ladder of trust: what a claim about a payment must stand on before it is believed.

received → signature → account → confirmed → amount. A claim is what a vendor's object says, however it came; each is
kept as `Evidence` with how far it got. Only a claim on the last rung may say that money came.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.contract import PaymentState, PaymentStatus, VendorState
from billing.models import Evidence, Payment, Rung, Source
from billing.models.base import LONGEST_ID
from core.money import decimal_text
from integrations.models import Integration

MONEY_IN = frozenset(
    {
        PaymentStatus.SUCCEEDED,
        PaymentStatus.PARTIALLY_REFUNDED,
        PaymentStatus.REFUNDED,
        PaymentStatus.CHARGED_BACK,
    }
)
"""States that say that the payer's money came; from one of them a payment only moves to another of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """
    What a vendor's object says, and how that came to us.

    :param is_signed: it came in a delivery whose signature was verified
    :param signs_body: that signature covers the body, not only an id in it
    :param is_fetched: it was read from the vendor's API with the integration's own credential
    :param asked_at: when it was asked for, where that is known
    """

    integration: Integration
    state: VendorState
    source: Source
    source_id: str = ""
    is_signed: bool = False
    signs_body: bool = False
    is_fetched: bool = False
    asked_at: datetime | None = None

    @property
    def is_word_now(self) -> bool:
        """Whether it is the vendor's answer to our question of what is now: to ask again would say the same."""
        return self.is_fetched and self.source in (Source.QUERY, Source.RECONCILIATION)


@dataclass(frozen=True, slots=True)
class Step:
    """One rung: whether the claim stands on it, and why."""

    rung: Rung
    ok: bool
    detail: str


def climb(claim: Claim) -> list[Step]:
    """Return the rungs that need no payment of ours, up to the first on which the claim fails."""
    steps: list[Step] = []
    for look in (_received, _signature, _account, _confirmed):
        steps.append(look(claim))
        if not steps[-1].ok:
            break
    return steps


def weigh(state: PaymentState, payment: Payment) -> Step:
    """Compare the money that came with what was asked; a claim that no money came has nothing to compare."""
    if state.status not in MONEY_IN:
        return Step(Rung.AMOUNT, True, "no money is said to have come")
    asked = f"{decimal_text(payment.amount_minor, payment.currency)} {payment.currency}"
    came = f"{decimal_text(state.amount_received_minor, state.currency)} {state.currency}"
    if state.currency == payment.currency and state.amount_received_minor == payment.amount_minor:
        return Step(Rung.AMOUNT, True, f"{came} came, as asked")
    return Step(Rung.AMOUNT, False, f"{asked} was asked, {came} came")


def stands(steps: list[Step]) -> bool:
    """Whether a claim stands on all rungs that were looked at."""
    return all(step.ok for step in steps)


def keep(claim: Claim, steps: list[Step], *, payment: Payment | None, moved_to: str = "", note: str = "") -> Evidence:
    """Store what was claimed and how far it came, believed or not."""
    state = claim.state
    rungs: list[dict[str, Any]] = [{"rung": step.rung.value, "ok": step.ok, "detail": step.detail} for step in steps]
    if note and rungs:
        rungs[-1]["note"] = note
    return Evidence.objects.create(
        integration=claim.integration,
        payment=payment,
        external_id=state.external_id[:LONGEST_ID],
        source=claim.source,
        source_id=claim.source_id,
        vendor_status=state.vendor_status[:120],
        claimed_status=getattr(state, "status", ""),
        claimed_at=state.vendor_at,
        rungs=rungs,
        is_believed=stands(steps),
        moved_to=moved_to,
    )


def _received(claim: Claim) -> Step:
    return Step(Rung.RECEIVED, True, _CAME_BY[Source(claim.source)])


def _signature(claim: Claim) -> Step:
    if claim.is_signed:
        return Step(Rung.SIGNATURE, True, "the delivery's signature was verified")
    if claim.is_fetched:
        return Step(Rung.SIGNATURE, True, "the vendor's own answer, over its certificate")
    return Step(Rung.SIGNATURE, False, "nobody has signed this")


def _account(claim: Claim) -> Step:
    ours, theirs = claim.integration.account_external_id, claim.state.account
    if claim.state.environment and claim.state.environment != claim.integration.environment:
        detail = f"a {claim.state.environment} object cannot move a {claim.integration.environment} integration"
        return Step(Rung.ACCOUNT, False, detail)
    if theirs and theirs != ours:
        return Step(Rung.ACCOUNT, False, f"the money belongs to account {theirs}, not to ours")
    if not theirs and not (claim.is_fetched or claim.signs_body):
        return Step(Rung.ACCOUNT, False, "it does not say whose the money is")
    return Step(Rung.ACCOUNT, True, "the account of this integration")


def _confirmed(claim: Claim) -> Step:
    if claim.is_fetched:
        return Step(Rung.CONFIRMED, True, "read from the vendor with our own credential")
    if claim.is_signed and claim.signs_body:
        return Step(Rung.CONFIRMED, True, "the signature covers all that it says")
    return Step(Rung.CONFIRMED, False, "its body is not signed and the vendor was not asked")


_CAME_BY = {
    Source.WEBHOOK: "by webhook",
    Source.ANSWER: "in the answer to our request",
    Source.QUERY: "as we asked for it",
    Source.RECONCILIATION: "in the vendor's list",
}
