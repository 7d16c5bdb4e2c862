"""The same money asked for at once, over real connections and commits: one effect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections

from audit.services import Actor
from core.errors import RegistryError
from tests.billing.conftest import connected
from tests.billing.services.conftest import PIX, card

THREADS = 20
ACTOR = Actor.system("test")


@pytest.fixture
def committed(django_db_setup: None, django_db_blocker: Any, till: Any) -> Iterator[tuple[Any, Any]]:
    """An integration whose rows are committed, and deleted at the end."""
    from tenants.context import in_organization
    from tenants.models import Organization

    with django_db_blocker.unblock():
        organization = Organization.objects.get(slug="acme")
        with in_organization(organization):
            integration = connected()
        try:
            yield organization, integration
        finally:
            with in_organization(organization):
                _clean(integration)
            connections.close_all()


def _clean(integration: Any) -> None:
    from billing.models import Evidence, Payment, Refund
    from dispatch.models import AccountClaim, Link, OutboxEntry
    from integrations.models import Credential

    for model in (Evidence, Refund, Payment, Credential):
        model.objects.all().delete()
    OutboxEntry.objects.filter(link_id=integration.id).delete()
    AccountClaim.objects.all().delete()
    Link.objects.filter(pk=integration.pk).delete()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM meter_usagerecord WHERE link_id = %s", [integration.id])
    integration.delete()


def at_once(organization: Any, work: Callable[[], Any]) -> list[Any]:
    """Do the same in every thread and return what each got, or the refusal that it met."""
    from tenants.context import in_organization

    def run(_number: int) -> Any:
        try:
            with in_organization(organization):
                return work()
        except RegistryError as refusal:
            return refusal
        finally:
            connections.close_all()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


class TestAtOnce:
    def test_twenty_refunds_give_back_once(self, committed: Any, till: Any) -> None:
        from billing import services
        from billing.models import Payment, Refund
        from tenants.context import in_organization

        organization, integration = committed
        with in_organization(organization):
            payment = services.create_payment(integration, **PIX | card(), actor=ACTOR)

        results = at_once(organization, lambda: services.refund_payment(payment, actor=ACTOR))

        with in_organization(organization):
            assert [type(found) for found in results].count(Refund) == 1
            assert {found.status for found in results if isinstance(found, RegistryError)} == {409}
            assert Payment.objects.get(pk=payment.pk).amount_refunded_minor == 1990
        assert [found["amount"] for found in till.of("refunds")] == [1990]

    def test_parts_never_sum_to_more_than_came(self, committed: Any, till: Any) -> None:
        from billing import services
        from tenants.context import in_organization

        organization, integration = committed
        with in_organization(organization):
            payment = services.create_payment(integration, **PIX | card(), actor=ACTOR)

        at_once(organization, lambda: services.refund_payment(payment, amount_minor=300, actor=ACTOR))

        assert [found["amount"] for found in till.of("refunds")] == [300] * 6

    def test_one_key_charges_once(self, committed: Any, till: Any) -> None:
        from billing import services
        from billing.models import Payment
        from tenants.context import in_organization

        organization, integration = committed

        results = at_once(
            organization,
            lambda: services.create_payment(integration, **PIX | card(), caller_key="same", actor=ACTOR),
        )

        with in_organization(organization):
            payment = Payment.objects.get()
            assert {found.pk for found in results} == {payment.pk}
            assert payment.status == "succeeded"
        assert till.count("POST /payments") == 1
