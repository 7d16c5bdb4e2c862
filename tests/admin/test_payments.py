"""Payments in the admin: what the pages say, who may give money back, and that a second click is harmless."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from audit.models import AuditEntry
from audit.services import Actor
from billing import services
from billing.models import Customer, Dispute, Evidence, Payment, Refund
from core import clock
from dispatch.models import OutboxEntry
from tenants.context import in_organization
from tests.admin.shop import (  # noqa: F401 - fixtures are found by their names
    Shop,
    browser_fixture,
    hidden,
    owner_fixture,
    payer_of,
    portuguese_fixture,
    shop_fixture,
    text,
    till_fixture,
    viewer_fixture,
)

BASE = "/o/acme/admin/billing/payment/"
GERMAN_PAYER = "Jürgen Weiß"


class TestList:
    def test_shows_amounts_in_the_language_of_the_page(
        self, shop: Shop, owner: Client, portuguese: Callable[[Client], Client]
    ) -> None:
        shop.charge(amount_minor=123_450)

        assert "R$1,234.50" in text(owner.get(BASE))
        assert "R$ 1.234,50" in text(portuguese(owner).get(BASE))

    @pytest.mark.parametrize("term", ["payer@example.com", "Ana", "PAYER@EXAMPLE", "Order seven"])
    def test_finds_by_what_people_know(self, term: str, shop: Shop, owner: Client) -> None:
        wanted = shop.charge(description="Order seven")
        other = shop.charge(payer=payer_of("someone.else@example.com"))

        page = text(owner.get(BASE, {"q": term}))

        assert str(wanted.pk) in page
        assert str(other.pk) not in page

    def test_finds_by_our_id_and_the_vendors(self, shop: Shop, owner: Client) -> None:
        wanted, other = shop.charge(), shop.charge(amount_minor=777)
        with in_organization(shop.organization):
            Payment.objects.filter(pk=wanted.pk).update(aliases=["ch_alias_1"])

        for term in (str(wanted.pk), wanted.external_id, "ch_alias_1"):
            page = text(owner.get(BASE, {"q": term}))
            assert str(wanted.pk) in page, term
            assert str(other.pk) not in page, term

    def test_filters_by_status_method_and_warning(self, shop: Shop, owner: Client) -> None:
        paid, wrong = shop.paid(), shop.paid(amount=1)

        assert str(wrong.pk) not in text(owner.get(BASE, {"status__exact": "succeeded"}))
        assert str(paid.pk) not in text(owner.get(BASE, {"marked": "yes"}))
        assert str(wrong.pk) in text(owner.get(BASE, {"marked": "yes"}))
        assert str(paid.pk) not in text(owner.get(BASE, {"pays_by": "boleto"}))

    def test_shows_a_warning(self, shop: Shop, owner: Client) -> None:
        shop.paid(amount=1)

        assert "another amount came" in text(owner.get(BASE))

    def test_says_what_to_do_while_there_is_nothing(self, shop: Shop, owner: Client) -> None:
        assert "No payment yet." in text(owner.get(BASE))
        assert "No payment yet." not in text(owner.get(BASE, {"q": "nobody"}))

    def test_asks_no_more_for_more_rows(self, shop: Shop, owner: Client) -> None:
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        shop.charge()
        owner.get(BASE)
        with CaptureQueriesContext(connection) as few:
            owner.get(BASE)
        for _ in range(5):
            shop.charge()

        with CaptureQueriesContext(connection) as many:
            owner.get(BASE)

        assert len(many) <= len(few)


class TestPage:
    def test_shows_a_pending_pix_to_scan_and_to_copy(self, shop: Shop, owner: Client) -> None:
        payment = shop.charge(expires_in_s=900)

        page = text(owner.get(f"{BASE}{payment.pk}/change/"))

        assert 'src="data:image/png;base64,iVBOR' in page
        assert "000201till" in page
        assert "What to do:" in page
        assert "data-copy" in page

    def test_shows_no_code_of_what_is_paid(self, shop: Shop, owner: Client) -> None:
        payment = shop.paid()

        page = text(owner.get(f"{BASE}{payment.pk}/change/"))

        assert "000201till" not in page
        assert "Nothing to do: the money came." in page

    def test_holds_no_script_of_its_own(self, shop: Shop, owner: Client) -> None:
        payment = shop.charge()

        page = text(owner.get(f"{BASE}{payment.pk}/change/"))

        main = page[page.index('class="rg-page"') :]
        assert "onclick" not in main
        assert "billing/live.js" in page

    def test_shows_the_ladder_of_a_claim_that_was_believed(self, shop: Shop, owner: Client) -> None:
        payment = shop.paid()

        page = text(owner.get(f"{BASE}{payment.pk}/change/"))

        assert "believed" in page
        assert page.count("check_circle") == 10  # the answer to the request, and what was asked: five rungs each
        assert "moved it to: paid" in page
        assert "19.90 BRL came, as asked" in page

    def test_shows_where_a_claim_fell_and_what_was_not_looked_at(self, shop: Shop, owner: Client) -> None:
        payment = shop.charge()
        with in_organization(shop.organization):
            Evidence.objects.create(
                integration=shop.integration,
                payment=payment,
                source="webhook",
                claimed_status="succeeded",
                is_believed=False,
                rungs=[
                    {"rung": "received", "ok": True, "detail": "by webhook"},
                    {"rung": "signature", "ok": False, "detail": "nobody has signed this"},
                ],
            )

        page = text(owner.get(f"{BASE}{payment.pk}/change/"))

        assert "refused" in page
        assert "nobody has signed this" in page
        assert page.count("radio_button_unchecked") == 3
        assert "A claim was not believed: paid" in page

    def test_leads_from_a_claim_to_its_event_and_delivery(self, shop: Shop, owner: Client) -> None:
        from core.ids import new_id
        from integrations.models import Event

        payment, delivery = shop.charge(), new_id()
        with in_organization(shop.organization):
            event = Event.objects.create(
                integration=shop.integration, type="payment.updated", key="k", external_id="e", delivery_id=delivery
            )
            Evidence.objects.create(
                integration=shop.integration, payment=payment, source="webhook", source_id=str(event.pk),
                claimed_status="pending", is_believed=True, rungs=[{"rung": "received", "ok": True, "detail": "x"}],
            )  # fmt: skip

        page = text(owner.get(f"{BASE}{payment.pk}/change/"))

        assert f"/integrations/event/{event.pk}/change/" in page
        assert f"/dispatch/webhookdelivery/{delivery}/change/" in page

    def test_tells_what_happened_and_who_did_it(self, shop: Shop, owner: Client) -> None:
        payment = shop.paid()
        with in_organization(shop.organization):
            services.refund_payment(payment, amount_minor=500, reason="Too dear", actor=Actor.system("the shop"))
            Dispute.objects.create(
                integration=shop.integration, payment=payment, external_id="dp_1", amount_minor=1990, currency="BRL",
                evidence_due_at=clock.now() + timedelta(days=3),
            )  # fmt: skip

        page = text(owner.get(f"{BASE}{payment.pk}/change/"))

        assert "the shop gave money back: R$5.00." in page
        assert "Refund of R$5.00: given back" in page
        assert "Dispute over R$19.90: open" in page
        assert "Answer until" in page

    def test_says_of_a_wrong_amount_that_it_does_not_count(self, shop: Shop, owner: Client) -> None:
        payment = shop.paid(amount=100)

        page = text(owner.get(f"{BASE}{payment.pk}/change/"))

        assert "it does not count as paid" in page
        assert "R$1.00" in page

    def test_shows_no_client_secret_and_little_of_a_tax_id(self, shop: Shop, owner: Client) -> None:
        payment = shop.charge(method="automatic", payer=payer_of("payer@example.com", tax_id="52998224725"))
        assert payment.sealed_client_secret

        page = text(owner.get(f"{BASE}{payment.pk}/change/"))

        assert "_secret_sandbox" not in page
        assert "52998224725" not in page
        assert "725" in page

    def test_redacts_the_vendors_object_and_escapes_it(self, shop: Shop, owner: Client) -> None:
        payment = shop.charge(description="<script>alert(1)</script>")
        with in_organization(shop.organization):
            Payment.objects.filter(pk=payment.pk).update(
                vendor_payload={"client_secret": "planted-secret", "note": "<script>alert(2)</script>"}
            )

        page = text(owner.get(f"{BASE}{payment.pk}/change/"))

        assert "planted-secret" not in page
        assert "<script>alert" not in page

    def test_offers_no_step_where_none_is_known(self, shop: Shop, owner: Client) -> None:
        payment = shop.paid(amount=100)
        with in_organization(shop.organization):
            Payment.objects.filter(pk=payment.pk).update(next_action=None)

        page = text(owner.get(f"{BASE}{payment.pk}/change/"))

        assert 'id="next-action"' not in page
        assert f"{payment.pk}/cancel/" not in page  # money came: there is something to give back, not to cancel

    def test_live_answers_the_same_until_something_changes(self, shop: Shop, owner: Client) -> None:
        payment = shop.charge()
        url = f"{BASE}{payment.pk}/live/"
        first, second = owner.get(url).json(), owner.get(url).json()
        with in_organization(shop.organization):
            Payment.objects.get(pk=payment.pk).save()

        third = owner.get(url).json()

        assert first == second
        assert first["is_over"] is False
        assert third["version"] != first["version"]
        assert f'data-version="{third["version"]}"' in text(owner.get(f"{BASE}{payment.pk}/change/"))

    def test_of_another_organization_is_not_there(self, shop: Shop, other_organization: Any, owner: Client) -> None:
        foreign = Shop(other_organization, shop.till).charge()

        for name in ("change", "live", "refund", "cancel", "ask", "history"):
            assert owner.get(f"{BASE}{foreign.pk}/{name}/").status_code == 404, name
        for name in ("refund", "cancel", "ask"):
            assert owner.post(f"{BASE}{foreign.pk}/{name}/").status_code == 404, name


class TestRefund:
    def test_asks_shows_it_once_more_and_gives_it_back(self, shop: Shop, owner: Client) -> None:
        payment = shop.paid()
        url = f"{BASE}{payment.pk}/refund/"
        form = text(owner.get(url))
        assert 'value="19.90"' in form
        assert "At most R$19.90 is left." in form

        confirm = text(owner.post(url, {**hidden(form), "amount": "5.00", "reason": "Too dear"}))
        assert "Give R$5.00 back" in confirm
        assert "R$14.90" in confirm
        assert shop.all(Refund) == []
        answer = owner.post(url, hidden(confirm))

        assert answer.status_code == 302
        (refund,) = shop.all(Refund)
        assert (refund.amount_minor, refund.status, refund.reason) == (500, "succeeded", "Too dear")
        assert "R$5.00 went back to the payer." in text(owner.get(answer["Location"]))

    def test_twice_by_one_form_is_once(self, shop: Shop, owner: Client) -> None:
        payment = shop.paid()
        url = f"{BASE}{payment.pk}/refund/"
        confirm = text(owner.post(url, {**hidden(text(owner.get(url))), "amount": "19.90"}))

        answers = [owner.post(url, hidden(confirm)) for _ in range(3)]

        assert [answer.status_code for answer in answers] == [302, 302, 302]
        assert shop.till.count("POST /refunds") == 1
        assert len(shop.all(Refund)) == 1
        page = text(owner.get(answers[-1]["Location"]))
        assert "went back to the payer" in page
        assert "rg-note-error" not in page[page.index('class="rg-page"') :]

    def test_reads_amounts_as_the_page_writes_them(
        self, shop: Shop, owner: Client, portuguese: Callable[[Client], Client]
    ) -> None:
        payment = shop.paid(amount_minor=150_000)
        url = f"{BASE}{payment.pk}/refund/"
        token = hidden(text(owner.get(url)))

        english = owner.post(url, {**token, "amount": "1,500.00"})
        wrong_in_english = owner.post(url, {**token, "amount": "1.500,00"})
        portuguese(owner)
        right = owner.post(url, {**token, "amount": "1.500,00"})
        wrong = owner.post(url, {**token, "amount": "1,500.00"})

        assert "R$1,500.00" in text(english)
        assert wrong_in_english.status_code == 422
        assert "R$ 1.500,00" in text(right)
        assert wrong.status_code == 422

    @pytest.mark.parametrize("amount", ["0", "0.00", "-5", "5.001", "20.00", "abc", "", "1e3", "NaN", "1,00", "9" * 20])
    def test_refuses_what_is_no_amount_within_the_rest(self, amount: str, shop: Shop, owner: Client) -> None:
        payment = shop.paid()
        url = f"{BASE}{payment.pk}/refund/"

        answer = owner.post(url, {**hidden(text(owner.get(url))), "amount": amount})

        assert answer.status_code == 422
        assert shop.all(Refund) == []

    def test_leaves_the_last_word_to_the_service(self, shop: Shop, owner: Client) -> None:
        payment = shop.paid()
        url = f"{BASE}{payment.pk}/refund/"
        confirm = hidden(text(owner.post(url, {**hidden(text(owner.get(url))), "amount": "19.90"})))
        with in_organization(shop.organization):
            services.refund_payment(payment, amount_minor=1000, actor=Actor.system("test"))

        answer = owner.post(url, confirm)

        assert [refund.amount_minor for refund in shop.all(Refund)] == [1000]
        assert "is left to refund" in text(owner.get(answer["Location"]))

    def test_is_not_offered_for_what_was_not_paid(self, shop: Shop, owner: Client) -> None:
        payment = shop.charge()

        page = text(owner.get(f"{BASE}{payment.pk}/change/"))
        answer = owner.get(f"{BASE}{payment.pk}/refund/")

        assert f"{payment.pk}/refund/" not in page
        assert answer.status_code == 302

    def test_says_when_the_vendor_refuses(self, shop: Shop, owner: Client) -> None:
        payment = shop.paid()
        url = f"{BASE}{payment.pk}/refund/"
        confirm = hidden(text(owner.post(url, {**hidden(text(owner.get(url))), "amount": "5.00"})))
        shop.till.fails["POST /refunds"] = "refused"

        answer = owner.post(url, confirm)

        assert "Not like this." in text(owner.get(answer["Location"]))
        assert [refund.status for refund in shop.all(Refund)] == ["failed"]

    def test_is_the_audits_business(self, shop: Shop, owner: Client) -> None:
        payment = shop.paid()
        url = f"{BASE}{payment.pk}/refund/"
        owner.post(url, hidden(text(owner.post(url, {**hidden(text(owner.get(url))), "amount": "5.00"}))))

        entry = AuditEntry.objects.filter(action="refund.created").latest("created_at")

        assert entry.actor_kind == "user"
        assert entry.target_id == str(payment.pk)

    def test_keeps_no_card_number(self, shop: Shop, owner: Client) -> None:
        payment = shop.paid()
        url = f"{BASE}{payment.pk}/refund/"

        answer = owner.post(url, {**hidden(text(owner.get(url))), "amount": "5.00", "reason": "to 4242 4242 4242 4242"})

        assert answer.status_code == 422
        assert "4242" not in answer.content.decode()
        assert shop.all(Refund) == []


class TestRoles:
    @pytest.mark.parametrize("name", ["refund", "cancel", "ask"])
    def test_viewers_change_nothing(self, name: str, shop: Shop, viewer: Client) -> None:
        payment = shop.paid()

        assert viewer.get(f"{BASE}{payment.pk}/{name}/").status_code == 403
        assert viewer.post(f"{BASE}{payment.pk}/{name}/", {"amount_minor": "100"}).status_code == 403
        assert shop.all(Refund) == []

    def test_viewers_read_without_buttons(self, shop: Shop, viewer: Client) -> None:
        payment = shop.paid()

        page = text(viewer.get(f"{BASE}{payment.pk}/change/"))

        assert "R$19.90" in page
        for name in ("refund", "cancel", "ask"):
            assert f"{payment.pk}/{name}/" not in page
        assert "Charge by PIX" not in text(viewer.get(BASE))

    @pytest.mark.parametrize("role", ["owner", "admin", "developer"])
    def test_those_who_work_may_give_back(
        self, role: str, shop: Shop, member: Callable[..., Any], browser: Callable[[Any], Client]
    ) -> None:
        payment = shop.paid()

        assert f"{payment.pk}/refund/" in text(browser(member(role)).get(f"{BASE}{payment.pk}/change/"))


class TestCancel:
    def test_asks_once_then_cancels(self, shop: Shop, owner: Client) -> None:
        payment = shop.charge()
        url = f"{BASE}{payment.pk}/cancel/"

        page = text(owner.get(url))
        answer = owner.post(url)

        assert "cannot be undone" in page
        assert answer.status_code == 302
        assert [row.status for row in shop.all(Payment)] == ["canceled"]

    def test_of_a_paid_one_is_refused(self, shop: Shop, owner: Client) -> None:
        payment = shop.paid()

        answer = owner.post(f"{BASE}{payment.pk}/cancel/")

        assert "only one that nobody has paid" in text(owner.get(answer["Location"]))
        assert [row.status for row in shop.all(Payment)] == ["succeeded"]


class TestAsk:
    def test_has_the_vendor_asked_once(self, shop: Shop, owner: Client) -> None:
        payment = shop.charge()

        for _ in range(2):
            owner.post(f"{BASE}{payment.pk}/ask/")

        waiting = OutboxEntry.objects.filter(kind="billing.read", object_id=f"payment:{payment.pk}")
        assert waiting.filter(next_attempt_at__lte=clock.now()).count() == 1

    def test_changes_nothing_by_looking(self, shop: Shop, owner: Client) -> None:
        payment = shop.charge()

        owner.get(f"{BASE}{payment.pk}/ask/")

        assert not OutboxEntry.objects.filter(kind="billing.read", object_id=f"payment:{payment.pk}").exists()


class TestPanel:
    def test_shows_the_latest(self, shop: Shop, owner: Client) -> None:
        shop.charge(payer=payer_of("payer@example.com", name=GERMAN_PAYER))

        page = text(owner.get("/o/acme/admin/"))

        assert "Latest payments" in page
        assert GERMAN_PAYER in page

    def test_is_silent_without_a_payment_account(self, organization: Any, owner: Client) -> None:
        assert "Latest payments" not in text(owner.get("/o/acme/admin/"))


class TestCustomers:
    def test_finds_a_payment_by_its_customer(self, shop: Shop, owner: Client) -> None:
        with in_organization(shop.organization):
            customer = Customer.objects.create(
                integration=shop.integration, external_id="cus_1", email="carla@example.com", name="Carla"
            )
        payment = shop.charge(customer=str(customer.pk))

        assert str(payment.pk) in text(owner.get(BASE, {"q": "carla@"}))
        assert str(customer.pk) in text(owner.get(f"{BASE}{payment.pk}/change/"))
