"""The admin of the framework; importing it registers every page with its site (Django's autodiscovery does)."""

from integrations.admin import (
    connect,
    deliveries,
    endpoints,
    incidents,
    integrations,
    issues,
    notes,
    outbox,
    people,
    platform,
    records,
    usage,
    users,
)
from integrations.admin.sites import organization_site, platform_site

__all__ = [
    "connect",
    "deliveries",
    "endpoints",
    "incidents",
    "integrations",
    "issues",
    "notes",
    "organization_site",
    "outbox",
    "people",
    "platform",
    "platform_site",
    "records",
    "usage",
    "users",
]
