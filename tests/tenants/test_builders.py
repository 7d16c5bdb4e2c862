"""Two builders of one organization: a command and the sweep, over real connections and commits."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connections

from tenants.models import Organization, SchemaChange, SchemaState
from tenants.routers import OWNER
from tenants.services import build_organization, create_organization

BUILDERS = 3


@pytest.fixture
def registered(django_db_setup: None, django_db_blocker: Any) -> Iterator[Organization]:
    """An organization that is registered and not built; nothing of it stays."""
    with django_db_blocker.unblock():
        organization = create_organization(slug="two-builders", name="Two builders")
        try:
            yield organization
        finally:
            schema = organization.schema_name
            SchemaState.objects.using(OWNER).filter(pk=schema).delete()
            Organization.objects.using(OWNER).filter(pk=organization.pk).delete()
            with connections[OWNER].cursor() as cursor:
                cursor.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
            connections.close_all()


def test_all_succeed_and_each_change_is_made_once(registered: Organization) -> None:
    start = Barrier(BUILDERS)

    def build(_number: int) -> str:
        organization = Organization.objects.get(pk=registered.pk)
        start.wait()
        try:
            build_organization(organization)
        finally:
            connections.close_all()
        return organization.status

    with ThreadPoolExecutor(BUILDERS) as pool:
        states = list(pool.map(build, range(BUILDERS)))

    assert states == [Organization.Status.ACTIVE] * BUILDERS
    registered.refresh_from_db()
    assert (registered.is_open, registered.failure) == (True, "")
    newest = SchemaChange.objects.order_by("-position").values_list("position", flat=True)[0]
    assert SchemaState.objects.get(pk=registered.schema_name).position == newest
