"""One SET for a series of statements: fewer round trips, and never another organization's rows."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from dispatch.models import Link
from integrations.models import Integration
from tenants.context import in_organization, in_public_schema
from tenants.search_path import search_path_set_once

pytestmark = pytest.mark.django_db


def name_in(organization: Any, name: str) -> None:
    """Store one integration in an organization."""
    with in_organization(organization):
        Integration.objects.create(provider="parcelbox", name=name, environment="test")


def names() -> list[str]:
    """The integrations of the entered organization."""
    return list(Integration.objects.values_list("name", flat=True))


@pytest.fixture(autouse=True)
def _two(organization: Any, other_organization: Any) -> None:
    """One integration in each organization."""
    name_in(organization, "ours")
    name_in(other_organization, "theirs")


class TestSearchPathSetOnce:
    def test_is_set_with_the_first_statement_alone(self, organization: Any) -> None:
        with in_organization(organization), CaptureQueriesContext(connection) as sent, search_path_set_once():
            for _ in range(3):
                assert names() == ["ours"]

        assert sum("SET search_path" in query["sql"] for query in sent.captured_queries) <= 1

    def test_is_set_again_for_an_organization_entered_inside(self, organization: Any, other_organization: Any) -> None:
        with in_organization(organization), search_path_set_once():
            assert names() == ["ours"]
            with in_organization(other_organization):
                assert names() == ["theirs"]
            assert names() == ["ours"]
            with in_public_schema():
                assert Link.objects.count() == 0
            assert names() == ["ours"]

    def test_is_set_again_after_a_savepoint_was_rolled_back(self, organization: Any, other_organization: Any) -> None:
        with in_organization(organization), search_path_set_once():
            with transaction.atomic():
                with in_organization(other_organization):
                    assert names() == ["theirs"]
                transaction.set_rollback(True)
            assert names() == ["ours"]

    def test_ends_with_its_block(self, organization: Any, other_organization: Any) -> None:
        with in_organization(organization), search_path_set_once():
            names()

        with in_organization(other_organization), CaptureQueriesContext(connection) as sent:
            assert names() == names() == ["theirs"]
        assert sum("SET search_path" in query["sql"] for query in sent.captured_queries) == 2
