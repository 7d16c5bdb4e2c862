"""What the two start pages show, each in a handful of queries however many integrations there are."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest

from accounts.models import ApiKey
from core import clock
from dispatch.models import DeliveryStatus, Link, LinkHealth, LinkStatus, RefusedRequest, Vendor, WebhookDelivery
from integrations.admin.show import ICONS, WHO, provider_label
from integrations.contract.errors import Who
from integrations.models import Integration, Issue
from integrations.services.issues import RECONNECT_CAUSES
from notifications import preferences
from notifications.models import Notification
from tenants.context import require_organization
from tenants.models import Organization

CARDS = 60
"""More integrations than this are read in the list, not in cards."""

ISSUES = 10
"""Issues on the start page, of those that the organization must mend and of the others; the list has all."""


def organization_overview(request: HttpRequest) -> dict[str, Any]:
    """Return what the start page of the entered organization shows."""
    schema = require_organization()
    integrations = list(Integration.objects.connected().order_by("-health_since")[:CARDS])
    issues = Issue.objects.filter(resolved_at=None).select_related("integration").order_by("-opened_at")
    return {
        "cards": [_card(integration) for integration in sorted(integrations, key=_worst_first)],
        "attention": _attention(list(issues.filter(who=Who.USER)[:ISSUES])),
        "issues": [
            {"issue": issue, "who": WHO.get(issue.who, issue.who)} for issue in issues.exclude(who=Who.USER)[:ISSUES]
        ],
        "notifications": Notification.objects.filter(organization_schema=schema, read_at=None, closed_at=None).order_by(
            "-created_at"
        )[:5],
        "may_connect": request.user.has_perm("integrations.connect_integration"),
        "may_keys": request.user.has_perm("accounts.add_apikey"),
        "may_people": request.user.has_perm("accounts.add_invitation"),
        "has_keys": ApiKey.objects.filter(organization_schema=schema, revoked_at=None).exists(),
    }


def platform_overview() -> dict[str, Any]:
    """Return how all organizations are doing, from public tables alone."""
    day_ago = clock.now() - timedelta(days=1)
    connected = Link.objects.exclude(status=LinkStatus.DISCONNECTED)
    by_provider = (
        connected.values("provider")
        .annotate(
            total=Count("id"),
            healthy=Count("id", filter=Q(health=LinkHealth.HEALTHY)),
            degraded=Count("id", filter=Q(health=LinkHealth.DEGRADED)),
            failing=Count("id", filter=Q(health=LinkHealth.FAILING)),
        )
        .order_by("-total")
    )
    deliveries = WebhookDelivery.objects.aggregate(
        dead=Count("id", filter=Q(status=DeliveryStatus.DEAD)),
        quarantined=Count("id", filter=Q(status=DeliveryStatus.QUARANTINED)),
        waiting=Count("id", filter=Q(status__in=[DeliveryStatus.RECEIVED, DeliveryStatus.FAILED])),
    )
    return {
        "organizations_open": Organization.objects.open().count(),
        "organizations_building": Organization.objects.exclude(
            status__in=[Organization.Status.ACTIVE, Organization.Status.SUSPENDED]
        ).order_by("-created_at")[:10],
        "providers": [{**row, "label": provider_label(row["provider"])} for row in by_provider],
        "deliveries": deliveries,
        "refused_today": RefusedRequest.objects.filter(received_at__gte=day_ago).count(),
        "incidents": Vendor.objects.exclude(incident="").order_by("-incident_since"),
        "troubled": connected.filter(health=LinkHealth.FAILING).order_by("-since")[:10],
    }


def _attention(issues: list[Issue]) -> list[dict[str, Any]]:
    """Say of each issue that the organization must mend whether a new credential does it, and whether it is muted."""
    muted = preferences.muted({str(issue.integration_id) for issue in issues})
    return [
        {
            "issue": issue,
            "integration": issue.integration,
            "reconnects": issue.cause in RECONNECT_CAUSES,
            "is_muted": str(issue.integration_id) in muted,
        }
        for issue in issues
    ]


def _card(integration: Integration) -> dict[str, Any]:
    return {
        "integration": integration,
        "provider": provider_label(integration.provider),
        "icon": ICONS.get(integration.category, "hub"),
        "who": WHO.get(integration.health_who, ""),
        "is_bad": integration.health in {LinkHealth.FAILING, LinkHealth.DEGRADED}
        or integration.status == LinkStatus.NEEDS_REAUTH,
    }


def _worst_first(integration: Integration) -> int:
    order = [LinkHealth.FAILING, LinkHealth.DEGRADED, LinkHealth.UNVERIFIED, LinkHealth.HEALTHY]
    return order.index(LinkHealth(integration.health))
