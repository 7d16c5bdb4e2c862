"""Addresses of billing under /api/v1/billing/."""

from django.urls import URLPattern, path

from billing.api import payments

_PAYMENT = "payments/<str:payment_id>/"

urlpatterns: list[URLPattern] = [
    path("payments/", payments.PaymentsView.as_view(), name="billing-payments"),
    path(_PAYMENT, payments.PaymentView.as_view(), name="billing-payment"),
    path(f"{_PAYMENT}evidence/", payments.EvidenceView.as_view(), name="billing-payment-evidence"),
    path(f"{_PAYMENT}cancel/", payments.CancelView.as_view(), name="billing-payment-cancel"),
    path(f"{_PAYMENT}refunds/", payments.PaymentRefundsView.as_view(), name="billing-payment-refunds"),
    path("refunds/", payments.RefundsView.as_view(), name="billing-refunds"),
    path("refunds/<str:refund_id>/", payments.RefundView.as_view(), name="billing-refund"),
]
