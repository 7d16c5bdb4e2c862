"""Payments and refunds as API.md section 4 writes them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.api.fields import (
    ERROR,
    METADATA,
    NEXT_ACTION,
    PAYER,
    AmountField,
    Data,
    EvidenceSourceField,
    MetadataField,
    PaymentMethodKindField,
    PaymentStatusField,
    RefundStatusField,
    RungField,
    WholeField,
)
from billing.contract import ActionKind
from billing.models import Evidence, Payment, Refund
from billing.services import client_secrets
from integrations.api.fields import OptionalText, TimeField
from integrations.generate.strict import StrictSerializer

SHOWN_CLAIMS = 50
"""Claims shown with a payment, the newest."""


class AddressSerializer(StrictSerializer):
    """Where a payer lives."""

    postal_code = serializers.CharField(max_length=20)
    street = serializers.CharField(max_length=200)
    number = serializers.CharField(max_length=20)
    neighborhood = serializers.CharField(max_length=100)
    city = serializers.CharField(max_length=100)
    state = serializers.CharField(max_length=60)


class PayerSerializer(StrictSerializer):
    """Who pays."""

    email = serializers.CharField(max_length=254, required=False, allow_blank=True)
    name = serializers.CharField(max_length=200, required=False, allow_blank=True)
    tax_id = serializers.CharField(max_length=30, required=False, allow_blank=True)
    phone = serializers.CharField(max_length=40, required=False, allow_blank=True)
    address = AddressSerializer(required=False)


class CardSerializer(StrictSerializer):
    """A card as the provider's script made it in the payer's browser."""

    token = serializers.CharField(max_length=300, write_only=True)
    brand = serializers.CharField(max_length=40, required=False, allow_blank=True)
    issuer = serializers.CharField(max_length=40, required=False, allow_blank=True)


class PaymentInputSerializer(StrictSerializer):
    """A payment to make."""

    integration = serializers.CharField()
    amount_minor = AmountField()
    currency = serializers.CharField(max_length=10, help_text="ISO 4217, upper case.")
    method = PaymentMethodKindField()
    customer = serializers.CharField(
        required=False, allow_null=True, max_length=200, help_text="Our id of a customer, or the provider's."
    )
    payer = PayerSerializer(required=False, help_text="Needed, with an e-mail address, unless the customer has one.")
    card = CardSerializer(required=False, allow_null=True)
    description = serializers.CharField(required=False, allow_blank=True, max_length=500)
    installments = WholeField(required=False)
    expires_in_s = WholeField(required=False, allow_null=True, help_text="When an unpaid PIX or boleto ends.")
    metadata = MetadataField(required=False)
    return_url = serializers.CharField(required=False, allow_blank=True, max_length=2000)


class RefundSerializer(serializers.ModelSerializer[Refund]):
    """Part or all of a payment on its way back."""

    integration = serializers.UUIDField(source="integration_id")
    payment = serializers.UUIDField(source="payment_id")
    status = RefundStatusField()
    amount_minor = AmountField()
    external_id = OptionalText()
    reason = OptionalText()
    error = serializers.SerializerMethodField()
    created_at = TimeField()
    updated_at = TimeField()

    class Meta:
        model = Refund
        fields = (
            "id", "integration", "payment", "status", "amount_minor", "currency", "external_id", "reason", "error",
            "created_at", "updated_at",
        )  # fmt: skip

    @extend_schema_field(ERROR)
    def get_error(self, row: Refund) -> Any:
        """Return why it failed."""
        return row.error


class RefundInputSerializer(StrictSerializer):
    """A refund to make; all that is left unless an amount is given."""

    amount_minor = AmountField(required=False, allow_null=True)
    reason = serializers.CharField(required=False, allow_blank=True, max_length=200)


class LadderStepSerializer(Data):
    """One rung of the ladder, and whether the claim stands on it."""

    rung = RungField()
    ok = serializers.BooleanField()
    detail = serializers.CharField()
    note = serializers.CharField(required=False)


class EvidenceSerializer(serializers.ModelSerializer[Evidence]):
    """One claim of the vendor's about a payment, and how far it was believed."""

    source = EvidenceSourceField()  # type: ignore[assignment]  # the contract's word; DRF has an attribute of this name
    external_id = OptionalText()
    vendor_status = OptionalText()
    claimed_status = OptionalText()
    claimed_at = TimeField(allow_null=True)
    rungs = LadderStepSerializer(many=True)
    moved_to = OptionalText(help_text="The status that the payment got by it.")
    at = TimeField()

    class Meta:
        model = Evidence
        fields = (
            "id", "source", "external_id", "vendor_status", "claimed_status", "claimed_at", "rungs", "is_believed",
            "moved_to", "at",
        )  # fmt: skip


class PaymentSerializer(serializers.ModelSerializer[Payment]):
    """One payment. A client secret is in the answers about this payment alone, not in lists or events."""

    integration = serializers.UUIDField(source="integration_id")
    customer = serializers.UUIDField(source="customer_id", allow_null=True)
    status = PaymentStatusField()
    amount_minor = AmountField()
    method = serializers.CharField()
    external_id = OptionalText()
    description = OptionalText()
    payer = serializers.SerializerMethodField()
    return_url = OptionalText()
    metadata = serializers.SerializerMethodField()
    next_action = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()
    warning = OptionalText(help_text="`amount_mismatch`: another amount came than was asked.")
    end_to_end_id = OptionalText(help_text="Of a settled PIX.")
    expires_at = TimeField(allow_null=True)
    paid_at = TimeField(allow_null=True)
    created_at = TimeField()
    updated_at = TimeField()

    class Meta:
        model = Payment
        fields = (
            "id", "integration", "customer", "origin", "status", "amount_minor", "amount_received_minor",
            "amount_refunded_minor", "currency", "method", "description", "payer", "installments", "return_url",
            "metadata", "external_id", "next_action", "error", "warning", "end_to_end_id", "expires_at", "paid_at",
            "created_at", "updated_at",
        )  # fmt: skip

    @extend_schema_field(PAYER)
    def get_payer(self, row: Payment) -> Any:
        """Return who pays, as far as it is known."""
        return row.payer

    @extend_schema_field(METADATA)
    def get_metadata(self, row: Payment) -> Any:
        """Return the caller's texts."""
        return row.metadata

    @extend_schema_field(NEXT_ACTION)
    def get_next_action(self, row: Payment) -> Any:
        """Return what the payer must do; without a client secret."""
        return row.next_action

    @extend_schema_field(ERROR)
    def get_error(self, row: Payment) -> Any:
        """Return why the payment failed."""
        return row.error


class PaymentDetailSerializer(PaymentSerializer):
    """One payment with its evidence and, while the payer may act on it, the client secret."""

    evidence = serializers.SerializerMethodField()

    class Meta(PaymentSerializer.Meta):
        fields = (*PaymentSerializer.Meta.fields, "evidence")  # type: ignore[assignment]

    @extend_schema_field(EvidenceSerializer(many=True))
    def get_evidence(self, row: Payment) -> Any:
        """Return the newest claims about it; `evidence/` lists all."""
        return EvidenceSerializer(Evidence.objects.filter(payment=row).order_by("-id")[:SHOWN_CLAIMS], many=True).data

    @extend_schema_field(NEXT_ACTION)
    def get_next_action(self, row: Payment) -> Any:
        """Return what the payer must do, with the client secret."""
        secret = client_secrets.opened(row) if (row.next_action or {}).get("kind") == ActionKind.CLIENT_SECRET else None
        return {**row.next_action, "client_secret": secret.reveal()} if secret and row.next_action else row.next_action
