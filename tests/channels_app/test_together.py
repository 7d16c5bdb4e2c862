"""Deliveries of one link written together: the same rows as one by one, in a third of the statements."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from channels_app.models import Contact, Conversation, Message
from core import clock, fault_points
from core.ids import new_id
from dispatch import inbox
from dispatch.models import DeliveryStatus, WebhookDelivery
from integrations.models import Event
from integrations.services import crew
from meter.models import UsageRecord
from notifications.endpoints.models import PublishedEvent
from tenants.context import current_schema, in_organization, in_public_schema
from tests.channels_app.conftest import PHONE, text_from

OTHER = "+15550100102"


@pytest.fixture
def arrive(integration: Any) -> Any:
    """Store deliveries of these bodies, let a worker process them, and return their rows in order."""

    def run(bodies: Sequence[bytes]) -> list[WebhookDelivery]:
        schema = current_schema()
        rows = []
        for number, body in enumerate(bodies):
            pk = new_id()
            rows.append(
                WebhookDelivery(
                    id=pk, organization_schema=schema, link_id=integration.id, provider="whatsapp",
                    sealed_body=inbox.seal_body(body, organization_schema=schema, delivery_id=pk),
                    status=DeliveryStatus.RECEIVED, next_attempt_at=clock.now() - timedelta(seconds=60 - number),
                )
            )  # fmt: skip
        WebhookDelivery.objects.bulk_create(rows)
        with in_public_schema():
            while crew.work_deliveries():
                pass
        with in_organization(schema):
            return list(WebhookDelivery.objects.filter(pk__in=[row.pk for row in rows]).order_by("id"))

    return run


def texts(*phones: str) -> list[bytes]:
    return [text_from(phone, f"text {number}", at=clock.now()) for number, phone in enumerate(phones)]


class TestTogether:
    def test_writes_what_one_by_one_would_write(self, arrive: Any) -> None:
        arrive(texts(PHONE))

        rows = arrive(texts(PHONE, OTHER, PHONE, OTHER, PHONE))

        assert {row.status for row in rows} == {"processed"}
        assert [len(row.event_ids) for row in rows] == [1] * 5
        assert set(Event.objects.values_list("id", flat=True)) >= {row.event_ids[0] for row in rows}
        assert Contact.objects.count() == Conversation.objects.count() == 2
        first = Conversation.objects.get(contact__phone=PHONE)
        assert (first.unread_count, first.messages.count(), first.last_text) == (4, 4, "text 4")
        assert Conversation.objects.get(contact__phone=OTHER).unread_count == 2
        assert first.contact.seen_at == first.last_inbound_at
        assert UsageRecord.objects.get(unit="messages_in").quantity == 6

    def test_keeps_each_as_a_fact_for_customers(self, arrive: Any, integration: Any) -> None:
        arrive(texts(PHONE, OTHER))

        kept = PublishedEvent.objects.filter(type="message.received").order_by("id")

        assert {row.object_id for row in kept} == {str(pk) for pk in Message.objects.values_list("pk", flat=True)}
        assert {row.environment for row in kept} == {integration.environment}

    def test_costs_a_third_of_the_statements(self, arrive: Any) -> None:
        arrive(texts(PHONE, OTHER))

        with CaptureQueriesContext(connection) as captured:
            arrive(texts(PHONE, OTHER, PHONE, OTHER, PHONE))

        assert len(captured) < 5 * 9, [query["sql"][:90] for query in captured.captured_queries]

    def test_what_fails_together_is_written_apart_and_counted_once(
        self, arrive: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fault_points, "FOLDER", str(tmp_path))
        (tmp_path / "delivery.before_commit").write_text("raise")

        rows = arrive(texts(PHONE, PHONE, PHONE))

        assert list(tmp_path.iterdir()) == [], "the fault struck"
        assert [(row.status, len(row.event_ids)) for row in rows] == [("processed", 1)] * 3
        assert sorted(Message.objects.values_list("text", flat=True)) == ["text 0", "text 1", "text 2"]
        assert Conversation.objects.get().unread_count == 3
        assert UsageRecord.objects.get(unit="messages_in").quantity == 3

    def test_a_repetition_among_them_changes_nothing(self, arrive: Any) -> None:
        first, second = texts(PHONE, OTHER)
        arrive([first])

        rows = arrive([first, second, second])

        assert [(row.status, len(row.event_ids)) for row in rows] == [
            ("processed", 0), ("processed", 1), ("processed", 0),
        ]  # fmt: skip
        assert Message.objects.count() == 2

    def test_a_new_name_and_a_reaction_take_their_ordinary_way(self, arrive: Any) -> None:
        arrive(texts(PHONE))
        renamed = json.loads(texts(PHONE)[0])
        renamed["entry"][0]["changes"][0]["value"]["contacts"][0]["profile"]["name"] = "Renata"
        target = Message.objects.get()
        reaction = json.loads(json.dumps(renamed))
        message = reaction["entry"][0]["changes"][0]["value"]["messages"][0]
        message |= {
            "id": "wamid.reaction",
            "type": "reaction",
            "reaction": {"message_id": target.external_id, "emoji": "👍"},
        }
        del message["text"]

        arrive([json.dumps(renamed).encode(), json.dumps(reaction).encode()])

        target.refresh_from_db()
        assert [found["emoji"] for found in target.reactions.values()] == ["👍"]
        assert Contact.objects.get().name == "Renata"


class TestSuspects:
    def test_one_that_a_worker_died_of_is_worked_alone(self, arrive: Any, integration: Any) -> None:
        rows = arrive(texts(PHONE, PHONE, PHONE))
        WebhookDelivery.objects.update(status=DeliveryStatus.RECEIVED, attempts=0)
        suspect = rows[1]
        WebhookDelivery.objects.filter(pk=suspect.pk).update(crashes=1)

        with in_public_schema():
            begun = crew.work_deliveries()

        assert begun == 1
        states = dict(WebhookDelivery.objects.values_list("pk", "status"))
        assert states[suspect.pk] == "processed"
        assert {states[row.pk] for row in rows if row.pk != suspect.pk} == {"received"}
        assert set(WebhookDelivery.objects.exclude(pk=suspect.pk).values_list("attempts", "crashes")) == {(0, 0)}
