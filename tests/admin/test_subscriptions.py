"""Subscriptions in the admin: what the page says, and two ways to end one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from audit.services import Actor
from billing import services
from billing.models import Customer, Invoice, Subscription
from core import clock
from tenants.context import in_organization
from tests.admin.shop import (  # noqa: F401 - fixtures are found by their names
    Shop,
    browser_fixture,
    owner_fixture,
    shop_fixture,
    text,
    till_fixture,
    viewer_fixture,
)

BASE = "/o/acme/admin/billing/subscription/"


@pytest.fixture
def subscription(shop: Shop) -> Any:
    """One that runs."""
    with in_organization(shop.organization):
        customer = Customer.objects.create(integration=shop.integration, external_id="cus_1", email="carla@example.com")
        made = services.create_subscription(
            shop.integration, price="price_1", customer=str(customer.pk), actor=Actor.system("test")
        )
        shop.till.change(made.external_id, status="active")
        Subscription.objects.filter(pk=made.pk).update(
            status="active", amount_minor=4990, currency="BRL", current_period_end=clock.now() + timedelta(days=9)
        )
        Invoice.objects.create(
            integration=shop.integration, external_id="in_1", number="A-1", amount_due_minor=4990, currency="BRL",
            status="paid", subscription_external_id=made.external_id,
        )  # fmt: skip
        return Subscription.objects.get(pk=made.pk)


class TestPage:
    def test_says_what_it_is_and_what_to_do(self, subscription: Any, owner: Client) -> None:
        page = text(owner.get(f"{BASE}{subscription.pk}/change/"))

        assert "carla@example.com" in page
        assert "R$49.90" in page
        assert "Nothing to do: the provider charges each period." in page
        assert "A-1" in page
        assert "_secret_sandbox" not in page

    def test_is_in_the_list(self, subscription: Any, owner: Client) -> None:
        assert "carla@example.com" in text(owner.get(BASE))
        assert "carla@example.com" not in text(owner.get(BASE, {"status__exact": "canceled"}))

    def test_of_another_organization_is_not_there(
        self, subscription: Any, other_organization: Any, shop: Shop, owner: Client
    ) -> None:
        with in_organization(other_organization):
            foreign = Subscription.objects.create(
                integration=Shop(other_organization, shop.till).integration, external_id="sub_9"
            )

        for name in ("change", "cancel", "period-end"):
            assert owner.get(f"{BASE}{foreign.pk}/{name}/").status_code == 404


class TestCancel:
    def test_asks_once_then_ends_it(self, subscription: Any, shop: Shop, owner: Client) -> None:
        page = text(owner.get(f"{BASE}{subscription.pk}/cancel/"))
        before = [row.status for row in shop.all(Subscription)]

        answer = owner.post(f"{BASE}{subscription.pk}/cancel/")

        assert "cannot be undone" in page
        assert before == ["active"]
        assert [row.status for row in shop.all(Subscription)] == ["canceled"]
        after = text(owner.get(answer["Location"]))
        assert "The subscription has ended." in after
        assert f"{subscription.pk}/cancel/" not in after

    def test_with_the_period_can_be_taken_back(self, subscription: Any, shop: Shop, owner: Client) -> None:
        url = f"{BASE}{subscription.pk}/period-end/"
        assert "is charged no more after" in text(owner.get(url))

        owner.post(url, {"ends": "yes"})
        first = [row.cancel_at_period_end for row in shop.all(Subscription)]
        page = text(owner.get(f"{BASE}{subscription.pk}/change/"))
        owner.post(url, {"ends": "no"})

        assert first == [True]
        assert "Let it go on" in page
        assert [row.cancel_at_period_end for row in shop.all(Subscription)] == [False]

    def test_pressed_twice_is_pressed_once(self, subscription: Any, shop: Shop, owner: Client) -> None:
        for _ in range(2):
            owner.post(f"{BASE}{subscription.pk}/period-end/", {"ends": "yes"})

        assert [row.cancel_at_period_end for row in shop.all(Subscription)] == [True]

    @pytest.mark.parametrize("name", ["cancel", "period-end"])
    def test_is_not_for_viewers(self, name: str, subscription: Any, shop: Shop, viewer: Client) -> None:
        assert viewer.post(f"{BASE}{subscription.pk}/{name}/").status_code == 403
        assert f"{subscription.pk}/{name}/" not in text(viewer.get(f"{BASE}{subscription.pk}/change/"))
        assert [row.status for row in shop.all(Subscription)] == ["active"]

    def test_says_when_the_vendor_cannot_be_asked(self, subscription: Any, shop: Shop, owner: Client) -> None:
        shop.till.fails[f"POST /subscriptions/{subscription.external_id}/cancel"] = "unreached"

        answer = owner.post(f"{BASE}{subscription.pk}/cancel/")

        assert "rg-" in text(owner.get(answer["Location"]))
        assert [row.status for row in shop.all(Subscription)] == ["active"]
