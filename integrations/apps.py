"""The framework as a Django app."""

from typing import Any, ClassVar

from django.apps import AppConfig

from notifications.endpoints.catalogue import TYPES

_OF_INTEGRATIONS = [name for name in TYPES if name.partition(".")[0] in {"integration", "credential"}]
_OF_ISSUES = [name for name in TYPES if name.startswith("issue.")]


class IntegrationsConfig(AppConfig):
    """Tables of an organization: Integration, Credential, Event, Issue."""

    name = "integrations"
    verbose_name = "Integrations"
    handlers: ClassVar[dict[str, Any]] = {
        "outbox": {
            "webhook.register": "integrations.services.webhooks.REGISTER_WEBHOOK",
            "credential.retire": "integrations.services.rotation.RETIRE_CREDENTIAL",
            "notification.mail": "integrations.services.mailing.SEND_MAIL",
            "event.publish": "integrations.services.outbox.PUBLISH_EVENT",
            "endpoint.deliver": "integrations.services.endpoints.DELIVER_EVENT",
            "endpoint.probe": "integrations.services.endpoints.PROBE_ENDPOINT",
        },
        "published": dict.fromkeys(TYPES, "integrations.services.endpoints.keep"),
        "payloads": {
            **dict.fromkeys(_OF_INTEGRATIONS, "integrations.api.payloads.integrations"),
            **dict.fromkeys(_OF_ISSUES, "integrations.api.payloads.issues"),
        },
    }

    def ready(self) -> None:
        """Resolve every handler and provider now, so that a wrong path stops the start."""
        from dispatch import outbox
        from integrations import checks, registry  # noqa: F401
        from integrations.services import endpoints

        registry.load()
        outbox.set_subscribed(registry.published_types())
        outbox.set_keeper(endpoints.keep_facts, registry.types_only_for(endpoints.keep))
