"""Customers, subscriptions, invoices, disputes, payouts, pages and comparisons as API.md section 4 writes them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.api.fields import (
    METADATA,
    AmountField,
    CheckoutModeField,
    Data,
    DisputeStatusField,
    InvoiceStatusField,
    MetadataField,
    PayoutStatusField,
    ReconciliationStatusField,
    SubscriptionStatusField,
    WholeField,
)
from billing.api.serializers import PayerSerializer
from billing.models import CheckoutSession, Customer, Dispute, Invoice, Payout, Reconciliation, Subscription
from billing.services import client_secrets
from integrations.api.fields import OptionalText, TimeField
from integrations.generate.strict import StrictSerializer

_COMMON = ("id", "integration", "external_id")
_TIMES = ("created_at", "updated_at")


class _Mirrored(serializers.ModelSerializer[Any]):
    """What all mirrored objects have in common."""

    integration = serializers.UUIDField(source="integration_id")
    external_id = OptionalText()
    metadata = serializers.SerializerMethodField()
    created_at = TimeField()
    updated_at = TimeField()

    @extend_schema_field(METADATA)
    def get_metadata(self, row: Any) -> Any:
        """Return the caller's texts."""
        return row.metadata


class CustomerSerializer(_Mirrored):
    """Somebody whom the provider keeps, so that they may be charged again."""

    email = OptionalText()
    name = OptionalText()
    phone = OptionalText()
    tax_id = OptionalText()

    class Meta:
        model = Customer
        fields = (*_COMMON, "email", "name", "phone", "tax_id", "is_deleted", "metadata", *_TIMES)


class CustomerInputSerializer(StrictSerializer):
    """A customer to keep at the provider."""

    integration = serializers.CharField()
    email = serializers.CharField(max_length=254)
    name = serializers.CharField(max_length=200, required=False, allow_blank=True)
    phone = serializers.CharField(max_length=40, required=False, allow_blank=True, help_text="With its plus.")
    tax_id = serializers.CharField(max_length=30, required=False, allow_blank=True)
    metadata = MetadataField(required=False)


class SubscriptionSerializer(_Mirrored):
    """A subscription; its client secret is in the answers about it alone, not in lists or events."""

    customer = serializers.UUIDField(source="customer_id", allow_null=True)
    status = SubscriptionStatusField()
    price = OptionalText(help_text="The provider's id.")
    currency = OptionalText()
    current_period_start = TimeField(allow_null=True)
    current_period_end = TimeField(allow_null=True)
    trial_end = TimeField(allow_null=True)
    url = OptionalText(help_text="A page of the provider's to confirm on, where there is one.")

    class Meta:
        model = Subscription
        fields = (
            *_COMMON, "customer", "status", "price", "quantity", "amount_minor", "currency", "current_period_start",
            "current_period_end", "trial_end", "cancel_at_period_end", "url", "metadata", *_TIMES,
        )  # fmt: skip


class SubscriptionDetailSerializer(SubscriptionSerializer):
    """One subscription with what the payer's browser needs to confirm it."""

    client_secret = serializers.SerializerMethodField()

    class Meta(SubscriptionSerializer.Meta):
        fields = (*SubscriptionSerializer.Meta.fields, "client_secret")  # type: ignore[assignment]

    @extend_schema_field({"type": ["string", "null"]})
    def get_client_secret(self, row: Subscription) -> str | None:
        """Open the secret for this answer."""
        secret = client_secrets.opened(row)
        return secret.reveal() if secret else None


class SubscriptionInputSerializer(StrictSerializer):
    """A subscription to begin."""

    integration = serializers.CharField()
    customer = serializers.CharField(
        required=False, allow_null=True, max_length=200, help_text="Our id of a customer, or the provider's."
    )
    payer = PayerSerializer(required=False, help_text="Where the provider knows no customers.")
    price = serializers.CharField(max_length=200, help_text="The provider's id of a price.")
    quantity = WholeField(required=False)
    trial_days = WholeField(required=False)
    return_url = serializers.CharField(required=False, allow_blank=True, max_length=2000)
    metadata = MetadataField(required=False)


class SubscriptionChangeSerializer(StrictSerializer):
    """Parts of a subscription to change; what is absent stays."""

    price = serializers.CharField(required=False, max_length=200)
    quantity = WholeField(required=False)
    cancel_at_period_end = serializers.BooleanField(required=False)
    metadata = MetadataField(required=False)


class InvoiceSerializer(_Mirrored):
    """An invoice. Ids of other objects are the provider's."""

    status = InvoiceStatusField()
    subscription_external_id = OptionalText()
    customer_external_id = OptionalText()
    payment_external_ids = serializers.ListField(child=serializers.CharField())
    number = OptionalText()
    url = OptionalText()
    due_at = TimeField(allow_null=True)

    class Meta:
        model = Invoice
        fields = (
            *_COMMON, "status", "amount_due_minor", "amount_paid_minor", "currency", "subscription_external_id",
            "customer_external_id", "payment_external_ids", "number", "url", "due_at", "metadata", *_TIMES,
        )  # fmt: skip


class DisputeSerializer(_Mirrored):
    """A payer's bank takes a payment back, or tries to."""

    payment = serializers.UUIDField(source="payment_id", allow_null=True)
    status = DisputeStatusField()
    reason = OptionalText()
    evidence_due_at = TimeField(allow_null=True)

    class Meta:
        model = Dispute
        fields = (
            *_COMMON, "payment", "status", "amount_minor", "currency", "reason", "evidence_due_at", "metadata", *_TIMES,
        )  # fmt: skip


class PayoutSerializer(_Mirrored):
    """Money on its way to the organization's bank."""

    status = PayoutStatusField()
    arrives_at = TimeField(allow_null=True)

    class Meta:
        model = Payout
        fields = (*_COMMON, "status", "amount_minor", "currency", "arrives_at", "metadata", *_TIMES)


class CheckoutSerializer(_Mirrored):
    """A page of the provider's to pay on."""

    mode = CheckoutModeField()
    payment = serializers.UUIDField(source="payment_id", allow_null=True)
    subscription_external_id = OptionalText()
    expires_at = TimeField(allow_null=True)

    class Meta:
        model = CheckoutSession
        fields = (
            *_COMMON, "mode", "url", "is_open", "payment", "subscription_external_id", "expires_at", "metadata",
            *_TIMES,
        )  # fmt: skip


class LineItemSerializer(StrictSerializer):
    """What is bought: a price of the provider's, or a name with an amount."""

    price = serializers.CharField(required=False, max_length=200)
    name = serializers.CharField(required=False, max_length=250)
    amount_minor = AmountField(required=False)
    currency = serializers.CharField(required=False, max_length=10)
    quantity = WholeField(required=False)


class CheckoutInputSerializer(StrictSerializer):
    """A page to make."""

    integration = serializers.CharField()
    mode = CheckoutModeField()
    line_items = LineItemSerializer(many=True)
    customer = serializers.CharField(required=False, allow_null=True, max_length=200)
    success_url = serializers.CharField(max_length=2000)
    cancel_url = serializers.CharField(max_length=2000)
    metadata = MetadataField(required=False)


class PortalInputSerializer(StrictSerializer):
    """A visit of a customer's own page."""

    integration = serializers.CharField()
    customer = serializers.CharField(max_length=200, help_text="Our id of a customer, or the provider's.")
    return_url = serializers.CharField(max_length=2000)


class UrlSerializer(Data):
    """An address to send somebody to; it lives shortly."""

    url = serializers.CharField()


class AccountLinkInputSerializer(StrictSerializer):
    """Where the owner of a connected account comes back to."""

    refresh_url = serializers.CharField(max_length=2000)
    return_url = serializers.CharField(max_length=2000)


class AccountLinkSerializer(UrlSerializer):
    """A single-use address where the account's owner completes it."""

    expires_at = TimeField()


class PriceSerializer(Data):
    """A price that subscriptions and checkout pages may name by its `external_id`."""

    external_id = serializers.CharField()
    name = serializers.CharField(source="label")
    amount_minor = serializers.IntegerField(allow_null=True)
    currency = serializers.CharField()
    interval = OptionalText(help_text="day, week, month or year; null: paid once.")
    interval_count = serializers.IntegerField()
    is_active = serializers.BooleanField()


class PaymentMethodSerializer(Data):
    """A way to pay that the account accepts now."""

    id = serializers.CharField(help_text="The provider's.")
    method = serializers.CharField(source="kind")
    name = serializers.CharField(source="label")
    is_active = serializers.BooleanField()
    min_amount_minor = serializers.IntegerField(allow_null=True)
    max_amount_minor = serializers.IntegerField(allow_null=True)


class InstallmentSerializer(Data):
    """One row of the provider's table."""

    count = serializers.IntegerField()
    amount_minor = serializers.IntegerField()
    total_minor = serializers.IntegerField()
    currency = serializers.CharField()
    rate_percent = serializers.CharField(help_text="Exact text.")
    text = OptionalText(source="label")


class StaticCodeInputSerializer(StrictSerializer):
    """A static BR Code, from a key or from an integration's own."""

    integration = serializers.CharField(required=False, help_text="Instead of key, name and city.")
    key = serializers.CharField(required=False, max_length=100)
    key_type = serializers.CharField(required=False, max_length=10, help_text="Where a key could be two things.")
    merchant_name = serializers.CharField(required=False, max_length=100)
    merchant_city = serializers.CharField(required=False, max_length=100)
    amount_minor = AmountField(required=False, allow_null=True)
    txid = serializers.CharField(required=False, allow_blank=True, max_length=40)
    description = serializers.CharField(required=False, allow_blank=True, max_length=100)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask for the parts of a code."""
        given = {name for name in _PARTS if attrs.get(name)}
        if attrs.get("integration"):
            if given or attrs.get("key_type"):
                raise serializers.ValidationError({"integration": ["Give an integration, or a key, not both."]})
        elif missing := [name for name in _PARTS if name not in given]:
            raise serializers.ValidationError({name: ["This field is required."] for name in missing})
        return attrs


_PARTS = ("key", "merchant_name", "merchant_city")


class StaticCodeSerializer(Data):
    """A code to copy and its picture."""

    brcode = serializers.CharField()
    qr_code_base64 = serializers.CharField(help_text="PNG.")


class ReconciliationSerializer(serializers.ModelSerializer[Reconciliation]):
    """One integration's payments of one day (UTC), compared with the provider's list."""

    integration = serializers.UUIDField(source="integration_id")
    status = ReconciliationStatusField()
    totals = serializers.DictField()
    differences = serializers.ListField(child=serializers.DictField())
    error = serializers.DictField(allow_null=True)
    compared_at = TimeField()

    class Meta:
        model = Reconciliation
        fields = (
            "id", "integration", "day", "status", "vendor_count", "our_count", "repaired_count", "different_count",
            "totals", "differences", "error", "compared_at",
        )  # fmt: skip
