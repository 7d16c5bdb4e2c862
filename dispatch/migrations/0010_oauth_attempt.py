import django.contrib.postgres.fields
from django.db import migrations, models

import core.clock
import core.ids
from tenants.row_security import EnableRowSecurity


class Migration(migrations.Migration):
    """Runs of OAuth dialogs; an organization sees its own alone."""

    dependencies = [("dispatch", "0009_credential_expiry")]

    operations = [
        migrations.CreateModel(
            name="OAuthAttempt",
            fields=[
                ("id", models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ("organization_schema", models.CharField(max_length=41)),
                ("provider", models.CharField(max_length=40)),
                ("app_id", models.UUIDField()),
                ("environment", models.CharField(max_length=4)),
                ("name", models.CharField(blank=True, max_length=120)),
                ("integration_id", models.UUIDField(blank=True, null=True)),
                ("redirect_url", models.CharField(blank=True, max_length=500)),
                ("language", models.CharField(blank=True, max_length=8)),
                ("actor_kind", models.CharField(max_length=20)),
                ("actor_id", models.CharField(blank=True, max_length=80)),
                ("actor_label", models.CharField(blank=True, max_length=160)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("waiting", "waiting for consent"),
                            ("started", "at the vendor"),
                            ("returned", "back from the vendor"),
                            ("choosing", "choosing an account"),
                            ("connected", "connected"),
                            ("denied", "denied"),
                            ("failed", "failed"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("start_digest", models.BinaryField(max_length=32, unique=True)),
                ("state_digest", models.BinaryField(max_length=32, null=True, unique=True)),
                ("browser_digest", models.BinaryField(max_length=32, null=True)),
                ("vendor_origin", models.CharField(blank=True, max_length=200)),
                ("sealed_verifier", models.BinaryField(null=True)),
                ("sealed_grant", models.BinaryField(null=True)),
                (
                    "granted_scopes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=200), blank=True, default=list, size=None
                    ),
                ),
                (
                    "missing_scopes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=200), blank=True, default=list, size=None
                    ),
                ),
                ("error_code", models.CharField(blank=True, max_length=60)),
                ("connected_id", models.UUIDField(blank=True, null=True)),
                ("created_at", models.DateTimeField(default=core.clock.now)),
                ("expires_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name": "OAuth attempt",
                "verbose_name_plural": "OAuth attempts",
                "indexes": [
                    models.Index(fields=["expires_at"], name="oauth_attempt_expiry"),
                    models.Index(fields=["organization_schema", "-created_at"], name="oauth_attempt_by_org"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("status", "waiting"), ("browser_digest__isnull", False), _connector="OR"),
                        name="oauth_attempt_has_browser",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("sealed_grant", None), ("status", "choosing"), _connector="OR"),
                        name="oauth_attempt_keeps_no_tokens",
                    ),
                ],
            },
        ),
        EnableRowSecurity("dispatch_oauthattempt"),
    ]
