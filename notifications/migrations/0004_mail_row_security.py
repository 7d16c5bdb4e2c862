from django.db import migrations

from tenants.row_security import EnableRowSecurity


class Migration(migrations.Migration):
    """Preferences, mutes and owed mail are seen and written from their organization and from public only."""

    dependencies = [("notifications", "0003_mail")]

    operations = [
        EnableRowSecurity("notifications_mailpreference"),
        EnableRowSecurity("notifications_mute"),
        EnableRowSecurity("notifications_owedmail"),
    ]
