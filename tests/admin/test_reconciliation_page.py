"""The days that were compared, claims that were refused, and the lists of what else the vendors keep."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client

from billing import models
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

BASE = "/o/acme/admin/billing/"


def facts(status: str, received: int) -> dict[str, Any]:
    """Return one side of a difference, as the comparison writes it."""
    return {"status": status, "amount_minor": 1990, "amount_received_minor": received, "amount_refunded_minor": None,
            "currency": "BRL"}  # fmt: skip


@pytest.fixture
def day(shop: Shop) -> Any:
    """A day with a repaired and a lasting difference."""
    payment = shop.paid()
    with in_organization(shop.organization):
        return models.Reconciliation.objects.create(
            integration=shop.integration,
            day=date(2026, 11, 20),
            status="different",
            vendor_count=2,
            our_count=1,
            repaired_count=1,
            different_count=1,
            totals={"BRL": {"vendor_minor": 5000, "ours_minor": 1990, "difference_minor": 3010}},
            differences=[
                {"external_id": payment.external_id, "kind": "status", "vendor": facts("succeeded", 1990),
                 "ours": facts("pending", 0), "repaired": True},
                {"external_id": "pay_gone", "kind": "missing_there", "vendor": None, "ours": facts("succeeded", 1),
                 "repaired": False},
            ],
        )  # fmt: skip


class TestReconciliation:
    def test_shows_sums_and_each_difference(self, day: Any, owner: Client) -> None:
        page = text(owner.get(f"{BASE}reconciliation/{day.pk}/change/"))

        assert "Zero tolerance" in page
        assert "R$30.10" in page
        assert "was missing here" not in page
        assert "is not in the provider&#x27;s list" in page
        assert "another status" in page
        assert page.count('rg-good">repaired') == 1
        assert "pay_gone" in page
        assert "paid · R$19.90 · R$0.01 received" in page

    def test_leads_to_the_payment(self, day: Any, shop: Shop, owner: Client) -> None:
        (payment,) = shop.all(models.Payment)

        assert f"/billing/payment/{payment.pk}/change/" in text(owner.get(f"{BASE}reconciliation/{day.pk}/change/"))

    def test_is_listed_with_its_result(self, day: Any, owner: Client) -> None:
        page = text(owner.get(f"{BASE}reconciliation/"))

        assert "without tolerance" in page
        assert "different" in page
        assert str(day.pk) not in text(owner.get(f"{BASE}reconciliation/", {"status__exact": "equal"}))

    def test_says_what_to_do_of_every_result(self, day: Any, owner: Client, shop: Shop) -> None:
        for status in ("equal", "repaired", "different", "failed"):
            with in_organization(shop.organization):
                models.Reconciliation.objects.update(
                    status=status, error={"code": "x", "reason": "x", "message": "It was cut."}, differences=[]
                )
            page = text(owner.get(f"{BASE}reconciliation/{day.pk}/change/"))
            assert "What to do:" in page, status
            assert "It was cut." in page

    def test_compares_again_when_asked(self, shop: Shop, owner: Client) -> None:
        shop.paid()
        with in_organization(shop.organization):
            type(shop.integration).objects.update(created_at=clock.now() - timedelta(days=3))
            row = models.Reconciliation.objects.create(
                integration=shop.integration, day=clock.now().date() - timedelta(days=1), status="failed"
            )

        answer = owner.post(f"{BASE}reconciliation/{row.pk}/compare/")

        assert "The day was compared again" in text(owner.get(answer["Location"]))
        assert [found.status for found in shop.all(models.Reconciliation)] == ["equal"]

    def test_says_why_a_day_is_not_compared(self, day: Any, shop: Shop, owner: Client) -> None:
        with in_organization(shop.organization):
            type(shop.integration).objects.update(created_at=clock.now() - timedelta(hours=10))
            models.Reconciliation.objects.update(day=clock.now().date() - timedelta(days=5))

        answer = owner.post(f"{BASE}reconciliation/{day.pk}/compare/")

        assert "days before it are not compared" in text(owner.get(answer["Location"]))

    def test_viewers_do_not_ask_the_vendor(self, day: Any, viewer: Client) -> None:
        assert viewer.post(f"{BASE}reconciliation/{day.pk}/compare/").status_code == 403


class TestRefusedClaims:
    def test_lists_what_was_not_believed_with_its_reason(self, shop: Shop, owner: Client) -> None:
        payment = shop.paid()
        with in_organization(shop.organization):
            rungs = [
                {"rung": "received", "ok": True, "detail": "by webhook"},
                {"rung": "signature", "ok": True, "detail": "the delivery's signature was verified"},
                {"rung": "account", "ok": False, "detail": "the money belongs to account mer_9, not to ours"},
            ]
            facts: dict[str, Any] = {"integration": shop.integration, "source": "webhook", "rungs": rungs}
            spoofed = models.Evidence.objects.create(
                **facts, external_id="pay_spoofed", claimed_status="succeeded", is_believed=False
            )
            known = models.Evidence.objects.create(
                **facts, payment=payment, external_id="pay_known", is_believed=False, claimed_status="succeeded"
            )

        page = text(owner.get(f"{BASE}evidence/"))

        assert "pay_spoofed" in page
        assert "the money belongs to account mer_9" in page
        assert "pay_known" in page
        assert "pay_known" not in text(owner.get(f"{BASE}evidence/", {"names": "none"}))
        assert payment.external_id + "<" not in page  # believed claims are on their payment's page
        one = text(owner.get(f"{BASE}evidence/{spoofed.pk}/change/"))
        assert "It moved no payment." in one
        assert one.count("radio_button_unchecked") == 2
        assert f"/billing/payment/{payment.pk}/change/" in text(owner.get(f"{BASE}evidence/{known.pk}/change/"))

    def test_says_so_when_there_is_none(self, shop: Shop, owner: Client) -> None:
        assert "No refused claim" in text(owner.get(f"{BASE}evidence/"))


class TestOtherLists:
    @pytest.mark.parametrize(
        ("path", "says"),
        [
            ("customer", "No customer yet"), ("refund", "No refund yet"), ("invoice", "No invoice yet"),
            ("dispute", "No dispute"), ("payout", "No payout yet"), ("checkoutsession", "No page yet"),
            ("subscription", "No subscription yet"), ("reconciliation", "No day was compared yet"),
        ],
    )  # fmt: skip
    def test_say_what_to_do_while_they_are_empty(self, path: str, says: str, shop: Shop, owner: Client) -> None:
        assert says in text(owner.get(f"{BASE}{path}/"))
        assert says not in text(owner.get(f"{BASE}{path}/", {"integration__id__exact": str(shop.integration.pk)}))

    def test_a_dispute_says_where_and_until_when_to_answer(self, shop: Shop, owner: Client) -> None:
        with in_organization(shop.organization):
            row = models.Dispute.objects.create(
                integration=shop.integration, external_id="dp_1", payment=shop.paid(), amount_minor=1990,
                currency="BRL", evidence_due_at=clock.now() + timedelta(days=2),
            )  # fmt: skip

        page = text(owner.get(f"{BASE}dispute/{row.pk}/change/"))

        assert "Answer it in the dashboard of Tillbox" in page

    def test_pages_of_the_vendor_are_links_only_where_a_browser_may_go(self, shop: Shop, owner: Client) -> None:
        with in_organization(shop.organization):
            facts: dict[str, Any] = {"integration": shop.integration, "amount_due_minor": 100, "currency": "BRL"}
            bad = models.Invoice.objects.create(**facts, external_id="in_1", url="javascript:alert(1)")
            good = models.Invoice.objects.create(**facts, external_id="in_2", url="https://pay.example.com/in_2")

        assert "javascript:" not in text(owner.get(f"{BASE}invoice/{bad.pk}/change/"))
        assert 'href="https://pay.example.com/in_2"' in text(owner.get(f"{BASE}invoice/{good.pk}/change/"))
