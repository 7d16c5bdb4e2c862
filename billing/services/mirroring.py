"""Keeping the row of an object that the vendor just made for us, whoever tells of it first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from audit.services import Actor, Target, record
from billing.contract import AnyState
from billing.models import Source, VendorObject
from billing.models.base import LONGEST_ID
from billing.services import rows
from billing.services.applying import apply_state
from billing.services.outcomes import require_same

Row = TypeVar("Row", bound=VendorObject)


def made_before(row: Row, *, same: Sequence[str]) -> Row | None:
    """
    Return the row that the same caller's key made before, if any; its id comes from the key.

    :param same: what the vendor does not change by itself, and must be equal
    :raises Conflict: the key was used for another request
    """
    known = type(row)._default_manager.select_related("integration").filter(pk=row.pk).first()
    if known is not None:
        require_same(all(getattr(known, name) == getattr(row, name) for name in same))
    return known


def mirror(row: Row, state: AnyState, *, actor: Actor, action: str) -> Row:
    """
    Insert the row that was made ready for an object, or take the one that a webhook made, and apply its state.

    Runs in the caller's transaction. A request that came again finds the object that there is.
    """
    row.external_id = state.external_id[:LONGEST_ID]
    found = rows.made(row)
    if found.pk != row.pk:
        found.metadata = row.metadata
        found.save(update_fields=["metadata", "updated_at"])
    return answered(found, state, actor=actor, action=action)


def answered(row: Row, state: AnyState, *, actor: Actor, action: str) -> Row:
    """Apply the vendor's answer about a row and write down who asked; in the caller's transaction."""
    apply_state(row.integration, state, source=Source.ANSWER, is_fetched=True, row=row)
    record(
        action=action,
        actor=actor,
        target=Target(kind=action.partition(".")[0], id=str(row.pk)),
        details={"integration": str(row.integration_id)},
    )
    return type(row)._default_manager.select_related("integration").get(pk=row.pk)
