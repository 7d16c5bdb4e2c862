from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from integrations.contract import (
    ApiKeyAuth,
    CallReport,
    Category,
    ErrorRule,
    Field,
    FieldKind,
    Misconfigured,
    OutboundResponse,
    Priority,
    ProviderOutage,
    ProviderSpec,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    VendorError,
)
from integrations.outbound.guard import Guard
from tests.transport.loopback import Loopback, Script
from transport.engine import Transport

SPEC = ProviderSpec(
    key="parcel",
    label="Parcel",
    category=Category.COMMUNICATION,
    priority=Priority.SPECIAL,
    docs_url="https://docs.parcel.example/",
    api_version="v3",
    auth=ApiKeyAuth(field="token"),
    credentials=(
        Field(name="token", label="Token", kind=FieldKind.SECRET),
        Field(name="dsn", label="DSN", kind=FieldKind.SECRET, destination=True),
    ),
    settings=(Field(name="endpoint", label="Endpoint", kind=FieldKind.URL, destination=True),),
    hosts={
        "api": "https://api.parcel.example",
        "media": "https://media.parcel.example",
        "models": "https://models.parcel.example/v1",
    },
    deadlines={"track": 0.3},
    errors=(
        ErrorRule(error=QuotaExhausted, statuses=(429,), codes=("plan_limit",), remedy="Buy more parcels."),
        ErrorRule(error=RateLimited, codes=(4, range(80, 90)), wait_s=60.0),
        ErrorRule(error=RequestRejected, codes=(100,), subcodes=(33,), reason="address_unknown"),
        ErrorRule(error=ProviderOutage, statuses=(range(520, 530),)),
        ErrorRule(error=Misconfigured, exceptions=("ParcelSdkError",), remedy="Choose a region."),
    ),
)


def read_error(response: OutboundResponse) -> VendorError:
    """Read the fictitious vendor's error body; fails like a careless provider on other shapes."""
    error = json.loads(response.body)["error"]
    return VendorError(
        status=response.status,
        code=error.get("code"),
        subcode=error.get("subcode"),
        detail=error.get("message", ""),
        trace_id=error.get("trace", ""),
    )


@pytest.fixture
def reports() -> list[CallReport]:
    return []


@pytest.fixture
def serve() -> Iterator[Callable[[Script], Loopback]]:
    servers: list[Loopback] = []

    def start(script: Script) -> Loopback:
        servers.append(Loopback(script))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def guard(reports: list[CallReport]) -> Iterator[Callable[..., Guard]]:
    transport = Transport()

    def make(base: str = "", **options: Any) -> Guard:
        values = {"spec": SPEC, "read_error": read_error, "report": reports.append, "transport": transport}
        return Guard(**{**values, "overrides": {"": base} if base else {}, **options})

    yield make
    transport.close()
