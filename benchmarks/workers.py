"""Worker processes as the product starts them, and organizations with WhatsApp integrations for them to work for."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from benchmarks.webhooks import BODY_BYTES, message_body
from config import parts, processes

STARTED_WITHIN_S = 60.0
STOPPED_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """One integration of one organization, as connecting would have left it; nothing was called."""

    schema: str
    link_id: UUID


@contextlib.contextmanager
def working(data_dir: Path, **variables: str) -> Iterator[int]:
    """Run one worker (its parent and children) until the block ends; yield its process id when it takes tasks."""
    environment = parts.complete(os.environ, data_dir=data_dir) | variables
    log = data_dir / "logs" / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            (*parts.UNDER_SUPERVISION, *parts.worker_command(environment)),  # a run that is killed leaves no worker
            cwd=processes.PROJECT_ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        _wait_until_it_works(process, log)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def organizations(count: int, *, prefix: str) -> list[str]:
    """Create organizations and return their schemas."""
    from tenants.services import build_organization, create_organization

    made = [create_organization(slug=f"{prefix}-{number}", name=f"{prefix} {number}") for number in range(count)]
    for organization in made:
        build_organization(organization)
    return [organization.schema_name for organization in made]


def connect(schema: str, *, secrets: dict[str, str] | None = None) -> Connected:
    """Store an active WhatsApp integration with its link and the route of its account."""
    from core.ids import new_id
    from dispatch.models import Link, LinkHealth, Route
    from integrations.models import Integration
    from integrations.services import credentials
    from tenants.context import in_organization

    link_id = new_id()
    account = str(link_id.int % 10**15)
    label = {"environment": "test", "health": LinkHealth.HEALTHY}
    with in_organization(schema):
        integration = Integration.objects.create(
            id=link_id, provider="whatsapp", name="Bench", account_external_id=account,
            settings={"phone_number_id": account, "waba_id": account}, **label,
        )  # fmt: skip
        Link.objects.create(
            id=link_id, organization_schema=schema, organization_label="Bench", provider="whatsapp",
            category="communication", label="Bench", **label,
        )  # fmt: skip
        Route.objects.create(
            organization_schema=schema, link_id=link_id, provider="whatsapp", account_key=_account_key(account)
        )
        if secrets:
            credentials.store(integration, secrets)
    return Connected(schema=schema, link_id=link_id)


def deliveries(of: Connected, numbers: range) -> list[Any]:
    """Make deliveries, each with one text message of its own, sealed as receiving seals them; they are not saved."""
    from core.ids import new_id
    from dispatch import inbox
    from dispatch.models import WebhookDelivery

    made = []
    for number in numbers:
        id_, body = new_id(), message_body(number, account=str(of.link_id.int % 10**15))
        sealed = inbox.seal_body(body, organization_schema=of.schema, delivery_id=id_)
        made.append(
            WebhookDelivery(
                id=id_, organization_schema=of.schema, link_id=of.link_id, provider="whatsapp",
                headers={"content-type": "application/json"}, sealed_body=sealed, body_bytes=BODY_BYTES,
            )
        )  # fmt: skip
    return made


def _account_key(account: str) -> str:
    from django.utils import timezone

    from integrations import registry
    from integrations.contract import InboundRequest

    request = InboundRequest(
        method="POST", headers={}, query={}, body=message_body(0, account=account), received_at=timezone.now()
    )
    return str(next(iter(registry.provider("whatsapp").parse(request))).account_key)


def _wait_until_it_works(process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a task that was sent has been taken from its queue."""
    import redis
    from django.conf import settings

    from config.celery import app

    broker = redis.Redis.from_url(settings.REDIS_URL)
    app.send_task("integrations.tasks.work_outbox", queue="outbound", retry=False)
    end = time.monotonic() + STARTED_WITHIN_S
    while process.poll() is None and time.monotonic() < end:
        if not broker.llen("outbound"):
            return
        time.sleep(0.05)
    raise RuntimeError(f"the worker takes no tasks:\n{log.read_text(errors='replace')[-2000:]}")
