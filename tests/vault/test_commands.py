"""The operator's commands say what they did and what stands in the way."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command

from tenants.models import Organization
from vault import services
from vault.keys import new_ring_entry

pytestmark = pytest.mark.django_db(databases=["default", "ingress"])


def run(name: str, *arguments: str) -> str:
    out = StringIO()
    call_command(name, *arguments, stdout=out)
    return out.getvalue().strip()


class TestRotateMasterKey:
    def test_says_how_many_keys_moved(self, settings: Any) -> None:
        services.ensure_key("org_test_here")
        settings.MASTER_KEYS = f"{new_ring_entry('next')},{settings.MASTER_KEYS}"

        assert run("rotate_master_key").endswith("organization keys rewrapped; all are under 'next' now.")
        assert run("rotate_master_key").startswith("0 organization keys rewrapped")

    def test_says_which_key_is_missing(self, settings: Any) -> None:
        services.ensure_key("org_test_here")
        settings.MASTER_KEYS = new_ring_entry("next")

        with pytest.raises(CommandError, match="MASTER_KEYS lacks the key"):
            run("rotate_master_key")


class TestRotateOrganizationKey:
    def test_says_which_version_seals_now(self, organization: Organization) -> None:
        before = services.rotate_organization_key(organization.schema_name)

        said = run("rotate_organization_key", organization.slug)

        assert said == f"{organization} seals under key version {before + 1} now."

    def test_refuses_an_unknown_organization(self) -> None:
        with pytest.raises(CommandError, match="There is no organization 'nobody'"):
            run("rotate_organization_key", "nobody")

    def test_refuses_an_erased_organization(self, organization: Organization) -> None:
        services.ensure_key(organization.schema_name)
        services.destroy_keys(organization.schema_name)

        with pytest.raises(CommandError, match="were destroyed"):
            run("rotate_organization_key", organization.slug)


class TestStart:
    @pytest.mark.parametrize("name", ["MASTER_KEYS", "PLATFORM_KEYS"])
    @pytest.mark.parametrize("text", ["", "m1:c2hvcnQ="], ids=["missing", "short"])
    def test_stops_on_a_bad_ring_with_one_line(self, settings: Any, name: str, text: str) -> None:
        setattr(settings, name, text)

        with pytest.raises(ImproperlyConfigured, match=rf"^{name} .*$") as caught:
            apps.get_app_config("vault").ready()

        assert "\n" not in str(caught.value)

    def test_stops_in_production_on_a_development_key(self, settings: Any) -> None:
        settings.ENVIRONMENT_NAME = "production"
        settings.MASTER_KEYS = new_ring_entry("dev1")

        with pytest.raises(ImproperlyConfigured, match="refused in production"):
            apps.get_app_config("vault").ready()
