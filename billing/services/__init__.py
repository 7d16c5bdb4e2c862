"""What people and machines ask of billing. Views, admin actions and the demo call one of these."""

from billing.services.accounts import create_account_link
from billing.services.codes import make_code_of, make_static_code
from billing.services.customers import create_customer
from billing.services.offers import list_payment_methods, list_prices, quote_installments
from billing.services.pages import create_checkout, create_portal
from billing.services.payments import cancel_payment, create_payment
from billing.services.refunds import refund_payment
from billing.services.subscriptions import cancel_subscription, create_subscription, update_subscription

__all__ = [
    "cancel_payment",
    "cancel_subscription",
    "create_account_link",
    "create_checkout",
    "create_customer",
    "create_payment",
    "create_portal",
    "create_subscription",
    "list_payment_methods",
    "list_prices",
    "make_code_of",
    "make_static_code",
    "quote_installments",
    "refund_payment",
    "update_subscription",
]
