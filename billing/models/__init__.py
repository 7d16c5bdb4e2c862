"""What one organization's payment vendors keep, mirrored, with the evidence for each change of a payment."""

from billing.models.base import VendorObject
from billing.models.evidence import Evidence, Rung, Source
from billing.models.payments import CheckoutSession, Customer, Dispute, Origin, Payment, Payout, Refund
from billing.models.reconciliations import Reconciliation, ReconciliationStatus
from billing.models.subscriptions import Invoice, Subscription

__all__ = [
    "CheckoutSession",
    "Customer",
    "Dispute",
    "Evidence",
    "Invoice",
    "Origin",
    "Payment",
    "Payout",
    "Reconciliation",
    "ReconciliationStatus",
    "Refund",
    "Rung",
    "Source",
    "Subscription",
    "VendorObject",
]
