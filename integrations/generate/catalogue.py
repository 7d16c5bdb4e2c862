"""A provider as the catalogue shows it, from its spec and its capabilities alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from integrations.contract import (
    ApiKeyAuth,
    DsnAuth,
    Field,
    MutualTlsAuth,
    OAuth2Auth,
    Provider,
    RateLimit,
    ServiceAccountAuth,
)

AUTH_NAMES: Mapping[type[Any], str] = {
    ApiKeyAuth: "api_key",
    OAuth2Auth: "oauth2",
    ServiceAccountAuth: "service_account",
    DsnAuth: "dsn",
    MutualTlsAuth: "mutual_tls",
}

_WORD = re.compile(r"(?<!^)(?=[A-Z])")


def describe(provider: type[Provider]) -> dict[str, Any]:
    """Describe a provider in the shape of `GET /providers/{key}/`."""
    spec = provider.spec
    return {
        "key": spec.key,
        "label": spec.label,
        "category": str(spec.category),
        "api_version": spec.api_version,
        "auth": AUTH_NAMES[type(spec.auth)],
        "docs_url": spec.docs_url,
        "credentials": [describe_field(item) for item in spec.credentials],
        "settings": [describe_field(item) for item in spec.settings],
        "capabilities": capabilities_of(provider),
        "webhook_events": list(spec.webhook.events) if spec.webhook else [],
        "limits": [describe_limit(limit) for limit in spec.limits],
    }


def describe_field(item: Field) -> dict[str, Any]:
    """Describe one field of a form; choices are empty where anything may be typed."""
    return {
        "name": item.name,
        "label": item.label,
        "kind": str(item.kind),
        "required": item.required,
        "secret": item.is_secret,
        "pattern": item.pattern,
        "help": item.help,
        "example": item.example,
        "default": item.default,
        "choices": [{"value": value, "label": label} for value, label in item.choices],
    }


def describe_limit(limit: RateLimit) -> dict[str, Any]:
    """Describe one of the vendor's limits; no operations means all of them."""
    return {
        "scope": str(limit.scope),
        "count": limit.count,
        "per_s": limit.per_s,
        "burst": limit.burst,
        "operations": list(limit.operations),
    }


def capabilities_of(provider: type[Provider]) -> list[str]:
    """Name the capabilities a provider mixes in, such as receives_webhooks: each is a class of a contract."""
    return sorted(
        _WORD.sub("_", base.__name__).lower()
        for base in provider.__mro__
        if not issubclass(base, Provider) and "contract" in base.__module__.split(".")
    )
