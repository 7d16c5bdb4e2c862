"""RELIABILITY section 4, rule 14: waiting for a vendor holds no connection. Real connections, no test transaction."""

from __future__ import annotations

from django.db import connections

from core.secret import Secrets
from dispatch.models import Link
from integrations.services.providers import unborn_provider
from tenants.context import current_schema, in_organization
from tenants.models import Organization


class TestWaiting:
    """Rule 14: no connection is held while a vendor is waited for."""

    def test_an_instance_is_made_without_a_connection_held(self, django_db_setup, django_db_blocker):
        with django_db_blocker.unblock():
            organization = Organization.objects.get(slug="acme")
            with in_organization(organization):
                Link.objects.count()
                assert connections["default"].connection is not None

                unborn_provider("whatsapp", environment="test", settings_values={}, secrets=Secrets({}))

                assert connections["default"].connection is None
                assert current_schema() == organization.schema_name
