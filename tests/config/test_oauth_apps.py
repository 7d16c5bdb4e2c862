"""The apps of the platform that the environment names."""

from __future__ import annotations

import json

from tests.config.test_start import check, production

NAMED = {
    "META_APP_ID": "meta-app", "META_APP_SECRET": "meta-test", "META_VERIFY_TOKEN": "verify-test",
    "STRIPE_CLIENT_ID": "ca_test", "STRIPE_PLATFORM_KEY": "sk_test", "STRIPE_CONNECT_WEBHOOK_SECRET": "whsec_test",
    "MERCADOPAGO_CLIENT_ID": "mp-app", "MERCADOPAGO_CLIENT_SECRET": "mp-test", "MERCADOPAGO_WEBHOOK_SECRET": "mp-hook",
}  # fmt: skip


def test_are_read_under_the_names_that_their_providers_use() -> None:
    shown = "import json; from django.conf import settings; print(json.dumps(settings.OAUTH_APP_SEEDS))"

    result = check(production(**NAMED), "shell", "--no-imports", "-c", shown)

    seeds = json.loads(result.stdout.splitlines()[-1])
    assert seeds["whatsapp"] == {"client_id": "meta-app", "app_secret": "meta-test", "verify_token": "verify-test"}
    assert seeds["stripe"] == {"client_id": "ca_test", "platform_key": "sk_test", "webhook_secret": "whsec_test"}
    assert seeds["mercadopago"] == {
        "client_id": "mp-app", "client_secret": "mp-test", "webhook_secret": "mp-hook",
    }  # fmt: skip
