from django.db import migrations, models


class Migration(migrations.Migration):
    """What the silence alarm remembers: when it asked, what it found, and which alarm was none."""

    dependencies = [
        ("dispatch", "0006_link_next_check"),
    ]

    operations = [
        migrations.AddField(
            model_name="rhythm",
            name="asked_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="rhythm",
            name="harmless",
            field=models.FloatField(null=True),
        ),
        migrations.AddField(
            model_name="rhythm",
            name="harmless_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="rhythm",
            name="median",
            field=models.FloatField(null=True),
        ),
        migrations.AddField(
            model_name="rhythm",
            name="was_repaired",
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
