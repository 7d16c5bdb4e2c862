from django.db import migrations

from tenants.row_security import EnableRowSecurity


class Migration(migrations.Migration):
    """An organization's schema sees and adds its own entries only; public sees all."""

    dependencies = [("audit", "0001_initial")]

    operations = [EnableRowSecurity("audit_auditentry"), EnableRowSecurity("audit_auditchainlink")]
