"""Who did what."""

from __future__ import annotations

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """Public tables: AuditEntry, AuditChainLink, AuditAnchor."""

    name = "audit"
    verbose_name = "Audit trail"
    append_only_tables = ("audit_auditentry", "audit_auditchainlink", "audit_auditanchor")
    """Tables that the application's role may read and add to, never change; `tenants.schemas` sets the grants."""

    def ready(self) -> None:
        """Register the check of EVIDENCE_URL."""
        from audit import checks  # noqa: F401
