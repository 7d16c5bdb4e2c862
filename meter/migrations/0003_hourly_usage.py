from django.db import migrations


class Migration(migrations.Migration):
    """
    Usage is counted in hourly buckets: one row per link, unit and hour, added to in place.

    Rows of before are single operations; they are gathered into their buckets first.
    """

    dependencies = [("meter", "0002_partitions")]

    operations = [
        migrations.RunSQL(
            """
            CREATE TEMPORARY TABLE gathered ON COMMIT DROP AS
                SELECT gen_random_uuid() AS id, day, organization_schema, link_id, provider,
                    date_trunc('hour', at) AS at, unit, sum(quantity) AS quantity
                FROM meter_usagerecord
                GROUP BY day, organization_schema, link_id, provider, date_trunc('hour', at), unit;
            DELETE FROM meter_usagerecord;
            INSERT INTO meter_usagerecord (id, day, organization_schema, link_id, provider, at, unit, quantity)
                SELECT id, day, organization_schema, link_id, provider, at, unit, quantity FROM gathered;
            CREATE UNIQUE INDEX meter_usagerecord_bucket ON meter_usagerecord (link_id, unit, at, day);
            """,
            "DROP INDEX meter_usagerecord_bucket",
        )
    ]
