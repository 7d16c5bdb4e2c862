"""Finding our rows of many payments of a vendor's list at once, unlocked, by any of their ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import Q

from billing.contract import PaymentState
from billing.models import Payment
from billing.models.base import LONGEST_ID
from billing.services.rows import as_uuid
from integrations.models import Integration

AT_ONCE = 500
"""Payments of one query."""


@dataclass(slots=True)
class Known:
    """Rows by the vendor's ids, and those that the vendor has not named yet by ours."""

    by_name: dict[str, Payment] = field(default_factory=dict)
    by_alias: dict[str, Payment] = field(default_factory=dict)
    unnamed: dict[UUID, Payment] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[Payment]) -> Known:
        """Index rows."""
        known = cls()
        for row in rows:
            if row.external_id:
                known.by_name[row.external_id] = row
            else:
                known.unnamed[row.pk] = row
            known.by_alias.update(dict.fromkeys(row.aliases, row))
        return known

    def find(self, state: PaymentState) -> Payment | None:
        """Return the row of a state, as applying it would find it."""
        name, ours = state.external_id[:LONGEST_ID], as_uuid(state.reference)
        if name in self.by_name:
            return self.by_name[name]
        if ours in self.unnamed:
            return self.unnamed[ours]
        names = _names(state)
        found = (self.by_name.get(one) or self.by_alias.get(one) for one in names)
        return next(filter(None, found), None)


def known_payments(integration: Integration, states: Sequence[PaymentState]) -> Known:
    """Return our rows of a vendor's payments."""
    rows: dict[UUID, Payment] = {}
    for start in range(0, len(states), AT_ONCE):
        batch = states[start : start + AT_ONCE]
        names = [name for state in batch for name in _names(state)]
        ours = [found for state in batch if (found := as_uuid(state.reference))]
        same = Q(external_id__in=names) | Q(aliases__overlap=names) | Q(pk__in=ours, external_id="")
        rows.update({row.pk: row for row in Payment.objects.filter(integration=integration).filter(same)})
    return Known.of(rows.values())


def _names(state: PaymentState) -> list[str]:
    return [name[:LONGEST_ID] for name in (state.external_id, *state.aliases)]
