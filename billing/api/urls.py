"""Addresses of billing under /api/v1/billing/."""

from django.urls import URLPattern, path

from billing.api import offers, payments, people, records

_PAYMENT = "payments/<str:payment_id>/"
_PAGES = "checkout-sessions/"

urlpatterns: list[URLPattern] = [
    path("payments/", payments.PaymentsView.as_view(), name="billing-payments"),
    path(_PAYMENT, payments.PaymentView.as_view(), name="billing-payment"),
    path(f"{_PAYMENT}evidence/", payments.EvidenceView.as_view(), name="billing-payment-evidence"),
    path(f"{_PAYMENT}cancel/", payments.CancelView.as_view(), name="billing-payment-cancel"),
    path(f"{_PAYMENT}refunds/", payments.PaymentRefundsView.as_view(), name="billing-payment-refunds"),
    path("refunds/", payments.RefundsView.as_view(), name="billing-refunds"),
    path("refunds/<str:refund_id>/", payments.RefundView.as_view(), name="billing-refund"),
    path("customers/", people.CustomersView.as_view(), name="billing-customers"),
    path("customers/<str:customer_id>/", people.CustomerView.as_view(), name="billing-customer"),
    path("subscriptions/", people.SubscriptionsView.as_view(), name="billing-subscriptions"),
    path("subscriptions/<str:subscription_id>/", people.SubscriptionView.as_view(), name="billing-subscription"),
    path(_PAGES, offers.CheckoutSessionsView.as_view(), name="billing-checkout-sessions"),
    path(f"{_PAGES}<str:session_id>/", offers.CheckoutSessionView.as_view(), name="billing-checkout-session"),
    path("portal-sessions/", offers.PortalSessionsView.as_view(), name="billing-portal-sessions"),
    path("accounts/<str:integration_id>/links/", offers.AccountLinksView.as_view(), name="billing-account-links"),
    path("prices/", offers.PricesView.as_view(), name="billing-prices"),
    path("payment-methods/", offers.PaymentMethodsView.as_view(), name="billing-payment-methods"),
    path("installments/", offers.InstallmentsView.as_view(), name="billing-installments"),
    path("pix/static-codes/", offers.StaticCodesView.as_view(), name="billing-static-codes"),
    path("invoices/", records.InvoicesView.as_view(), name="billing-invoices"),
    path("invoices/<str:invoice_id>/", records.InvoiceView.as_view(), name="billing-invoice"),
    path("disputes/", records.DisputesView.as_view(), name="billing-disputes"),
    path("disputes/<str:dispute_id>/", records.DisputeView.as_view(), name="billing-dispute"),
    path("payouts/", records.PayoutsView.as_view(), name="billing-payouts"),
    path("payouts/<str:payout_id>/", records.PayoutView.as_view(), name="billing-payout"),
    path("reconciliations/", records.ReconciliationsView.as_view(), name="billing-reconciliations"),
]
