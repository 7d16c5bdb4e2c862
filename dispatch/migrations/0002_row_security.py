from django.db import migrations

from tenants.row_security import EnableRowSecurity


class Migration(migrations.Migration):
    """Rows of an organization are visible and writable from its own schema and from public only."""

    dependencies = [("dispatch", "0001_initial")]

    operations = [
        EnableRowSecurity("dispatch_link"),
        EnableRowSecurity("dispatch_route"),
        EnableRowSecurity("dispatch_accountclaim"),
        EnableRowSecurity("dispatch_webhookdelivery"),
        EnableRowSecurity("dispatch_inboxkey"),
        EnableRowSecurity("dispatch_outboxentry"),
        EnableRowSecurity("dispatch_refusedrequest"),
        EnableRowSecurity("dispatch_oauthapp"),
    ]
