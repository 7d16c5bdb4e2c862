"""Making the gate of one integration: whose limits count, and the Redis that keeps them."""

from __future__ import annotations

import hashlib
import os
import time
from functools import cache

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from dispatch.models import OAuthApp
from integrations import registry
from integrations.contract import IntegrationContext, OAuth2Auth, Scope
from integrations.outbound.gate import Circuit, LimitedGate
from integrations.outbound.limits import Limiter, Limits, Place
from tenants.context import current_schema, in_public_schema

REDIS_ANSWERS_WITHIN_S = 0.5
"""A take lasts under a millisecond; whoever waits longer than this is stricter by itself instead."""

CONNECTIONS = 16
"""Per process: the threads of one process that call out at the same moment, and a few that wait their turn."""

APPS_KNOWN_FOR_S = 60.0
"""How long a process keeps the ids of the platform's apps."""

_OWNED = (Scope.APP, Scope.PORTFOLIO)


def gate_for(context: IntegrationContext, *, circuit: Circuit | None = None) -> LimitedGate:
    """
    Make the gate of an integration of the entered organization; without a circuit no breaker is asked.

    The gate itself touches the database only where its circuit does, and needs no organization.
    """
    provider = registry.provider(context.provider)
    owners = {scope: provider.limit_owner(context, scope) for scope in _OWNED}
    is_shared = bool(owners[Scope.APP]) and owners[Scope.APP] in _platform_apps(context.provider)
    shared = frozenset({Scope.APP}) if is_shared else frozenset()
    place = Place(
        schema=current_schema(),
        integration_id=context.id,
        digest_key=_digest_key(),
        owners=owners,
        shared=shared,
        # A token that our own dialog got is of our app for certain; an app's id that was typed in may be a lie, and a
        # liar's answers must not slow others. Rates are shared either way: of those a liar gets no more than a share.
        trusted=shared if isinstance(provider.spec.auth, OAuth2Auth) else frozenset(),
    )
    return LimitedGate(limits=Limits(provider.spec, place), limiter=limiter(os.getpid()), circuit=circuit)


@cache
def limiter(pid: int) -> Limiter:
    """Return this process's limiter; sockets do not survive a fork, so a child makes its own."""
    pool = redis.BlockingConnectionPool.from_url(
        settings.REDIS_URL,
        max_connections=CONNECTIONS,
        timeout=REDIS_ANSWERS_WITHIN_S,
        socket_timeout=REDIS_ANSWERS_WITHIN_S,
        socket_connect_timeout=REDIS_ANSWERS_WITHIN_S,
        retry=Retry(NoBackoff(), 0),  # the limiter has its own answer to a Redis that is away
    )
    return Limiter(redis.Redis(connection_pool=pool))


@cache
def _digest_key() -> bytes:
    return hashlib.sha256(f"limits:{settings.SECRET_KEY}".encode()).digest()


_apps: dict[str, tuple[float, frozenset[str]]] = {}


def _platform_apps(provider: str) -> frozenset[str]:
    known_until, ids = _apps.get(provider, (0.0, frozenset[str]()))
    if time.monotonic() < known_until:
        return ids
    with in_public_schema():
        rows = OAuthApp.objects.filter(organization_schema=None, provider=provider, is_enabled=True)
        ids = frozenset(rows.values_list("client_id", flat=True))
    _apps[provider] = time.monotonic() + APPS_KNOWN_FOR_S, ids
    return ids
