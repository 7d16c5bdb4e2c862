from django.db import migrations, models


class Migration(migrations.Migration):
    """When its members are next told that a link's credential ends."""

    dependencies = [("dispatch", "0008_outbox_lists")]

    operations = [
        migrations.AddField("link", "next_expiry_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddIndex(
            "link",
            models.Index(
                fields=["next_expiry_at"], name="link_expiry_due", condition=models.Q(("next_expiry_at__isnull", False))
            ),
        ),
    ]
