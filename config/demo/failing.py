"""One integration that fails on purpose: its key was revoked at the vendor, so that a newcomer sees and mends it."""

from __future__ import annotations

from audit.services import Actor
from config.demo.sandbox_api import SandboxControl
from core.ids import new_id
from integrations.models import Integration
from integrations.services.connect import connect
from integrations.services.health import test_connection

PROVIDER = "stripe"
NAME = "Stripe (fails on purpose)"


def show_failure(control: SandboxControl, *, actor: Actor) -> str:
    """
    Connect Stripe with a key, let the vendor revoke it, test; return the key that mends it.

    Who mended or disconnected it finds it that way at the next start.
    """
    mends_it = control.stripe_key()
    if Integration.objects.filter(provider=PROVIDER).exists():
        return mends_it
    doomed = f"sk_test_sandboxRevoked{new_id().hex[-12:]}"
    control.add_stripe_key(doomed)
    integration = connect(
        provider=PROVIDER,
        name=NAME,
        environment="test",
        credentials={"secret_key": doomed},
        settings={},
        actor=actor,
    )
    control.revoke_stripe_key(doomed)
    test_connection(integration)
    return mends_it
