"""Entering and leaving organizations."""

import pytest

from integrations.models import Integration
from tenants.context import WrongOrganization, current_schema, in_organization


def make(name: str) -> Integration:
    """Store one integration in the entered organization."""
    return Integration.objects.create(provider="whatsapp", name=name, environment="test")


class TestInOrganization:
    """`in_organization`."""

    def test_returns_to_where_it_was(self, organization, other_organization):
        with in_organization(organization):
            with in_organization(other_organization):
                assert current_schema() == other_organization.schema_name
            assert current_schema() == organization.schema_name
        assert current_schema() == "public"

    def test_leaves_the_other_organization_untouched(self, organization, other_organization):
        with in_organization(organization):
            make("ours")

        with in_organization(other_organization):
            assert Integration.objects.count() == 0

    @pytest.mark.parametrize("name", ["public", "pg_catalog; drop", "Org_1", "org-1", ""])
    def test_refuses_what_is_no_organization(self, db, name):
        with pytest.raises(WrongOrganization), in_organization(name):
            pass


class TestForeignObjects:
    """Rows remember their schema (RELIABILITY section 4, rule 2)."""

    def test_saving_in_another_organization_is_refused(self, organization, other_organization):
        with in_organization(organization):
            ours = make("ours")

        with in_organization(other_organization), pytest.raises(WrongOrganization):
            ours.save()

    def test_deleting_in_another_organization_is_refused(self, organization, other_organization):
        with in_organization(organization):
            ours = make("ours")

        with in_organization(other_organization), pytest.raises(WrongOrganization):
            ours.delete()
