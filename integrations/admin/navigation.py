"""The menus of both sites as data: groups of entries, each a label, an icon, a URL name and what it takes to see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from notifications.services import unread_count


class Entry(NamedTuple):
    """
    One line of the menu.

    `view` is the URL's name inside the site, `permission` what has_perm is asked, `counted` what stands beside it.
    """

    label: Any
    icon: str
    view: str
    permission: str = ""
    counted: Callable[[HttpRequest], int] | None = None


class Group(NamedTuple):
    """A titled part of the menu."""

    title: Any
    entries: Sequence[Entry]


Menu = Sequence[Group]


def unread_notes(request: HttpRequest) -> int:
    """Count the notes that nobody read; once per request, for the menu and the bell."""
    if not hasattr(request, "_unread_notes"):
        request._unread_notes = unread_count()  # type: ignore[attr-defined]
    return int(request._unread_notes)  # type: ignore[attr-defined]


ORGANIZATION_MENU: Menu = (
    Group(
        None,
        (
            Entry(_("Overview"), "home", "index"),
            Entry(_("Integrations"), "hub", "integrations_integration_changelist"),
            Entry(_("Notifications"), "notifications", "notifications_notification_changelist", counted=unread_notes),
        ),
    ),
    Group(
        _("Channels"),
        (
            Entry(_("Conversations"), "forum", "channels_app_conversation_changelist"),
            Entry(_("Messages"), "chat", "channels_app_message_changelist"),
            Entry(_("Templates"), "description", "channels_app_template_changelist"),
            Entry(_("Files"), "folder", "storage_storedfile_changelist"),
        ),
    ),
    Group(
        _("Payments"),
        (
            Entry(_("Payments"), "payments", "billing_payment_changelist"),
            Entry(_("Refunds"), "undo", "billing_refund_changelist"),
            Entry(_("Customers"), "contacts", "billing_customer_changelist"),
            Entry(_("Subscriptions"), "event_repeat", "billing_subscription_changelist"),
            Entry(_("Invoices"), "receipt_long", "billing_invoice_changelist"),
            Entry(_("Disputes"), "gavel", "billing_dispute_changelist"),
            Entry(_("Payouts"), "account_balance", "billing_payout_changelist"),
            Entry(_("Checkout pages"), "shopping_cart_checkout", "billing_checkoutsession_changelist"),
            Entry(_("Reconciliation"), "balance", "billing_reconciliation_changelist"),
            Entry(_("Refused claims"), "gpp_bad", "billing_evidence_changelist"),
        ),
    ),
    Group(
        _("Activity"),
        (
            Entry(_("Deliveries"), "move_to_inbox", "dispatch_webhookdelivery_changelist"),
            Entry(_("Outbox"), "outbox", "dispatch_outboxentry_changelist"),
            Entry(_("Events"), "bolt", "integrations_event_changelist"),
            Entry(_("Issues"), "report", "integrations_issue_changelist"),
            Entry(_("Health checks"), "monitor_heart", "meter_healthcheck_changelist"),
            Entry(_("Calls"), "call_made", "meter_call_changelist"),
            Entry(_("Usage"), "bar_chart", "meter_usagerecord_changelist"),
            Entry(_("Audit"), "history", "audit_auditentry_changelist"),
        ),
    ),
    Group(
        _("Access"),
        (
            Entry(_("API keys"), "key", "accounts_apikey_changelist", "accounts.view_apikey"),
            Entry(_("Members"), "group", "accounts_membership_changelist", "accounts.view_membership"),
            Entry(_("Invitations"), "mail", "accounts_invitation_changelist", "accounts.view_invitation"),
            Entry(_("Event endpoints"), "webhook", "notifications_eventendpoint_changelist"),
            Entry(_("Notification settings"), "tune", "notifications_mailpreference_changelist"),
        ),
    ),
)

PLATFORM_MENU: Menu = (
    Group(
        None,
        (
            Entry(_("Overview"), "home", "index"),
            Entry(_("Organizations"), "domain", "tenants_organization_changelist", "tenants.view_organization"),
            Entry(_("Integrations"), "hub", "dispatch_link_changelist", "dispatch.view_link"),
        ),
    ),
    Group(
        _("Webhooks"),
        (
            Entry(_("Inbox"), "move_to_inbox", "dispatch_webhookdelivery_changelist", "dispatch.view_webhookdelivery"),
            Entry(_("Dead letters"), "dangerous", "dead_letters", "dispatch.view_webhookdelivery"),
            Entry(_("Refused"), "block", "dispatch_refusedrequest_changelist", "dispatch.view_refusedrequest"),
            Entry(_("Outbox"), "outbox", "dispatch_outboxentry_changelist", "dispatch.view_outboxentry"),
        ),
    ),
    Group(
        _("Providers"),
        (
            Entry(
                _("Incidents"), "crisis_alert", "dispatch_providerincident_changelist", "dispatch.view_providerincident"
            ),
            Entry(_("Vendors"), "storefront", "dispatch_vendor_changelist", "dispatch.view_vendor"),
            Entry(_("OAuth apps"), "passkey", "dispatch_oauthapp_changelist", "dispatch.view_oauthapp"),
        ),
    ),
    Group(
        _("Access"),
        (
            Entry(_("Users"), "person", "accounts_user_changelist", "accounts.view_user"),
            Entry(_("Members"), "group", "accounts_membership_changelist", "accounts.view_membership"),
            Entry(_("API keys"), "key", "accounts_apikey_changelist", "accounts.view_apikey"),
            Entry(_("Audit"), "history", "audit_auditentry_changelist", "audit.view_auditentry"),
        ),
    ),
)


def sidebar(menu: Menu, request: HttpRequest, *, site: Any) -> list[dict[str, Any]]:
    """Build the menu of one request: only what the person may see and what the site serves."""
    groups = []
    for group in menu:
        items = [item for entry in group.entries if (item := _item(entry, request, site)) is not None]
        if items:
            groups.append({"title": group.title, "separator": bool(group.title), "items": items})
    return groups


def _item(entry: Entry, request: HttpRequest, site: Any) -> dict[str, Any] | None:
    if entry.permission and not request.user.has_perm(entry.permission):
        return None
    try:
        link = reverse(f"admin:{entry.view}", current_app=site.name)
    except NoReverseMatch:  # a category app that is not installed has no lists
        return None
    is_index = entry.view == "index"
    is_active = request.path == link if is_index else request.path.startswith(link)
    badge = entry.counted(request) if entry.counted else 0
    return {"title": capfirst(entry.label), "icon": entry.icon, "link": link, "active": is_active, "badge": badge}
