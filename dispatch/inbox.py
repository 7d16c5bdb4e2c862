"""
Receiving: from the digest of a URL token to a committed row, in two statements.

Everything here runs over the `ingress` connection: autocommit, always public, no SET search_path.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

import vault.services as vault
from core import clock
from core.ids import new_id
from core.redaction import redact_headers
from core.secret import Secret, Secrets
from dispatch.models import OAuthApp, RefusedRequest, Route
from dispatch.prepared import Statement
from vault.services import SealContext

BODY_FIELD = "delivery.body"
ROUTE_FIELD = "route.secrets"
APP_FIELD = "oauth_app.secrets"
PREVIOUS, UNTIL = ".previous", ".previous_until"
"""Endings of the names under which a route keeps a replaced secret; no field of a spec has a dot."""

FIND_ROUTE = Statement(
    "find_route",
    """
    SELECT id, organization_schema, link_id, sealed_secrets, secrets_version, is_enabled
    FROM dispatch_route WHERE token_digest = %(digest)s AND provider = %(provider)s
    """,
    parameters={"digest": "bytes", "provider": "text"},
    columns=["uuid", "text", "uuid", "bytes", "integer", "boolean"],
)

STORE = Statement(
    "store_delivery",
    """
    WITH seen AS (
        INSERT INTO dispatch_inboxkey (organization_schema, route_key, digest, received_at)
        VALUES (%(schema)s, %(route_key)s, %(digest)s, %(now)s)
        ON CONFLICT (route_key, digest) DO NOTHING RETURNING 1
    )
    INSERT INTO dispatch_webhookdelivery (
        id, organization_schema, link_id, provider, account_key, headers, sealed_body, body_bytes, status, event_ids,
        received_at, attempts, crashes, next_attempt_at, error_class, error_text
    )
    SELECT %(id)s, %(schema)s, %(link_id)s, %(provider)s, '', %(headers)s, %(body)s, %(size)s, 'received', '{}',
        %(now)s, 0, 0, %(now)s, '', ''
    WHERE EXISTS (SELECT 1 FROM seen) OR %(repeats)s
    RETURNING id
    """,
    parameters={
        "id": "uuid",
        "schema": "text",
        "link_id": "uuid",
        "provider": "text",
        "route_key": "text",
        "digest": "bytes",
        "headers": "json",
        "body": "bytes",
        "size": "integer",
        "now": "time",
        "repeats": "boolean",
    },
    columns=["uuid"],
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRoute:
    """A route by its token; `secrets` are opened for verifying only."""

    id: UUID
    organization_schema: str
    link_id: UUID
    is_enabled: bool
    sealed_secrets: bytes | None
    secrets_version: int

    def open(self) -> Secrets:
        """Open what verifies this route's webhooks."""
        if self.sealed_secrets is None:
            return Secrets({})
        return vault.open_secrets(
            self.sealed_secrets,
            _place(self.organization_schema, self.id, ROUTE_FIELD, self.secrets_version),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One verified HTTP hit, to be stored. Without a route it belongs to the platform's URL of a provider."""

    provider: str
    headers: Mapping[str, str]
    body: bytes
    route: FoundRoute | None = None
    delivery_id: str = ""
    repeats: bool = False
    received_at: datetime


def find_route(*, provider: str, token: str) -> FoundRoute | None:
    """Find the route of a webhook URL: the one look-up of receiving."""
    row = FIND_ROUTE.first({"digest": vault.token_digest(token), "provider": provider}, over=_connection())
    if row is None:
        return None
    return FoundRoute(
        id=row[0],
        organization_schema=row[1],
        link_id=row[2],
        sealed_secrets=bytes(row[3]) if row[3] is not None else None,
        secrets_version=row[4],
        is_enabled=row[5],
    )


def store(hit: Hit) -> UUID | None:
    """
    Store a verified hit and the key that it was seen, in one statement; return its id, None for a repetition.

    The digest is keyed by the organization, over the vendor's delivery id where there is one, else over the body.
    """
    schema = hit.route.organization_schema if hit.route else vault.PLATFORM
    delivery_id = new_id()
    digest = vault.keyed_digest(hit.delivery_id.encode() or hit.body, organization_schema=schema, purpose="inbox")
    parameters = {
        "id": delivery_id,
        "schema": hit.route.organization_schema if hit.route else None,
        "link_id": hit.route.link_id if hit.route else None,
        "provider": hit.provider,
        "route_key": f"route:{hit.route.id}" if hit.route else f"app:{hit.provider}",
        "digest": digest,
        "headers": json.dumps(redact_headers(hit.headers)),
        "body": seal_body(hit.body, organization_schema=schema, delivery_id=delivery_id),
        "size": len(hit.body),
        "now": hit.received_at,
        "repeats": hit.repeats,
    }
    return delivery_id if STORE.first(parameters, over=_connection()) else None


def seal_body(body: bytes, *, organization_schema: str, delivery_id: UUID) -> bytes:
    """Seal a raw body for its delivery."""
    return vault.seal(body, _place(organization_schema, delivery_id, BODY_FIELD))


def open_body(sealed: bytes | memoryview, *, organization_schema: str | None, delivery_id: UUID) -> bytes:
    """
    Open the raw body of a delivery.

    :raises SealBroken: the blob does not belong here
    """
    return vault.open_bytes(sealed, _place(organization_schema or vault.PLATFORM, delivery_id, BODY_FIELD))


def verifying_secrets(opened: Sequence[Secrets], field: str, *, at: datetime) -> list[Secret]:
    """Pick what may verify a webhook that arrived at a moment: each secret, and the one before it until its date."""
    current = [secrets[field] for secrets in opened if field in secrets]
    return [*current, *(secrets[f"{field}{PREVIOUS}"] for secrets in opened if _still_verifies(secrets, field, at))]


def with_previous(values: Mapping[str, str], field: str, *, before: Secrets, until: datetime) -> dict[str, str]:
    """Add to a route's new values the secret that they replace, or the one that still overlaps."""
    kept = dict(values)
    if field not in values or field not in before:
        return kept
    if not before[field].matches(values[field]):
        return kept | {f"{field}{PREVIOUS}": before[field].reveal(), f"{field}{UNTIL}": until.isoformat()}
    return kept | {name: before[name].reveal() for name in (f"{field}{PREVIOUS}", f"{field}{UNTIL}") if name in before}


def _still_verifies(secrets: Secrets, field: str, at: datetime) -> bool:
    until = secrets.get(f"{field}{UNTIL}")
    return until is not None and at < datetime.fromisoformat(until.reveal())


def open_route_secrets(route: Route) -> Secrets:
    """Open what a route verifies with now, to seal it anew."""
    if route.sealed_secrets is None:
        return Secrets({})
    place = _place(route.organization_schema, route.id, ROUTE_FIELD, route.secrets_version)
    return vault.open_secrets(bytes(route.sealed_secrets), place)


def seal_route_secrets(values: Mapping[str, str], *, organization_schema: str, route_id: UUID, version: int) -> bytes:
    """Seal a second copy of what verifies a route's webhooks, so that receiving is one look-up."""
    return vault.seal_secrets(values, _place(organization_schema, route_id, ROUTE_FIELD, version))


_APP_CACHE: dict[str, tuple[float, list[Secrets]]] = {}
_APP_CACHE_S = 30.0
"""Platform apps are few and edited by hand; half a minute late is fine and saves a statement per webhook."""


def platform_app_secrets(provider: str) -> list[Secrets]:
    """Return the opened secrets of the platform's own apps of a provider, the only ones its shared URL trusts."""
    cached = _APP_CACHE.get(provider)
    if cached and cached[0] > time.monotonic():
        return cached[1]
    apps = OAuthApp.objects.using(settings.INGRESS_DATABASE).filter(
        provider=provider, organization_schema=None, is_enabled=True
    )
    opened = [open_app_secrets(app) for app in apps if app.sealed_secrets]
    if opened:  # a first app is seen at once
        _APP_CACHE[provider] = (time.monotonic() + _APP_CACHE_S, opened)
    return opened


def open_app_secrets(app: OAuthApp) -> Secrets:
    """Open the secrets of an OAuth app."""
    if app.organization_schema is None:
        text = vault.open_platform_secret(bytes(app.sealed_secrets or b""), label=f"oauth_app:{app.id}").reveal()
        return Secrets(json.loads(text))
    return vault.open_secrets(bytes(app.sealed_secrets or b""), _place(app.organization_schema, app.id, APP_FIELD))


def seal_app_secrets(app: OAuthApp, values: Mapping[str, str]) -> None:
    """Seal the secrets of an OAuth app; the caller saves it."""
    kept = {name: value for name, value in values.items() if value}
    if app.organization_schema is None:
        app.sealed_secrets = vault.seal_platform_secret(json.dumps(kept), label=f"oauth_app:{app.id}")
    else:
        context = _place(app.organization_schema, app.id, APP_FIELD)
        app.sealed_secrets = vault.seal_secrets(kept, context)
    _APP_CACHE.pop(app.provider, None)


REFUSED_PER_MINUTE = 5
"""How many refused webhooks per route and minute and process leave a sample row; the rest is only counted."""

REFUSED_WINDOWS = 1000  # counters kept in memory; more of them are forgotten together
_refused: dict[tuple[str, int], int] = {}


def keep_refused_sample(
    *, provider: str, reason: str, headers: Mapping[str, str], size: int, route: FoundRoute | None
) -> bool:
    """Keep a small sample of refused webhooks; return whether this one was kept."""
    window = (str(route.id) if route else provider, int(time.monotonic() // 60))
    if len(_refused) > REFUSED_WINDOWS:
        _refused.clear()
    _refused[window] = _refused.get(window, 0) + 1
    if _refused[window] > REFUSED_PER_MINUTE:
        return False
    RefusedRequest.objects.using(settings.INGRESS_DATABASE).create(
        organization_schema=route.organization_schema if route else None,
        link_id=route.link_id if route else None,
        provider=provider,
        reason=reason[:20],
        headers=redact_headers(headers),
        body_bytes=size,
        received_at=clock.now(),
    )
    return True


def _connection() -> BaseDatabaseWrapper:
    return connections[settings.INGRESS_DATABASE]


def _place(organization_schema: str, owner: UUID, field: str, version: int = 0) -> SealContext:
    return SealContext(organization_schema=organization_schema, owner=str(owner), field=field, version=version)
