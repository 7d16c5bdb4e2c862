"""Two organizations with one row of everything each, people of every role, and a short way to log in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.test import Client

from channels_app.providers.whatsapp import WhatsAppProvider
from tests.wire import Wire

SECRETS = {
    "access_token": "EAAtest-planted-access-token-0001",
    "app_secret": "0123456789abcdef0123456789test17",
    "verify_token": "test-planted-verify-token",
}
BODY = b'{"object": "whatsapp_business_account", "access_token": "planted-in-body-test", "entry": []}'


@dataclass
class Place:
    """An organization and the id of its row of each model, by the model's name."""

    organization: Any
    ids: dict[str, UUID] = field(default_factory=dict)
    api_key: str = ""

    def url(self, name: str, *, of: Any = None, **more: Any) -> str:
        """Return an address inside this organization's admin, naming a row of `of` (another place: a foreign one)."""
        return f"/o/{self.organization.slug}/admin/{name.format(**{k: str(v) for k, v in (of or self).ids.items()})}"


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """The vendor's side of the wire; fails calls that no test planned."""
    wire = Wire(provider=WhatsAppProvider)
    monkeypatch.setattr("integrations.outbound.guard.shared", lambda: wire)
    return wire


@pytest.fixture
def place(organization: Any) -> Place:
    """The organization that the test works in, filled."""
    return _filled(organization, account="100000000000001")


@pytest.fixture
def other_place(other_organization: Any) -> Place:
    """The other organization, filled the same way."""
    return _filled(other_organization, account="100000000000002")


@pytest.fixture
def enter(client: Client) -> Callable[[Any], Client]:
    """Log a person in."""

    def log_in(user: Any) -> Client:
        client.force_login(user, backend="accounts.backends.RoleBackend")
        return client

    return log_in


def _filled(organization: Any, *, account: str) -> Place:
    from tenants.context import in_organization

    place = Place(organization)
    with in_organization(organization), transaction.atomic():
        integration = _integration(place, account)
        _traffic(place, integration)
        _conversation(place, integration)
        _money(place, account)
        _people(place)
    return place


def _integration(place: Place, account: str) -> Any:
    from audit.services import Actor, Target, record
    from integrations.contract import AccountKey
    from integrations.models import Integration, Issue
    from integrations.services import credentials, links

    row = Integration.objects.create(
        provider="whatsapp",
        name=f"WhatsApp of {place.organization.slug}",
        environment="test",
        settings={"phone_number_id": account, "waba_id": account.replace("1", "2", 1), "app_id": "300000000000001"},
        account_external_id=account,
        account_label="A shop",
        health="failing",
        health_cause="The provider does not accept this credential.",
        health_who="user",
        health_next_action="Reconnect the account with a valid credential.",
    )
    credentials.store(row, SECRETS)
    links.mirror(row)
    links.claim_accounts(row, [AccountKey(value=f"phone_number:{account}")])
    issue = Issue.objects.create(
        integration=row, cause="x", text="It broke.", who="user", next_action="Mend it at the provider."
    )
    entry = record(
        action="integration.connected",
        actor=Actor.system("test"),
        target=Target(kind="integration", id=str(row.id), label=row.name),
    )
    place.ids.update(integration=row.id, link=row.id, issue=issue.id, auditentry=entry.id)
    return row


def _traffic(place: Place, integration: Any) -> None:
    from core.ids import new_id
    from dispatch import inbox, outbox
    from dispatch.models import WebhookDelivery
    from integrations.models import Event
    from meter.models import Call, HealthCheck, UsageRecord
    from notifications.services import notify

    schema = place.organization.schema_name
    delivery_id = new_id()
    WebhookDelivery.objects.create(
        id=delivery_id,
        organization_schema=schema,
        link_id=integration.id,
        provider="whatsapp",
        headers={"content-type": "application/json", "x-hub-signature-256": "[hidden]"},
        sealed_body=inbox.seal_body(BODY, organization_schema=schema, delivery_id=delivery_id),
        status="dead",
        error_class="UnexpectedResponse",
        error_text="It could not be read.",
    )
    event = Event.objects.create(
        integration=integration, type="message.received", key="k1", external_id="wamid.1", delivery_id=delivery_id
    )
    common = {"organization_schema": schema, "link_id": integration.id, "provider": "whatsapp"}
    check = HealthCheck.objects.create(**common, is_ok=False, duration_ms=12.5, verdicts=[])
    call = Call.objects.create(**common, operation="send", method="POST", url="https://example.com/x", duration_ms=3)
    usage = UsageRecord.objects.create(**common, unit="messages_out", quantity=1)
    entry = outbox.add("message.read", link_id=integration.id, object_id=str(event.id))
    note = notify(kind="issue.opened", text="Something opened.", target=("integration", integration.id))
    place.ids.update(
        webhookdelivery=delivery_id,
        event=event.id,
        healthcheck=check.id,
        call=call.id,
        usagerecord=usage.id,
        notification=note.id,
        outboxentry=entry.id,
    )


def _conversation(place: Place, integration: Any) -> None:
    from channels_app.models import Contact, Conversation, Direction, Message, Template
    from core import clock
    from storage.models import StoredFile

    now = clock.now()
    contact = Contact.objects.create(integration=integration, phone="+15550100101", name="Ana")
    conversation = Conversation.objects.create(
        integration=integration,
        contact=contact,
        last_message_at=now,
        last_inbound_at=now,
        last_text="Hello there",
        unread_count=1,
    )
    message = Message.objects.create(
        integration=integration,
        conversation=conversation,
        contact=contact,
        direction=Direction.INBOUND,
        type="text",
        text="Hello there",
        status="delivered",
        external_id="wamid.1",
        occurred_at=now - timedelta(minutes=1),
    )
    template = Template.objects.create(
        integration=integration,
        name="order_update",
        language="en",
        category="utility",
        status="approved",
        components=[{"type": "BODY", "text": "Hi {{1}}, your order {{2}} is ready."}],
    )
    file = StoredFile.objects.create(
        name="a.txt",
        content_type="text/plain",
        size_bytes=1,
        sha256="0" * 64,
        location=f"{place.organization.schema_name}/x",
    )
    place.ids.update(
        conversation=conversation.id, message=message.id, template=template.id, storedfile=file.id, contact=contact.id
    )


def _money(place: Place, account: str) -> None:
    from billing import models
    from core import clock
    from integrations.models import Integration

    shop = Integration.objects.create(
        provider="mercadopago",
        name=f"MercadoPago of {place.organization.slug}",
        environment="test",
        account_external_id=account,
    )
    real = {"integration": shop, "amount_minor": 1990, "currency": "BRL"}
    customer = models.Customer.objects.create(integration=shop, external_id="cus_1", email="payer@example.com")
    payment = models.Payment.objects.create(**real, external_id="pi_1", customer=customer, status="processing")
    rows = {
        "customer": customer,
        "payment": payment,
        "refund": models.Refund.objects.create(**real, payment=payment, external_id="re_1"),
        "dispute": models.Dispute.objects.create(**real, payment=payment, external_id="dp_1"),
        "payout": models.Payout.objects.create(**real, external_id="po_1"),
        "checkoutsession": models.CheckoutSession.objects.create(integration=shop, external_id="cs_1", mode="payment"),
        "subscription": models.Subscription.objects.create(integration=shop, external_id="sub_1", customer=customer),
        "invoice": models.Invoice.objects.create(
            integration=shop, external_id="in_1", amount_due_minor=1990, currency="BRL"
        ),
        "evidence": models.Evidence.objects.create(integration=shop, source="webhook", is_believed=False),
        "reconciliation": models.Reconciliation.objects.create(
            integration=shop, day=clock.now().date(), status="equal"
        ),
    }
    place.ids.update({name: row.pk for name, row in rows.items()})


def _people(place: Place) -> None:
    from accounts.models import Invitation, Membership, User
    from accounts.services import add_member, create_api_key
    from audit.services import Actor
    from core import clock
    from notifications.endpoints.services import create as create_endpoint
    from vault.services import token_digest

    schema = place.organization.schema_name
    api_key, place.api_key = create_api_key(schema_name=schema, name="Shop", scopes=["*"], environment="test")
    user = User.objects.create_user(f"second-owner@{place.organization.slug}.example.com", "a-long-test-password")
    membership: Membership = add_member(user=user, schema_name=schema, role="owner")
    invitation = Invitation.objects.create(
        organization_schema=schema,
        email=f"new@{place.organization.slug}.example.com",
        role="viewer",
        token_digest=token_digest(f"planted-invitation-{schema}"),
        expires_at=clock.now() + timedelta(days=1),
    )
    endpoint, _secret = create_endpoint(
        url="https://hooks.example.com/events", event_types=["*"], environment="test", actor=Actor.system("test")
    )
    place.ids.update(apikey=api_key.id, membership=membership.id, invitation=invitation.id, eventendpoint=endpoint.id)
