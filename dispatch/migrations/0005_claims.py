from django.db import migrations, models
from django.db.models.functions import Greatest


class Migration(migrations.Migration):
    """Indexes as claims read them: due times per link with what holds a row back, and what is in work."""

    dependencies = [
        ("dispatch", "0004_token_refresh"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="outboxentry",
            name="outbox_due",
        ),
        migrations.RemoveIndex(
            model_name="outboxentry",
            name="outbox_object",
        ),
        migrations.RemoveIndex(
            model_name="webhookdelivery",
            name="delivery_due",
        ),
        migrations.AddIndex(
            model_name="outboxentry",
            index=models.Index(
                models.F("link_id"),
                Greatest("next_attempt_at", "not_before"),
                models.F("id"),
                condition=models.Q(("status__in", ["waiting", "working"])),
                name="outbox_due_by_link",
            ),
        ),
        migrations.AddIndex(
            model_name="outboxentry",
            index=models.Index(
                models.F("organization_schema"),
                Greatest("next_attempt_at", "not_before"),
                models.F("id"),
                condition=models.Q(("status__in", ["waiting", "working"]), ("link_id__isnull", True)),
                name="outbox_due_unlinked",
            ),
        ),
        migrations.AddIndex(
            model_name="outboxentry",
            index=models.Index(condition=models.Q(("status", "working")), fields=["link_id"], name="outbox_in_work"),
        ),
        migrations.AddIndex(
            model_name="outboxentry",
            index=models.Index(
                condition=models.Q(("status__in", ["waiting", "working"]), models.Q(("object_key", ""), _negated=True)),
                fields=["link_id", "object_key", "id"],
                name="outbox_object_open",
            ),
        ),
        migrations.AddIndex(
            model_name="outboxentry",
            index=models.Index(
                condition=models.Q(
                    ("status__in", ["waiting", "working"]),
                    models.Q(("object_key", ""), _negated=True),
                    ("link_id__isnull", True),
                ),
                fields=["organization_schema", "object_key", "id"],
                name="outbox_object_unlinked",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(
                models.F("link_id"),
                Greatest("next_attempt_at", "not_before"),
                models.F("id"),
                condition=models.Q(("status__in", ["received", "failed", "processing"])),
                name="delivery_due_by_link",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(
                models.F("provider"),
                Greatest("next_attempt_at", "not_before"),
                models.F("id"),
                condition=models.Q(("status__in", ["received", "failed", "processing"]), ("link_id__isnull", True)),
                name="delivery_due_by_provider",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(
                condition=models.Q(("status", "processing")), fields=["link_id"], name="delivery_in_work"
            ),
        ),
    ]
