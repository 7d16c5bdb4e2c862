"""The settings of the customer API, read here and nowhere else."""

from __future__ import annotations

from django.conf import settings

DEFAULT_REQUESTS_PER_MINUTE = 600
"""Ten a second for one key: far above what a well-behaved backend needs, far below what hurts its neighbors."""


def requests_per_minute() -> int:
    """Return how many requests one key may make in a minute."""
    return int(getattr(settings, "API_REQUESTS_PER_MINUTE", DEFAULT_REQUESTS_PER_MINUTE))


def public_url() -> str:
    """Return the address under which customers reach the API, without a slash at its end."""
    return str(settings.PUBLIC_URL)
