"""Charging by PIX from the admin, and static codes: drawn to be scanned, and honest about what they cannot say."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from billing.models import Payment
from tenants.context import in_organization
from tests.admin.shop import (  # noqa: F401 - fixtures are found by their names
    Shop,
    browser_fixture,
    hidden,
    owner_fixture,
    portuguese_fixture,
    shop_fixture,
    text,
    till_fixture,
    viewer_fixture,
)

CHARGE = "/o/acme/admin/billing/payment/charge/"
STATIC = "/o/acme/admin/billing/payment/static-code/"


@pytest.fixture
def form(shop: Shop, owner: Client) -> dict[str, str]:
    """A charge of 25 reais, filled in; its token is the page's own."""
    token = hidden(text(owner.get(CHARGE)))
    return {**token, "integration": str(shop.integration.pk), "amount": "25.00", "email": "payer@example.com",
            "name": "Ana Payer", "tax_id": "", "description": "Order 7", "lives": "900"}  # fmt: skip


def pictures(page: str) -> list[bytes]:
    """Return the pictures inside a page."""
    return [base64.b64decode(found) for found in re.findall(r'src="data:image/png;base64,([^"]+)"', page)]


class TestCharge:
    def test_leads_to_a_page_with_the_code(self, shop: Shop, form: dict[str, str], owner: Client) -> None:
        answer = owner.post(CHARGE, form)

        (payment,) = shop.all(Payment)
        assert answer["Location"].endswith(f"/billing/payment/{payment.pk}/change/")
        assert (payment.amount_minor, payment.currency, payment.method) == (2500, "BRL", "pix")
        assert payment.origin == "admin"
        assert payment.payer == {"email": "payer@example.com", "name": "Ana Payer"}
        assert (payment.expires_at - payment.created_at).total_seconds() == 900
        page = text(owner.get(answer["Location"]))
        assert pictures(page)[0].startswith(b"\x89PNG")
        assert 'data-over="false"' in page

    def test_its_page_says_when_it_was_paid(self, shop: Shop, form: dict[str, str], owner: Client) -> None:
        owner.post(CHARGE, form)
        (payment,) = shop.all(Payment)
        url = f"/o/acme/admin/billing/payment/{payment.pk}/"
        before = owner.get(f"{url}live/").json()

        shop.pay(payment)

        after = owner.get(f"{url}live/").json()
        assert after["version"] != before["version"]
        assert (before["is_over"], after["is_over"]) == (False, True)
        page = text(owner.get(f"{url}change/"))
        assert pictures(page) == []
        assert "Nothing to do: the money came." in page

    def test_twice_by_one_form_is_once(self, shop: Shop, form: dict[str, str], owner: Client) -> None:
        answers = [owner.post(CHARGE, form) for _ in range(2)]

        assert answers[0]["Location"] == answers[1]["Location"]
        assert shop.till.count("POST /payments") == 1

    def test_reads_the_amount_in_the_pages_language(
        self, shop: Shop, form: dict[str, str], owner: Client, portuguese: Callable[[Client], Client]
    ) -> None:
        portuguese(owner).post(CHARGE, {**form, "amount": "R$ 1.250,50"})

        assert [payment.amount_minor for payment in shop.all(Payment)] == [125_050]

    @pytest.mark.parametrize(
        ("typed", "says"),
        [
            ({"amount": "0.30"}, "Charge 50 minor units at least."),
            ({"amount": "-1"}, "Write an amount such as"),
            ({"email": "nobody"}, "valid email"),
            ({"tax_id": "52998224724"}, "CPF"),
            ({"lives": "1"}, "Select a valid choice"),
            ({"integration": "01900000-0000-7000-8000-000000000000"}, "Select a valid choice"),
        ],
    )
    def test_says_at_the_field_what_is_wrong(
        self, typed: dict[str, str], says: str, shop: Shop, form: dict[str, str], owner: Client
    ) -> None:
        answer = owner.post(CHARGE, {**form, **typed})

        page = answer.content.decode()
        assert answer.status_code == 422
        assert says in page
        assert 'class="rg-field rg-field-wrong"' in page
        assert shop.all(Payment) == []

    @pytest.mark.parametrize("field", ["description", "name", "tax_id"])
    def test_keeps_no_card_number(self, field: str, shop: Shop, form: dict[str, str], owner: Client) -> None:
        answer = owner.post(CHARGE, {**form, field: "4242 4242 4242 4242"})

        assert answer.status_code == 422
        assert "4242" not in answer.content.decode()
        assert shop.all(Payment) == []

    def test_takes_a_cnpj_whose_digits_look_like_a_card(self, shop: Shop, form: dict[str, str], owner: Client) -> None:
        answer = owner.post(CHARGE, {**form, "tax_id": "11.222.333/0001-81"})

        assert answer.status_code == 302
        assert shop.all(Payment)[0].payer["tax_id"] == "11222333000181"

    def test_says_when_the_vendor_refuses_and_takes_another_try(
        self, shop: Shop, form: dict[str, str], owner: Client
    ) -> None:
        shop.till.fails["POST /payments"] = "refused"
        refused = owner.post(CHARGE, form)
        page = refused.content.decode()
        del shop.till.fails["POST /payments"]

        answer = owner.post(CHARGE, {**form, **hidden(page)})

        assert refused.status_code == 422
        assert "Not like this." in page
        assert hidden(page)["token"] != form["token"]
        assert answer.status_code == 302

    def test_is_not_for_viewers(self, shop: Shop, viewer: Client) -> None:
        for url in (CHARGE, STATIC):
            assert viewer.get(url).status_code == 403
            assert viewer.post(url).status_code == 403

    def test_says_what_is_missing_without_an_account(self, organization: Any, owner: Client) -> None:
        for url in (CHARGE, STATIC):
            page = text(owner.get(url))
            assert "Connect PIX, MercadoPago or Stripe first." in page
            assert "/integrations/integration/add/" in page

    def test_offers_no_foreign_and_no_disabled_account(
        self, shop: Shop, other_organization: Any, owner: Client
    ) -> None:
        foreign = Shop(other_organization, shop.till).integration
        with in_organization(shop.organization):
            type(shop.integration).objects.update(status="disabled")

        page = text(owner.get(CHARGE))

        assert str(foreign.pk) not in page
        assert str(shop.integration.pk) not in page


class TestStaticCode:
    def test_is_drawn_and_says_that_nobody_tells(self, shop: Shop, owner: Client) -> None:
        page = text(owner.post(STATIC, {"integration": str(shop.integration.pk), "amount": "12.34"}))

        assert "TILL1234" in page
        assert pictures(page)[0].startswith(b"\x89PNG")
        assert "Nobody tells whether a static code was paid" in page
        assert "Pay R$12.34 to Till" in page
        assert shop.all(Payment) == []

    def test_needs_no_amount(self, shop: Shop, owner: Client) -> None:
        page = text(owner.post(STATIC, {"integration": str(shop.integration.pk)}))

        assert "TILL0" in page

    def test_of_a_real_pix_key_is_a_code_that_banks_read(self, organization: Any, owner: Client) -> None:
        from billing.brcode import parse
        from integrations.models import Integration
        from integrations.services import credentials

        with in_organization(organization):
            row = Integration.objects.create(
                provider="pix", name="Bakery", environment="test", health="healthy",
                settings={"mode": "static", "pix_key": "bakery@example.com", "pix_key_type": "email",
                          "merchant_name": "Bakery", "merchant_city": "Sao Paulo"},
            )  # fmt: skip
            credentials.store(row, {})

        page = text(owner.post(STATIC, {"integration": str(row.pk), "amount": "5.00", "txid": "TABLE7"}))

        found = re.search(r'id="pix-code">([^<]+)<', page)
        assert found is not None
        read = parse(found[1])
        assert (read.amount_minor, read.txid) == (500, "TABLE7")
