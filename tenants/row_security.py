"""Forced row-level security on public tables that hold rows of organizations, as a migration operation."""

from __future__ import annotations

from django.db.migrations.operations import RunSQL

_POLICY = "organization_schema = current_schema() OR current_schema() = 'public'"


class EnableRowSecurity(RunSQL):
    """
    Let a schema see and write its own rows of a public table only; public sees all.

    Forced, so that even the owner's role inside an organization is bound by it.
    """

    def __init__(self, table: str) -> None:
        self.table = table
        super().__init__(
            sql=[
                f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
                f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
                f"CREATE POLICY {table}_organization ON {table} USING ({_POLICY}) WITH CHECK ({_POLICY})",
            ],
            reverse_sql=[
                f"DROP POLICY {table}_organization ON {table}",
                f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY",
                f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
            ],
        )

    def deconstruct(self) -> tuple[str, list[object], dict[str, object]]:
        """Describe the operation for the migration writer."""
        return type(self).__qualname__, [self.table], {}
