"""What the lists of billing share: rows that vendors write, shown with their amount, state, integration and payment."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.admin.words import money, state
from core.errors import RegistryError
from core.redaction import redact
from integrations.admin.base import ReadOnlyAdmin, refusal_text
from integrations.admin.show import code
from integrations.contract import ProviderError

DEFERRED = ("vendor_payload",)


class BillingAdmin(ReadOnlyAdmin):
    """
    One list of billing.

    A subclass must name its lists, and may say in `empty_hint` what to do while there is nothing, in `head_text` what
    the list is, and in `head_links` (label, icon, URL name, permission) where its buttons lead.
    """

    list_before_template = "registry/billing/list_head.html"
    list_select_related: Any = ("integration",)
    ordering: Any = ("-created_at",)
    empty_hint: Any = gettext_lazy("Connect a payment account: what it holds appears here by itself.")
    head_text: Any = ""
    head_links: tuple[tuple[Any, str, str, str], ...] = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave the vendor's objects out of lists."""
        rows = super().get_queryset(request)
        name = request.resolver_match.url_name if request.resolver_match else ""
        has_payload = any(field.name in DEFERRED for field in self.model._meta.fields)
        return rows.defer(*DEFERRED) if has_payload and str(name).endswith("_changelist") else rows

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Add the buttons above the list that this person may press."""
        links = [
            {"label": label, "icon": icon, "url": reverse(f"admin:{name}", current_app=self.admin_site.name)}
            for label, icon, name, permission in self.head_links
            if request.user.has_perm(permission)
        ]
        return super().changelist_view(request, {"head_links": links, **(extra_context or {})})

    @admin.display(description=gettext_lazy("amount"), ordering="amount_minor")
    def shown_amount(self, obj: Any) -> str:
        """The amount in the page's language."""
        return money(obj.amount_minor, obj.currency)

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def shown_status(self, obj: Any) -> SafeString:
        """The status, colored."""
        return state(obj)

    @admin.display(description=gettext_lazy("integration"), ordering="integration__name")
    def shown_integration(self, obj: Any) -> SafeString:
        """The integration's name, leading to its page."""
        return self.link("integrations_integration_change", obj.integration_id, obj.integration.name)

    @admin.display(description=gettext_lazy("payment"))
    def shown_payment(self, obj: Any) -> SafeString | str:
        """The payment, leading to its page."""
        if obj.payment_id is None:
            return "-"
        return self.link(
            "billing_payment_change", obj.payment_id, money(obj.payment.amount_minor, obj.payment.currency)
        )

    @admin.display(description=gettext_lazy("the vendor's own part"))
    def shown_payload(self, obj: Any) -> SafeString:
        """The vendor's object, folded, without what may be secret."""
        return format_html("<details><summary>{}</summary>{}</details>", _("Show"), code(redact(obj.vendor_payload)))

    def link(self, name: str, pk: Any, label: Any) -> SafeString:
        """Return a way to another page of this site."""
        url = reverse(f"admin:{name}", args=[pk], current_app=self.admin_site.name)
        return format_html('<a class="rg-link" href="{}">{}</a>', url, label)

    def url_of(self, obj: Any) -> str:
        """Return the address of an object's page."""
        name = f"admin:{obj._meta.app_label}_{obj._meta.model_name}_change"
        return reverse(name, args=[obj.pk], current_app=self.admin_site.name)

    def list_url(self) -> str:
        """Return the address of this list."""
        name = f"admin:{self.model._meta.app_label}_{self.model._meta.model_name}_changelist"
        return reverse(name, current_app=self.admin_site.name)

    def act(self, request: HttpRequest, obj: Any, service: Any, *, done: str) -> HttpResponse:
        """Call one service for a POST, say what came of it, and lead back to the object."""
        if request.method == "POST":
            try:
                service()
                messages.success(request, done)
            except (RegistryError, ProviderError) as error:
                messages.error(request, refusal_text(error))
        return HttpResponseRedirect(self.url_of(obj))


def external(url: str, label: Any) -> SafeString | str:
    """Return a way to a page of the vendor's; only to what a browser may be sent to."""
    if not url.startswith(("https://", "http://")):
        return "-"
    return format_html('<a class="rg-link" href="{}" target="_blank" rel="noopener noreferrer">{}</a>', url, label)


def show_refusal(form: forms.Form, error: RegistryError | ProviderError, names: dict[str, str] | None = None) -> None:
    """
    Show a refusal at the inputs that it is about.

    :param names: the contract's field -> ours, where they differ
    """
    if isinstance(error, ProviderError):
        name = (names or {}).get(error.field or "", error.field or "")
        form.add_error(name if name in form.fields else None, refusal_text(error))
        return
    for field, texts in error.errors.items():
        name = (names or {}).get(field, field)
        form.add_error(name if name in form.fields else None, [_(text) for text in texts])
    if not error.errors:
        form.add_error(None, refusal_text(error))
