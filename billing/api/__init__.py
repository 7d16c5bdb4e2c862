"""The customer API of billing: payments, refunds, customers, subscriptions, pages, codes."""
