"""A connected WhatsApp integration, its vendor's side, and short ways to let webhooks and work through."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from channels_app.providers.whatsapp import WhatsAppProvider
from core import clock
from core.ids import new_id
from tests.wire import Fixtures, Wire

ACCOUNT_KEYS = {"phone_number:100000000000001": False, "waba:200000000000001": True}
PHONE = "+15550100101"


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """The vendor's side of every provider that a service opens; fails unplanned calls."""
    wire = Wire(provider=WhatsAppProvider)
    monkeypatch.setattr("integrations.outbound.guard.shared", lambda: wire)
    return wire


@pytest.fixture
def actor() -> Any:
    """Whoever asks."""
    from audit.services import Actor

    return Actor.system("test")


@pytest.fixture
def integration(inside: Any, vendor: Wire) -> Any:
    """A connected integration of the organization that the test works in."""
    return connected()


@pytest.fixture
def deliver(integration: Any) -> Callable[..., Any]:
    """Let a webhook through the whole way from a stored delivery to rows: a fixture's name, or changed bytes."""

    def run(name: str = "", *, body: bytes | None = None) -> Any:
        raw = body if body is not None else webhook(name)
        return let_in(integration, raw)

    return run


@pytest.fixture
def work(integration: Any) -> Callable[[], int]:
    """Work off what is due in the outbox of this organization, until nothing is."""
    from integrations.services.crew import work_outbox
    from tenants.context import current_schema, in_organization

    schema = current_schema()

    def run() -> int:
        from tenants.context import in_public_schema

        done = 0
        with in_public_schema():
            while (count := work_outbox()) and done < 20:
                done += count
        with in_organization(schema):
            integration.refresh_from_db()
        return done

    return run


@pytest.fixture
def later() -> Iterator[Callable[[timedelta], None]]:
    """Move the clock forward for the rest of the test."""
    opened = []

    def move(by: timedelta) -> None:
        shift = clock.shifted(by)
        shift.__enter__()
        opened.append(shift)

    yield move
    for shift in reversed(opened):
        shift.__exit__(None, None, None)


@pytest.fixture
def written(integration: Any) -> Callable[..., Any]:
    """Let a person write now, so that the channel's window is open; returns the conversation."""

    def write(text: str = "Hello", *, phone: str = PHONE, ago: timedelta = timedelta()) -> Any:
        from channels_app.models import Conversation

        let_in(integration, text_from(phone, text, at=clock.now() - ago))
        return Conversation.objects.get(integration=integration, contact__phone=phone)

    return write


def connected(*, environment: str = "test", account: str = "100000000000001") -> Any:
    """Store an integration with its sealed credential, link and routes in the entered organization."""
    from integrations.contract import AccountKey
    from integrations.models import Integration
    from integrations.services import credentials, links

    connection = Fixtures.of(WhatsAppProvider).conformance["connection"]
    row = Integration.objects.create(
        provider="whatsapp",
        name="WhatsApp",
        environment=environment,
        settings=connection["settings"],
        account_external_id=account,
        health="healthy",
    )
    credentials.store(row, connection["secrets"])
    links.mirror(row)
    links.claim_accounts(row, [AccountKey(value=key, shared=shared) for key, shared in ACCOUNT_KEYS.items()])
    return row


def let_in(integration: Any, body: bytes) -> Any:
    """Store a verified delivery and process it."""
    from dispatch import inbox
    from dispatch.models import DeliveryStatus, WebhookDelivery
    from integrations.services import deliveries
    from tenants.context import current_schema

    delivery_id = new_id()
    delivery = WebhookDelivery.objects.create(
        id=delivery_id,
        organization_schema=current_schema(),
        link_id=integration.id,
        provider="whatsapp",
        sealed_body=inbox.seal_body(body, organization_schema=current_schema(), delivery_id=delivery_id),
        status=DeliveryStatus.PROCESSING,
        lease_id=new_id(),
    )
    deliveries.process_delivery(delivery)
    delivery.refresh_from_db()
    return delivery


def webhook(name: str, **changes: str) -> bytes:
    """Return a webhook fixture, with texts replaced."""
    body = Fixtures.of(WhatsAppProvider).body(f"webhooks/{name}.json").decode()
    for old, new in changes.items():
        body = body.replace(old, new)
    return body.encode()


def text_from(phone: str, text: str, *, at: Any, external_id: str = "", user_id: str = "") -> bytes:
    """Compose a webhook with one text of one person."""
    wa_id = phone.removeprefix("+")
    user = {"user_id": user_id} if user_id else {}
    message: dict[str, Any] = {
        "from": wa_id,
        "id": external_id or f"wamid.test-{new_id()}",
        "timestamp": str(int(at.timestamp())),
        "type": "text",
        "text": {"body": text},
        **({"from_user_id": user_id} if user_id else {}),
    }
    return change("messages", contacts=[{"wa_id": wa_id, "profile": {"name": "Test"}, **user}], messages=[message])


def status_of(external_id: str, status: str, *, at: Any, callback: str = "", **more: Any) -> bytes:
    """Compose a webhook with one status."""
    told = {"id": external_id, "status": status, "timestamp": str(int(at.timestamp())), **more}
    if callback:
        told["biz_opaque_callback_data"] = callback
    return change("messages", statuses=[{"recipient_id": "15550100101", **told}])


def change(field: str, **value: Any) -> bytes:
    """Compose a webhook with one change of our number."""
    metadata = {"display_phone_number": "15550100001", "phone_number_id": "100000000000001"}
    inner = {"messaging_product": "whatsapp", "metadata": metadata, **value}
    entry = {"id": "200000000000001", "changes": [{"field": field, "value": inner}]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()
