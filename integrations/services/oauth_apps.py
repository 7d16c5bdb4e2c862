"""OAuth apps: the platform's own, seeded from the environment, and how their secrets are kept."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from audit.services import Actor, Target, record
from dispatch.inbox import seal_app_secrets
from dispatch.models import OAuthApp


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
