from django.db import migrations, models


class Migration(migrations.Migration):
    """What needs a reconnect is checked by the clock, too: its due time belongs into the index that finds it."""

    dependencies = [("dispatch", "0005_claims")]

    operations = [
        migrations.RemoveIndex("link", "link_check_due"),
        migrations.AddIndex(
            "link",
            models.Index(
                fields=["next_check_at"], name="link_next_check", condition=models.Q(("next_check_at__isnull", False))
            ),
        ),
    ]
