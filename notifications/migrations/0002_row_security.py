from django.db import migrations

from tenants.row_security import EnableRowSecurity


class Migration(migrations.Migration):
    """Rows of an organization are visible and writable from its own schema and from public only."""

    dependencies = [("notifications", "0001_initial")]

    operations = [
        EnableRowSecurity("notifications_notification"),
    ]
