"""What every template knows: the organization and whether vendors are overridden."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def product(request: HttpRequest) -> dict[str, Any]:
    """Return the template variables of the product."""
    return {
        "organization": getattr(request, "organization", None),
        "is_sandbox": settings.SANDBOX,
        "has_overrides": bool(settings.SANDBOX or settings.PROVIDER_OVERRIDES),
        "environment_name": settings.ENVIRONMENT_NAME,
    }
