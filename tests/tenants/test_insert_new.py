"""Inserting what is new and learning which rows that were."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.models import Event
from tenants.base import insert_new
from tenants.context import WrongOrganization, in_organization, in_public_schema
from tests.channels_app.conftest import connected


def event(integration: Any, key: str) -> Event:
    return Event(integration=integration, type="unknown", key=key)


class TestInsertNew:
    def test_returns_those_that_were_not_there(self, inside: Any) -> None:
        integration = connected()
        old, new, again = event(integration, "a"), event(integration, "b"), event(integration, "a")
        assert insert_new([old]) == [old]

        assert insert_new([again, new]) == [new]
        assert insert_new([event(integration, "b")]) == []
        assert insert_new([]) == []
        assert set(Event.objects.values_list("id", flat=True)) == {old.id, new.id}

    def test_of_equal_rows_the_first_is_new(self, inside: Any) -> None:
        integration = connected()
        first, second = event(integration, "x"), event(integration, "x")

        assert insert_new([first, second]) == [first]

    def test_refuses_rows_of_another_organization(self, inside: Any, other_organization: Any) -> None:
        row = event(connected(), "a")

        with in_organization(other_organization), pytest.raises(WrongOrganization):
            insert_new([row])
        with in_public_schema(), pytest.raises(WrongOrganization):
            insert_new([row])
