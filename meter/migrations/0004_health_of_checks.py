from django.db import migrations, models


class Migration(migrations.Migration):
    """Each check keeps the health that it led to: a link's changes of state are told from its checks."""

    dependencies = [("meter", "0003_hourly_usage")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE meter_healthcheck ADD COLUMN health varchar(12) NOT NULL DEFAULT ''",
            "ALTER TABLE meter_healthcheck DROP COLUMN health",
            state_operations=[
                migrations.AddField(
                    "healthcheck", "health", models.CharField(blank=True, db_default="", default="", max_length=12)
                )
            ],
        )
    ]
