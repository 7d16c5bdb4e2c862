"""OAuth apps: the platform's own, seeded from the environment, and how their secrets are kept and handed to a call."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction

from audit.services import Actor, Target, record
from core.secret import Secrets
from dispatch.inbox import open_app_secrets, seal_app_secrets
from dispatch.models import OAuthApp
from integrations import registry
from tenants.context import current_schema, in_public_schema

APP_SETTING = "oauth_app"
"""The setting that names the app of an account that was connected through one; no field of a spec, never typed."""

KNOWN_FOR_S = 30.0
"""How long a process keeps an app's row, still sealed: apps are edited by hand, and health checks come in hundreds."""


def with_app_secrets(key: str, settings: Mapping[str, Any], secrets: Secrets) -> Secrets:
    """
    Add to an integration's opened secrets those of the app that it was connected through, for one call.

    What the integration has itself wins, and what is a field of the credential stays its own: the platform's webhook
    secret is none of an organization's calls. An app that is gone or disabled adds nothing.
    """
    app = _app(key, settings.get(APP_SETTING))
    if app is None:
        return secrets
    fields = {item.name for item in registry.provider(key).spec.credentials}
    opened = {name: secret.reveal() for name, secret in secrets_of(app).items() if name not in fields}
    own = {name: secret.reveal() for name, secret in secrets.items()}
    return Secrets({"client_id": app.client_id, **opened, **own})


def secrets_of(app: OAuthApp) -> Secrets:
    """Open the secrets of an app; one that keeps none has none."""
    return open_app_secrets(app) if app.sealed_secrets else Secrets({})


_known: dict[str, tuple[float, OAuthApp | None]] = {}


def _app(key: str, app_id: Any) -> OAuthApp | None:
    """Find an enabled app of the platform or of the entered organization, by id."""
    if not app_id:
        return None
    known_until, app = _known.get(str(app_id), (0.0, None))
    if time.monotonic() >= known_until:
        with in_public_schema():
            app = OAuthApp.objects.filter(pk=UUID(str(app_id)), is_enabled=True).first()
        _known[str(app_id)] = time.monotonic() + KNOWN_FOR_S, app
    is_usable = app is not None and app.provider == key and app.organization_schema in {None, current_schema()}
    return app if is_usable else None


@transaction.atomic
def keep_platform_app(
    *, provider: str, client_id: str, secrets: Mapping[str, str], actor: Actor, label: str = ""
) -> OAuthApp:
    """Create or replace the platform's app of a provider; blank secrets are left out. Runs in public."""
    app = OAuthApp.objects.filter(provider=provider, client_id=client_id, organization_schema=None).first()
    is_new = app is None
    app = app or OAuthApp(provider=provider, client_id=client_id)
    app.label = label or app.label or provider
    app.is_enabled = True
    seal_app_secrets(app, secrets)
    app.save()
    _known.clear()
    record(
        action="oauth_app.created" if is_new else "oauth_app.changed",
        actor=actor,
        target=Target(kind="oauth_app", id=str(app.id), label=app.label),
        details={"provider": provider, "fields": sorted(name for name, value in secrets.items() if value)},
    )
    return app


def seed_platform_apps(seeds: Mapping[str, Mapping[str, str]]) -> int:
    """Create the platform's apps that the environment names and no row holds yet; return how many."""
    made = 0
    for provider, seed in seeds.items():
        client_id = seed.get("client_id", "")
        exists = OAuthApp.objects.filter(provider=provider, organization_schema=None, client_id=client_id).exists()
        if client_id and not exists:
            secrets = {name: value for name, value in seed.items() if name != "client_id"}
            keep_platform_app(
                provider=provider, client_id=client_id, secrets=secrets, actor=Actor.system("environment")
            )
            made += 1
    return made
