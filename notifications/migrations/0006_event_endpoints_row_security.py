from django.db import migrations

from tenants.row_security import EnableRowSecurity


class Migration(migrations.Migration):
    """Endpoints, events and what became of them are seen and written from their organization and from public only."""

    dependencies = [("notifications", "0005_event_endpoints")]

    operations = [
        EnableRowSecurity("notifications_eventendpoint"),
        EnableRowSecurity("notifications_publishedevent"),
        EnableRowSecurity("notifications_endpointdelivery"),
        EnableRowSecurity("notifications_deliveryattempt"),
    ]
