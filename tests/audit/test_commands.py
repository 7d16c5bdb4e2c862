"""The command tells an operator whether the trail can be trusted."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from audit.models import AuditEntry
from tenants.models import Organization
from tests.audit.conftest import link_settled


def run(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("verify_audit", *arguments, stdout=out, stderr=err)
    return out.getvalue().strip(), err.getvalue().strip()


class TestVerifyAudit:
    def test_says_what_it_verified(self, chain: str, write: Callable[..., AuditEntry]) -> None:
        write(chain)
        link_settled()

        said, complained = run()

        assert "chains verified; 0 entries not linked yet." in said
        assert complained == ""

    def test_fails_and_names_the_place_of_a_damage(self, chain: str, write: Callable[..., AuditEntry]) -> None:
        entry = write(chain)
        link_settled()
        AuditEntry.objects.using("owner").filter(pk=entry.pk).delete()
        err = StringIO()

        with pytest.raises(CommandError, match=r"damaged in \d+ places"):
            call_command("verify_audit", stdout=StringIO(), stderr=err)

        assert err.getvalue().splitlines().count(f"missing_entry: link 1 of {chain}, entry {entry.pk}") == 1

    @pytest.mark.django_db
    def test_takes_one_organization(self, organization: Organization) -> None:
        said, _ = run("--organization", organization.slug)

        assert said == "0 links in 0 chains verified; 0 entries not linked yet."

    @pytest.mark.django_db
    def test_refuses_an_unknown_organization(self) -> None:
        with pytest.raises(CommandError, match="There is no organization 'nobody'"):
            run("--organization", "nobody")
