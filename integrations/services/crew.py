"""The loops of the workers: claim what is due, work it off one by one, give back what was not begun."""

from __future__ import annotations

from datetime import timedelta

from core import clock
from dispatch.claims import claim_deliveries, claim_outbox, give_back_deliveries, give_back_outbox
from integrations.services.deliveries import process
from integrations.services.outbox import work_entry
from tenants.context import in_organization
from tenants.models import Organization

WORK_FOR = timedelta(seconds=50)
"""A call may take 20 s: with it a claim is done well inside its lease of 120 s and the task's limit of 90 s."""

LOOK_AT_CLOSED = timedelta(hours=1)
"""Work of an organization that is suspended waits for it, without being tried."""


def work_outbox() -> int:
    """
    Claim what is due and work it off for at most `WORK_FOR`; return how many were begun.

    What is left of the claim is given back, for its lease ends and a worker that died would be suspected.
    """
    started = clock.now()
    claims = claim_outbox()
    for place, claim in enumerate(claims):
        if clock.now() - started > WORK_FOR:
            give_back_outbox(claims[place:])
            return place
        if claim.organization_schema and _is_open(claim.organization_schema):
            with in_organization(claim.organization_schema):
                work_entry(claim)
        else:
            give_back_outbox([claim], due_at=started + LOOK_AT_CLOSED)
    return len(claims)


def work_deliveries() -> int:
    """
    Claim what is due and process it for at most `WORK_FOR`; return how many were begun.

    What is left of the claim is given back, for its lease ends and a worker that died would be suspected.
    """
    started = clock.now()
    claims = claim_deliveries()
    for place, claim in enumerate(claims):
        if clock.now() - started > WORK_FOR:
            give_back_deliveries(claims[place:])
            return place
        process(claim)
    return len(claims)


def _is_open(schema_name: str) -> bool:
    return Organization.objects.open().filter(schema_name=schema_name).exists()
