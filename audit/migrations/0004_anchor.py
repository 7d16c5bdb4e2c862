from django.db import migrations, models

import core.clock
import core.ids
from tenants.row_security import EnableRowSecurity

TRIGGER = """
CREATE TRIGGER audit_auditanchor_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_auditanchor
FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change()
"""


class Migration(migrations.Migration):
    """Where a chain begins after its oldest entries were pruned; as protected as the trail itself."""

    dependencies = [("audit", "0003_append_only")]

    operations = [
        migrations.CreateModel(
            name="AuditAnchor",
            fields=[
                ("id", models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ("organization_schema", models.CharField(blank=True, max_length=63, null=True)),
                ("sequence", models.PositiveBigIntegerField()),
                ("digest", models.BinaryField(max_length=32)),
                ("entries", models.PositiveBigIntegerField()),
                ("pruned_at", models.DateTimeField(default=core.clock.now, editable=False)),
                ("signature", models.BinaryField(max_length=32)),
            ],
            options={
                "verbose_name": "audit anchor",
                "verbose_name_plural": "audit anchors",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organization_schema", "sequence"),
                        name="audit_anchor_sequence_unique",
                        nulls_distinct=False,
                    )
                ],
            },
        ),
        EnableRowSecurity("audit_auditanchor"),
        migrations.RunSQL(TRIGGER, "DROP TRIGGER audit_auditanchor_append_only ON audit_auditanchor"),
    ]
