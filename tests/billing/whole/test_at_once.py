"""A hundred at once, over real connections and commits: one effect; and one key at our API, one payment there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from rest_framework.test import APIClient

from accounts.services import create_api_key
from billing.models import Evidence, Payment
from dispatch.models import WebhookDelivery
from integrations.services.crew import work_deliveries
from tenants.context import in_organization
from tenants.models import Organization
from tests.billing.whole.shops import Shop, post_to_ingress
from tests.billing.whole.test_timeouts import at_vendor

AT_ONCE = 100
THREADS = 8
PUBLIC = (
    "notifications_notification", "dispatch_outboxentry", "dispatch_inboxkey", "dispatch_webhookdelivery",
    "dispatch_route", "dispatch_accountclaim", "dispatch_link", "meter_call", "meter_healthcheck",
    "meter_usagerecord", "audit_auditentry", "accounts_storedanswer", "accounts_apikey",
)  # fmt: skip
"""Tables in which an organization's rows are left behind, in an order that foreign keys allow."""


@pytest.fixture
def organization(django_db_setup: None, django_db_blocker: Any) -> Iterator[Organization]:
    """An organization whose rows are committed, and deleted at the end."""
    with django_db_blocker.unblock():
        found = Organization.objects.get(slug="acme")
        try:
            yield found
        finally:
            empty(found)
            connections.close_all()


def empty(organization: Organization) -> None:
    """Delete all rows of an organization, in public and of its own."""
    schema = organization.schema_name
    with connections["owner"].cursor() as cursor:
        for table in PUBLIC:
            cursor.execute(f'DELETE FROM public."{table}" WHERE organization_schema = %s', [schema])
        kept = "django_migrations"
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename <> %s", [schema, kept])
        own = ", ".join(f'"{schema}"."{table}"' for (table,) in cursor.fetchall())
        cursor.execute(f"TRUNCATE {own} CASCADE")


def at_once(work: Callable[[int], Any], count: int) -> list[Any]:
    """Do the same so many times, in threads that give their connections back."""

    def run(number: int) -> Any:
        try:
            return work(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(count)))


def work_in_threads() -> None:
    """Let several workers work the inbox off."""

    def run(_number: int) -> int:
        done = 0
        while count := work_deliveries():
            done += count
        return done

    at_once(run, 4)


class TestHundred:
    def test_posts_of_one_settlement_are_one_effect(self, any_shop: Shop) -> None:
        payment = any_shop.pay()
        any_shop.act(payment, "pay")
        posts = any_shop.posts()

        answers = at_once(lambda number: post_to_ingress(posts[number % len(posts)]), AT_ONCE)
        work_in_threads()
        any_shop.work(seconds=15)

        assert set(answers) == {200}
        assert [found.status for found in any_shop.rows(Payment)] == ["succeeded"]
        assert [claim.moved_to for claim in any_shop.rows(Evidence)].count("succeeded") == 1
        assert not WebhookDelivery.objects.exclude(status="processed").exists()

    def test_payments_settled_while_workers_race(self, stripe: Shop) -> None:
        payments = [stripe.pay() for _ in range(10)]
        for payment in payments:
            stripe.act(payment, "pay")
        posts = stripe.posts()

        at_once(lambda number: post_to_ingress(posts[-1 - number % len(posts)]), max(AT_ONCE, len(posts)))
        work_in_threads()
        stripe.work(seconds=15)

        assert [found.status for found in stripe.rows(Payment)] == ["succeeded"] * len(payments)
        assert [claim.moved_to for claim in stripe.rows(Evidence)].count("succeeded") == len(payments)


class TestApi:
    def test_one_key_twice_at_once_is_one_payment_at_the_vendor(self, any_shop: Shop) -> None:
        _key, text = create_api_key(
            schema_name=any_shop.organization.schema_name, name="test", scopes=("*",), environment="test"
        )
        asked = {
            "integration": str(any_shop.integration.pk), "amount_minor": 4990, "currency": "BRL", "method": "pix",
            "payer": {"email": "comprador@example.com", "name": "Ana Exemplo", "tax_id": "52998224725"},
        }  # fmt: skip

        def post(_number: int) -> tuple[int, dict[str, Any]]:
            client = APIClient()
            client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
            answer = client.post(
                "/api/v1/billing/payments/", asked, format="json", headers={"Idempotency-Key": "order-17"}
            )
            return answer.status_code, json.loads(answer.content)

        answers = at_once(post, 6)
        answers.append(post(6))

        made = [body["id"] for status, body in answers if status == 201]
        assert made
        assert len(set(made)) == 1
        assert {status for status, _body in answers} <= {201, 409}
        assert answers[-1][0] == 201
        assert len(at_vendor(any_shop)) == 1
        with in_organization(any_shop.organization):
            assert Payment.objects.count() == 1
