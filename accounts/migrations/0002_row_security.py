from django.db import migrations

from tenants.row_security import EnableRowSecurity


class Migration(migrations.Migration):
    """Rows of an organization are visible and writable from its own schema and from public only."""

    dependencies = [("accounts", "0001_initial")]

    operations = [
        EnableRowSecurity("accounts_membership"),
        EnableRowSecurity("accounts_invitation"),
        EnableRowSecurity("accounts_apikey"),
        EnableRowSecurity("accounts_storedanswer"),
    ]
