"""How values look in lists: colored words for states, providers by their names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integrations import registry

TONES: Mapping[str, str] = {
    "active": "good", "healthy": "good", "processed": "good", "done": "good", "read": "good", "delivered": "good",
    "approved": "good", "sent": "info", "received": "info", "processing": "info", "working": "info",
    "creating": "info", "pending": "info", "queued": "muted", "waiting": "muted", "ignored": "muted",
    "unverified": "muted", "disabled": "muted", "disconnected": "muted", "parked": "warn", "degraded": "warn",
    "quarantined": "warn", "needs_reauth": "warn", "paused": "warn", "suspended": "warn", "expired": "warn",
    "failed": "bad", "failing": "bad", "dead": "bad", "rejected": "bad", "canceled": "muted",
}  # fmt: skip
"""The color of a state, wherever the state is from; unknown ones are muted."""

WHO = {
    "user": gettext_lazy("Your organization"),
    "caller": gettext_lazy("Whoever sent the request"),
    "nobody": gettext_lazy("Nobody: it is tried again by itself"),
    "us": gettext_lazy("The platform's team"),
    "": "",
}
"""Who must act, in words."""

CATEGORIES = {
    "communication": gettext_lazy("Messaging and social"),
    "payments": gettext_lazy("Payments"),
    "ai": gettext_lazy("Artificial intelligence"),
    "storage": gettext_lazy("Storage"),
    "analytics": gettext_lazy("Analytics"),
    "monitoring": gettext_lazy("Monitoring"),
}
"""The categories of the catalogue, in its order."""

ICONS = {
    "communication": "forum",
    "payments": "payments",
    "ai": "neurology",
    "storage": "cloud",
    "analytics": "monitoring",
    "monitoring": "health_metrics",
}


def badge(value: str, label: Any = "") -> SafeString:
    """Return a state as a colored word."""
    return format_html('<span class="rg-badge rg-{}">{}</span>', TONES.get(value, "muted"), label or value)


def provider_label(key: str) -> str:
    """Return a provider's name, or its key where the provider is no longer installed."""
    found = registry.find(key)
    return found.spec.label if found else key


def pretty(value: Any) -> str:
    """Return JSON as people read it."""
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False, default=str)


def code(value: Any) -> SafeString:
    """Return JSON in a block that scrolls."""
    return format_html('<pre class="rg-code">{}</pre>', pretty(value))


def verdict_label(capability: str) -> str:
    """Return the words for a capability such as send_messages."""
    return _(capability.replace("_", " ").capitalize())
