from django.db import migrations

from tenants.row_security import EnableRowSecurity


class Migration(migrations.Migration):
    """An organization's schema sees its own keys only; public, where keys are read, sees all."""

    dependencies = [("vault", "0001_initial")]

    operations = [EnableRowSecurity("vault_organizationkey")]
