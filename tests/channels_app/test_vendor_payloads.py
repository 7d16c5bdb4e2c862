"""
Every WhatsApp payload of the vendor's shapes, from the signed POST to the rows, and again in other orders.

The payloads lie where VENDOR_FIXTURES points; they are test data of CI and no part of this repository.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from channels_app.models import Contact, Conversation, Message, Template
from dispatch.models import InboxKey, WebhookDelivery
from integrations.models import Event, Integration, Issue
from integrations.services.crew import work_deliveries
from tenants.context import in_organization
from tests.integrations.ingress.conftest import connect
from tests.integrations.ingress.conftest import post as post  # noqa: PLC0414 - a fixture

pytestmark = [pytest.mark.django_db, pytest.mark.vendor_fixtures]

NUMBERS = [("106540352242922", "102290129340398"), ("106540352249999", "102290129340398"), ("3", "524126980791429")]
PARTNER_WABA = "980198427658004"
UNROUTED = {"change_for_unknown_phone_number.json"}


@pytest.fixture
def accounts(organization, other_organization):
    """The payloads' accounts, connected; the partner's customer belongs to the other organization."""
    ours = [connect(organization, number=number, waba=waba) for number, waba in NUMBERS]
    return [*ours, connect(other_organization, number="4", waba=PARTNER_WABA)]


def payloads(folder: Path) -> dict[str, bytes]:
    """Every payload by name."""
    return {path.name: path.read_bytes() for path in sorted((folder / "meta" / "whatsapp").glob("*.json"))}


def routed_path(accounts: list[Any], body: bytes) -> str:
    """Choose the own URL of the account that a payload names; any of ours where it names none of them."""
    text = body.decode()
    for name in ("phone_number_id", "waba_id"):
        for account in accounts:
            if f'"{account.integration.settings[name]}"' in text:
                return account.path
    return accounts[0].path


def work_all() -> None:
    """Work until nothing is due."""
    while work_deliveries():
        pass


def state(accounts: list[Any]) -> dict[str, Any]:
    """Everything that a redelivery must not change."""
    found: dict[str, Any] = {}
    for organization in {account.organization.schema_name: account.organization for account in accounts}.values():
        with in_organization(organization):
            found[organization.schema_name] = {
                "events": sorted(Event.objects.values_list("integration_id", "key", "type")),
                "messages": sorted(
                    Message.objects.values_list("external_id", "direction", "type", "status", "text", "is_deleted")
                ),
                "contacts": sorted(
                    Contact.objects.values_list("bsuid", "phone", "username", "name", "marketing_stopped")
                ),
                "conversations": Conversation.objects.count(),
                "templates": sorted(Template.objects.values_list("name", "language", "status")),
                "integrations": sorted(Integration.objects.values_list("id", "status", "health")),
                "issues": sorted(Issue.objects.filter(resolved_at=None).values_list("cause", flat=True)),
            }
    return found


class TestEveryPayload:
    """One POST each, signed."""

    def test_is_accepted_and_ends_well(self, vendor_fixtures, accounts, post):
        for name, body in payloads(vendor_fixtures).items():
            assert post(routed_path(accounts, body), body).status_code == 200, name
        work_all()

        ended = WebhookDelivery.objects.values_list("status", "error_class", "error_text")
        assert {status for status, _class, _text in ended} <= {"processed", "quarantined"}, list(ended)
        quarantined = WebhookDelivery.objects.filter(status="quarantined", part_of=None).count()
        assert quarantined == len(UNROUTED)

    def test_redelivery_in_any_order_changes_nothing(self, vendor_fixtures, accounts, post):
        everything = list(payloads(vendor_fixtures).values())
        for body in everything:
            post(routed_path(accounts, body), body)
        work_all()
        before = state(accounts)

        for seed in (1, 2, 3):
            again = list(everything)
            random.Random(seed).shuffle(again)
            InboxKey.objects.all().delete()  # as if eight days had passed: the events' own keys must hold
            for body in again:
                post(routed_path(accounts, body), body)
            work_all()

        after = state(accounts)
        for organization, kinds in before.items():
            for kind, rows in kinds.items():
                assert after[organization][kind] == rows, kind

    def test_nothing_reaches_the_other_organization(self, vendor_fixtures, accounts, other_organization, post):
        for body in payloads(vendor_fixtures).values():
            post(routed_path(accounts, body), body)
        work_all()

        with in_organization(other_organization):
            assert Message.objects.count() == 0
            assert set(Event.objects.values_list("type", flat=True)) <= {"account.changed", "unknown"}
