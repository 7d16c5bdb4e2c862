from django.db import migrations, models


class Migration(migrations.Migration):
    """Indexes for the list of one integration's work, and for the sweep over what is parked."""

    dependencies = [
        ("dispatch", "0007_silence"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="outboxentry",
            index=models.Index(fields=["link_id", "-id"], name="outbox_by_link"),
        ),
        migrations.AddIndex(
            model_name="outboxentry",
            index=models.Index(condition=models.Q(("status", "parked")), fields=["expires_at"], name="outbox_parked"),
        ),
    ]
