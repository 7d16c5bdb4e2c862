"""Fields of requests and answers about money."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.contract import (
    ActionKind,
    DisputeStatus,
    InvoiceStatus,
    Method,
    PaymentStatus,
    PayoutStatus,
    RefundStatus,
    SubscriptionStatus,
)
from billing.models import ReconciliationStatus, Rung, Source
from integrations.api.fields import ClosedSetField

Data = serializers.Serializer[Any]

_TEXT = {"type": "string"}
_OPTIONAL = {"type": ["string", "null"]}
_TIME = {"type": ["string", "null"], "format": "date-time"}

_PIX = {"qr_code": _OPTIONAL, "qr_code_base64": _OPTIONAL, "ticket_url": _OPTIONAL, "expires_at": _TIME}
NEXT_ACTION = {
    "type": ["object", "null"],
    "description": "What the payer must do; its details stand beside the kind.",
    "properties": {
        "kind": {"type": "string", "enum": [kind.value for kind in ActionKind]},
        "pix": {"type": "object", "properties": _PIX},
        "redirect": {"type": "object", "properties": {"url": _TEXT}},
        "boleto": {"type": "object", "properties": {"url": _OPTIONAL, "barcode": _OPTIONAL, "expires_at": _TIME}},
        "client_secret": {"type": "string", "description": "For the provider's script in the payer's browser."},
    },
}
ERROR = {
    "type": ["object", "null"],
    "properties": {
        "code": {"type": "string", "description": "The provider's own code."},
        "reason": {"type": "string", "examples": ["payment_declined"]},
        "message": _TEXT,
    },
}
METADATA = {"type": "object", "additionalProperties": _TEXT}
PAYER = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("email", "name", "tax_id", "phone"), _TEXT),
        "address": {"type": "object", "additionalProperties": _TEXT},
    },
}


class PaymentStatusField(ClosedSetField):
    """How far a payment has come."""

    values = tuple(status.value for status in PaymentStatus)


class RefundStatusField(ClosedSetField):
    """How far a refund has come."""

    values = tuple(status.value for status in RefundStatus)


class SubscriptionStatusField(ClosedSetField):
    """How a subscription stands."""

    values = tuple(status.value for status in SubscriptionStatus)


class InvoiceStatusField(ClosedSetField):
    """How an invoice stands."""

    values = tuple(status.value for status in InvoiceStatus)


class DisputeStatusField(ClosedSetField):
    """How a dispute stands."""

    values = tuple(status.value for status in DisputeStatus)


class PayoutStatusField(ClosedSetField):
    """How far a payout has come."""

    values = tuple(status.value for status in PayoutStatus)


class ReconciliationStatusField(ClosedSetField):
    """How a comparison ended."""

    values = tuple(ReconciliationStatus.values)


class PaymentMethodKindField(ClosedSetField):
    """A way to pay."""

    values = tuple(method.value for method in Method)


class EvidenceSourceField(ClosedSetField):
    """How a claim of the vendor's came."""

    values = tuple(Source.values)


class RungField(ClosedSetField):
    """A rung of the ladder of trust."""

    values = tuple(Rung.values)


class CheckoutModeField(ClosedSetField):
    """What is paid on a checkout page."""

    values = ("payment", "subscription")


@extend_schema_field(
    {"type": "integer", "minimum": 1, "description": "Minor units of the currency; 1990 is 19.90 BRL."}
)
class AmountField(serializers.Field[int, Any, int, Any]):
    """An amount in minor units as it stands in the body: the rules refuse what is no whole number above zero."""

    def to_internal_value(self, data: Any) -> int:
        """Take a JSON number without a fraction; text and true are none."""
        if isinstance(data, bool) or not isinstance(data, int):
            raise serializers.ValidationError("Give the amount in whole minor units, such as 1990 for 19.90.")
        return data

    def to_representation(self, value: int) -> int:
        """Return the amount."""
        return value


@extend_schema_field({"type": "integer"})
class WholeField(serializers.Field[int, Any, int, Any]):
    """A whole number as JSON writes it."""

    def to_internal_value(self, data: Any) -> int:
        """Take a JSON number without a fraction."""
        if isinstance(data, bool) or not isinstance(data, int):
            raise serializers.ValidationError("Use a whole number.")
        return data

    def to_representation(self, value: int) -> int:
        """Return the number."""
        return value


@extend_schema_field(METADATA)
class MetadataField(serializers.DictField):
    """Texts of the caller's, by name; whole numbers become text."""

    child = serializers.CharField(allow_blank=True, trim_whitespace=False)
