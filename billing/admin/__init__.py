"""Billing in an organization's admin; importing it registers every page (Django's autodiscovery does)."""

from billing.admin import evidence, payments, reconciliations, records, subscriptions

__all__ = ["evidence", "payments", "reconciliations", "records", "subscriptions"]
