"""A connected WhatsApp integration as receiving sees it, and the signed POSTs that reach it."""

from __future__ import annotations

import hmac
import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import load, pgbench

BODY_BYTES = 1024
APP_SECRET, WRONG_SECRET = "test-app-secret", "test-wrong-secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One integration's webhook and the processes behind it."""

    data_dir: Path
    web_pid: int
    postgres_pid: int
    port: int
    token: str
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def requests(self, count: int, *, secret: str = APP_SECRET) -> list[bytes]:
        """Make requests ready to send, each with a message of its own."""
        return [signed_post(self.token, port=self.port, number=next(self.numbers), secret=secret) for _ in range(count)]


def signed_post(token: str, *, port: int, number: int, secret: str) -> bytes:
    """Compose one callback of `BODY_BYTES` with one text message, as Meta sends it, signed with a secret."""
    body = message_body(number)
    head = {
        "Host": f"{load.LOOPBACK}:{port}",
        "User-Agent": "facebookexternalua",
        "Accept": "*/*",
        "Content-Type": "application/json",
        "X-Hub-Signature-256": f"sha256={hmac.digest(secret.encode(), body, 'sha256').hex()}",
        "Content-Length": str(len(body)),
    }
    lines = [f"POST /webhooks/whatsapp/{token}/ HTTP/1.1", *(f"{name}: {value}" for name, value in head.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def connect(data_dir: Path) -> tuple[str, Path]:
    """Store what receiving needs of a connected integration; return its URL token and pgbench's script."""
    from core.ids import new_id, new_token
    from dispatch import inbox
    from dispatch.models import Link, Route
    from tenants.services import create_organization
    from vault.services import token_digest

    schema = create_organization(slug="bench", name="Bench").schema_name
    link_id, route_id, token = new_id(), new_id(), new_token()
    sealed = inbox.seal_route_secrets(
        {"app_secret": APP_SECRET}, organization_schema=schema, route_id=route_id, version=1
    )
    Link.objects.create(
        id=link_id, organization_schema=schema, organization_label="Bench", provider="whatsapp",
        category="communication", label="Bench", environment="test",
    )  # fmt: skip
    Route.objects.create(
        id=route_id, organization_schema=schema, link_id=link_id, provider="whatsapp",
        token_digest=token_digest(token), secrets_version=1, sealed_secrets=sealed,
    )  # fmt: skip
    body = inbox.seal_body(message_body(0), organization_schema=schema, delivery_id=route_id)
    script = data_dir / "insert.sql"
    pgbench.write_script(
        script, organization_schema=schema, route_id=str(route_id), link_id=str(link_id), sealed_body=body
    )
    return token, script


def message_body(number: int, *, account: str = "100000000000001") -> bytes:
    """Compose a callback of `BODY_BYTES` with one text message to an account's phone number id."""
    message = {"from": "15550100199", "id": f"wamid.bench{number:09}", "timestamp": "1790000000", "type": "text"}
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550100100", "phone_number_id": account},
        "contacts": [{"profile": {"name": "Bench"}, "wa_id": "15550100199"}],
        "messages": [message | {"text": {"body": "@"}}],
    }
    entry = {"id": "100000000000002", "changes": [{"field": "messages", "value": value}]}
    text = json.dumps({"object": "whatsapp_business_account", "entry": [entry]}, separators=(",", ":"))
    return text.replace("@", "x" * (BODY_BYTES - len(text) + 1)).encode()
