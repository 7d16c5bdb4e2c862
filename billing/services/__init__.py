"""What people and machines ask of billing. Views, admin actions and the demo call one of these."""

from billing.services.customers import create_customer
from billing.services.payments import cancel_payment, create_payment
from billing.services.refunds import refund_payment

__all__ = ["cancel_payment", "create_customer", "create_payment", "refund_payment"]
