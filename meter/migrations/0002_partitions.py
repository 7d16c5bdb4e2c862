from django.db import migrations

from tenants.row_security import EnableRowSecurity

COMMON = """
    id uuid NOT NULL, day date NOT NULL, organization_schema varchar(41) NOT NULL, link_id uuid NOT NULL,
    provider varchar(40) NOT NULL, at timestamptz NOT NULL
"""

COLUMNS = {
    "meter_call": """
        operation varchar(60) NOT NULL, method varchar(8) NOT NULL, url varchar(500) NOT NULL, status smallint,
        duration_ms double precision NOT NULL, error_class varchar(40) NOT NULL, vendor_code varchar(40) NOT NULL,
        trace_id varchar(120) NOT NULL, request_bytes integer NOT NULL, response_bytes integer NOT NULL
    """,
    "meter_healthcheck": """
        is_ok boolean NOT NULL, duration_ms double precision NOT NULL, error_class varchar(40) NOT NULL,
        detail text NOT NULL, verdicts jsonb NOT NULL
    """,
    "meter_usagerecord": "unit varchar(40) NOT NULL, quantity numeric(20, 6) NOT NULL",
}


def create(table: str) -> str:
    return f"""
        CREATE TABLE {table} ({COMMON}, {COLUMNS[table]}, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
        CREATE INDEX {table}_by_link ON {table} (link_id, at DESC);
        CREATE INDEX {table}_by_organization ON {table} (organization_schema, at DESC);
        CREATE TABLE {table}_other PARTITION OF {table} DEFAULT;
        ALTER TABLE {table}_other ENABLE ROW LEVEL SECURITY;
    """


class Migration(migrations.Migration):
    """Partitioned by day; `meter.partitions` makes the days ahead, the default partition catches the rest."""

    dependencies = [("meter", "0001_initial")]

    operations = [
        *(migrations.RunSQL(create(table), f"DROP TABLE {table}") for table in COLUMNS),
        *(EnableRowSecurity(table) for table in COLUMNS),
    ]
