"""WhatsApp over the real guard, transport and sandbox: nothing is answered from files here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from channels_app.providers.whatsapp import WhatsAppProvider
from core.secret import Secrets
from integrations.contract import CallReport, IntegrationContext
from integrations.outbound.guard import Guard
from tests.sandbox.conftest import VERIFY_TOKEN, Sandbox, receiver, sandbox, server

__all__ = ["receiver", "sandbox", "server"]


@pytest.fixture
def reports() -> list[CallReport]:
    """What the guard saw."""
    return []


@pytest.fixture
def connect(sandbox: Sandbox, reports: list[CallReport]) -> Callable[..., WhatsAppProvider]:
    """Make an instance for the sandbox's first business, with fields changed as asked; an empty one is left out."""

    def make(*, webhook_url: str = "", **changes: str) -> WhatsAppProvider:
        values = {**sandbox.account, "verify_token": VERIFY_TOKEN, **changes}
        settings: dict[str, Any] = {name: values[name] for name in ("phone_number_id", "waba_id", "app_id")}
        secrets = Secrets({name: values[name] for name in ("access_token", "app_secret", "verify_token")})
        context = IntegrationContext(
            id="", provider="whatsapp", environment="live", settings=settings, secrets=secrets, webhook_url=webhook_url
        )
        guard = Guard(
            spec=WhatsAppProvider.spec,
            read_error=WhatsAppProvider.read_error,
            report=reports.append,
            overrides={"": f"{sandbox.url}/whatsapp"},
            settings=settings,
            secrets=secrets,
        )
        return WhatsAppProvider(context, guard)

    return make
