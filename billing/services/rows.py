"""Finding the row that a vendor's object is about, locked, whichever of its ids we know."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from typing import TypeVar
from uuid import UUID

from django.db.models import Q

from billing.contract import KIND_OF, VendorState
from billing.models import VendorObject
from billing.models.base import LONGEST_ID
from billing.services.ladder import Claim
from billing.services.reading import read_later
from core import clock
from integrations.models import Integration
from tenants.base import insert_new

Row = TypeVar("Row", bound=VendorObject)


class Age(Enum):
    """What a state is, compared with the row."""

    OLDER = "older"
    SAME_MOMENT = "same_moment"
    NEWER = "newer"


def find(model: type[Row], integration: Integration, state: VendorState) -> Row | None:
    """Return the locked row of a state, by the vendor's id or by ours that the vendor carries."""
    rows = model._default_manager.select_for_update().filter(integration=integration)
    found = rows.filter(external_id=state.external_id[:LONGEST_ID]).first()
    if found is not None:
        return found
    ours = as_uuid(state.reference)
    return rows.filter(pk=ours, external_id="").first() if ours else None


def locked(row: Row) -> Row:
    """Return a row again, locked."""
    return type(row)._default_manager.select_for_update().get(pk=row.pk)


def made(row: Row) -> Row:
    """Insert a new row; where another process was faster, return its row instead, locked."""
    if insert_new([row]):
        return row
    same = Q(integration_id=row.integration_id, external_id=row.external_id)
    return type(row)._default_manager.select_for_update().get(same)


def age(state: VendorState, row: VendorObject) -> Age:
    """Compare a state with what the row knows."""
    if row.vendor_at is None or row._state.adding:
        return Age.NEWER
    moment = stamp(state)
    if moment == row.vendor_at:
        return Age.SAME_MOMENT
    return Age.NEWER if moment > row.vendor_at else Age.OLDER


def stamp(state: VendorState) -> datetime:
    """Return the vendor's time of a state; a vendor's clock that runs ahead must not make it the last word forever."""
    return min(state.vendor_at or clock.now(), clock.now() + _MOST_AHEAD)


def ask_which(claim: Claim) -> None:
    """Ask what is true where claims do not fit together; the answer to such a question asks no other."""
    if not claim.is_word_now:
        ask_again(claim)


def ask_again(claim: Claim) -> None:
    """Ask what the object of a claim is now."""
    read_later(claim.integration, KIND_OF[type(claim.state)], claim.state.external_id)


def as_uuid(text: str) -> UUID | None:
    """Read an id of ours; None when it is none."""
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def mark(row: VendorObject, state: VendorState) -> None:
    """Write what all mirrored objects have in common."""
    row.external_id = state.external_id[:LONGEST_ID]
    row.vendor_status = state.vendor_status[:120]
    moment = stamp(state)
    row.vendor_at = max(moment, row.vendor_at or moment)
    if state.object:
        row.vendor_payload = dict(state.object)


_MOST_AHEAD = timedelta(minutes=5)
