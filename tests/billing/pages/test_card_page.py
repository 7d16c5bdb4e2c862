"""The card page over HTTP, against the stand-in: what it shows, what it takes, and that nobody is charged twice."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from audit.models import AuditEntry
from billing.contract import CardToken, PaymentStatus
from billing.models import Evidence, Payment, Source
from billing.pages.charging import finish
from billing.pages.outbox import EXPIRE
from billing.providers._mercadopago_states import payment_state
from billing.services import card_pages
from billing.services.applying import apply_state
from core import clock
from core.errors import Conflict, ValidationFailed
from core.secret import Secret
from dispatch.models import OutboxEntry
from tenants.context import in_organization
from tests.billing.pages.conftest import ACTOR, path_of
from tests.sandbox.mercadopago import CPF, VISA, Shop

pytestmark = pytest.mark.django_db


def charges(shop: Shop) -> list[dict[str, Any]]:
    """What the vendor has made, oldest first."""
    answer = shop.call("GET", "/v1/payments/search?sort=date_created&criteria=asc&limit=50")
    return list(json.loads(answer.text, parse_float=str)["results"])


class TestOpening:
    def test_the_payment_waits_and_leads_to_our_page(self, waiting: Any, shop: Shop, settings: Any) -> None:
        payment = waiting()

        assert payment.status == "requires_action"
        assert payment.next_action["kind"] == "redirect"
        assert payment.next_action["redirect"]["url"].startswith(f"{settings.PUBLIC_URL}/pay/")
        assert payment.expires_at is not None
        assert charges(shop) == []

    def test_only_a_card_without_token_and_with_a_way_back_gets_one(self, integration: Any) -> None:
        token = CardToken(token=Secret("a" * 32))
        cases = [("card", None, "https://a.example", True), ("card", token, "https://a.example", False),
                 ("card", None, "", False), ("pix", None, "https://a.example", False)]  # fmt: skip

        for method, card, url, expected in cases:
            assert card_pages.serves(integration, method=method, card=card, return_url=url) is expected

    def test_the_vendors_rules_hold_before_anything_is_stored(self, organization: Any, waiting: Any) -> None:
        with pytest.raises(ValidationFailed) as refused:
            waiting(currency="ARS")

        assert list(refused.value.errors) == ["currency"]
        with in_organization(organization):
            assert not Payment.objects.exists()

    def test_registered_origins_bind_the_way_back(self, organization: Any, waiting: Any) -> None:
        organization.allowed_origins = ["https://other.example.com"]
        organization.save()

        with pytest.raises(ValidationFailed) as refused:
            waiting()

        assert list(refused.value.errors) == ["return_url"]

    def test_the_same_request_opens_one_page(self, organization: Any, waiting: Any) -> None:
        first, second = waiting(request_key="k" * 64), waiting(request_key="k" * 64)

        assert (second.pk, second.next_action) == (first.pk, first.next_action)


class TestShowing:
    @pytest.mark.parametrize(("language", "amount"), [("pt-BR", "R$ 58,80"), ("en", "R$58.80")])
    def test_says_what_is_bought_in_the_payers_language(
        self, waiting: Any, client: Client, language: str, amount: str
    ) -> None:
        shown = client.get(path_of(waiting()), headers={"accept-language": language})

        text = shown.content.decode()
        assert shown.status_code == 200
        assert f'<html lang="{language.lower()}">' in text
        assert "Bolo de fubá" in text
        assert amount in text.replace("\xa0", " ")

    def test_leaves_no_trace_and_changes_nothing(self, waiting: Any, client: Client, read: Any) -> None:
        payment = waiting()
        before = read(payment).updated_at

        shown = client.get(path_of(payment))

        assert shown.headers["Referrer-Policy"] == "no-referrer"
        assert shown.headers["Cache-Control"] == "no-store"
        assert "noindex" in shown.headers["X-Robots-Tag"]
        assert not shown.cookies
        assert "Cookie" not in shown.headers.get("Vary", "")
        assert read(payment).updated_at == before

    def test_loads_the_vendors_script_and_frames_and_nothing_else(
        self, waiting: Any, client: Client, shop: Shop
    ) -> None:
        policy = client.get(path_of(waiting())).headers["Content-Security-Policy"]

        parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
        assert parts["default-src"] == "'none'"
        assert parts["script-src"] == f"'self' {shop.url}/js/v2"
        assert parts["frame-src"] == f"{shop.url}/"
        assert "unsafe" not in policy

    def test_the_real_vendors_hosts_are_in_the_spec(self, integration: Any, settings: Any) -> None:
        settings.PROVIDER_OVERRIDES = {}

        bases = card_pages.script_bases(integration)

        assert bases["script"] == "https://sdk.mercadopago.com"
        assert bases["fields"] == "https://secure-fields.mercadopago.com"

    def test_the_rest_of_the_product_keeps_its_own_policy(self, client: Client) -> None:
        assert "mercadopago" not in client.get("/").headers["Content-Security-Policy"]

    @pytest.mark.parametrize("spoil", [lambda token: token[:-1] + "AB"[token.endswith("A")], lambda token: "x" * 40])
    def test_an_address_that_we_did_not_make_leads_nowhere(self, waiting: Any, client: Client, spoil: Any) -> None:
        token = path_of(waiting()).split("/")[2]

        shown = client.get(f"/pay/{spoil(token)}/")

        assert shown.status_code == 404
        assert b"Bolo" not in shown.content

    def test_an_expired_page_says_so_and_takes_no_card(
        self, waiting: Any, client: Client, give: Any, shop: Shop
    ) -> None:
        payment = waiting()
        with clock.shifted(card_pages.LIFE + timedelta(seconds=1)):
            shown = client.get(path_of(payment))
            answer = give(payment)

        assert "no longer open" in shown.content.decode()
        assert answer.status_code == 409
        assert charges(shop) == []

    def test_what_nobody_used_ends_by_itself(self, organization: Any, waiting: Any, read: Any) -> None:
        payment = waiting()
        entry = OutboxEntry.objects.get(kind="card_page.expire", object_id=str(payment.pk))

        with in_organization(organization):
            EXPIRE.settle(entry, None, None)
            assert read(payment).status == "requires_action"
            with clock.shifted(card_pages.LIFE + timedelta(seconds=2)):
                EXPIRE.settle(entry, None, None)

        assert (read(payment).status, read(payment).next_action) == ("expired", None)

    def test_a_card_that_is_declined_after_the_time_ends_the_payment(
        self, organization: Any, waiting: Any, read: Any
    ) -> None:
        payment = waiting()
        declined = {"code": "x", "reason": "payment_declined", "message": "Declined."}
        with in_organization(organization):
            assert card_pages.claim(payment, installments=1, actor=ACTOR)
            with clock.shifted(card_pages.LIFE + timedelta(seconds=2)):
                card_pages.reopen(payment, declined)

        assert (read(payment).status, read(payment).error) == ("failed", declined)

    def test_a_page_that_was_closed_takes_no_card(
        self, organization: Any, waiting: Any, give: Any, read: Any, shop: Shop
    ) -> None:
        payment = waiting()
        with in_organization(organization):
            assert card_pages.close(payment, status=PaymentStatus.CANCELED, actor=ACTOR)
            assert not card_pages.close(payment, status=PaymentStatus.EXPIRED, actor=ACTOR)

        assert give(payment).status_code == 409
        assert read(payment).status == "canceled"
        assert charges(shop) == []


class TestPaying:
    def test_a_good_card_pays_and_leads_back(self, waiting: Any, give: Any, read: Any, shop: Shop) -> None:
        payment = waiting()

        answer = give(payment, installments=3)

        said = answer.json()
        back = urlsplit(said["redirect_url"])
        assert (said["status"], back.netloc, back.path) == ("succeeded", "shop.example.com", "/thanks")
        assert parse_qs(back.query) == {"order": ["7"], "payment": [str(payment.pk)], "status": ["succeeded"]}
        found = read(payment)
        assert (found.status, found.installments, found.amount_received_minor) == ("succeeded", 3, 5880)
        (made,) = charges(shop)
        assert (made["external_reference"], made["payer"]["identification"]["number"]) == (str(payment.pk), CPF)

    def test_the_document_goes_on_and_is_not_kept(self, waiting: Any, give: Any, read: Any) -> None:
        payment = waiting()

        give(payment)

        assert "tax_id" not in read(payment).payer

    def test_the_page_of_a_paid_payment_says_so_and_takes_nothing(
        self, waiting: Any, give: Any, client: Client, shop: Shop
    ) -> None:
        payment = waiting()
        give(payment)

        shown, again = client.get(path_of(payment)), give(payment)

        assert "This payment is paid" in shown.content.decode()
        assert again.status_code == 409
        assert len(charges(shop)) == 1

    def test_a_card_in_review_leads_back_as_processing(
        self, waiting: Any, give: Any, client: Client, shop: Shop
    ) -> None:
        payment = waiting()

        assert give(payment, "CONT").json()["status"] in ("pending", "processing")
        assert "Do not pay again" in client.get(path_of(payment)).content.decode()
        assert give(payment).status_code == 409
        assert len(charges(shop)) == 1

    def test_what_the_payer_does_is_in_the_trail(self, organization: Any, waiting: Any, give: Any) -> None:
        give(waiting())

        with in_organization(organization):
            actions = list(AuditEntry.objects.filter(action__startswith="payment.").values_list("action", flat=True))
        assert actions == ["payment.created", "payment.card_given"]

    def test_the_other_organization_is_untouched(
        self, other_organization: Any, waiting: Any, give: Any, client: Client
    ) -> None:
        give(waiting())

        with in_organization(other_organization):
            assert not Payment.objects.exists()


class TestAnotherCard:
    def test_a_declined_card_leaves_the_page_open(self, waiting: Any, give: Any, read: Any, client: Client) -> None:
        payment = waiting()

        said = give(payment, "FUND").json()

        assert (said["status"], said["redirect_url"]) == ("requires_action", None)
        assert "not enough limit" in said["message"]
        found = read(payment)
        assert (found.status, found.external_id) == ("requires_action", "")
        assert found.error["code"] == "cc_rejected_insufficient_amount"
        assert "not enough limit" in client.get(path_of(payment)).content.decode()

    def test_each_card_is_a_payment_of_its_own_at_the_vendor_and_here(
        self, organization: Any, waiting: Any, give: Any, read: Any, shop: Shop
    ) -> None:
        payment = waiting()
        give(payment, "FUND")

        assert give(payment, "APRO").json()["status"] == "succeeded"

        made = [(str(charge["id"]), charge["status"]) for charge in charges(shop)]
        assert [status for _id, status in made] == ["rejected", "approved"]
        with in_organization(organization):
            rows = {row.external_id: row.status for row in Payment.objects.all()}
            moved = list(Evidence.objects.filter(external_id=made[0][0]).values_list("payment_id", flat=True))
        assert rows == {made[0][0]: "failed", made[1][0]: "succeeded"}
        assert payment.pk not in moved
        assert read(payment).external_id == made[1][0]

    @pytest.mark.parametrize("when", ["before the next card", "after the next card"])
    def test_late_news_of_the_declined_card_move_nothing(
        self, organization: Any, waiting: Any, give: Any, read: Any, when: str
    ) -> None:
        payment = waiting()
        give(payment, "FUND")
        with in_organization(organization):
            declined = Payment.objects.select_related("integration").get(status="failed")
            state = payment_state(declined.vendor_payload, environment="test")

        def hear() -> None:
            with in_organization(organization):
                apply_state(declined.integration, state, source=Source.QUERY, is_fetched=True)

        if when.startswith("before"):
            hear()
            assert read(payment).status == "requires_action"
        assert give(payment).json()["status"] == "succeeded"
        hear()

        assert read(payment).status == "succeeded"
        with in_organization(organization):
            assert Payment.objects.count() == 2

    def test_a_token_serves_once(self, waiting: Any, give: Any, shop: Shop) -> None:
        payment, token = waiting(), shop.card_token("FUND")
        give(payment, token=token)

        said = give(payment, token=token).json()

        assert said["redirect_url"] is None
        assert len(charges(shop)) == 1

    def test_while_one_card_is_charged_no_other_is(
        self, organization: Any, waiting: Any, read: Any, shop: Shop
    ) -> None:
        payment = waiting()
        card = CardToken(token=Secret(shop.card_token()), brand="visa")
        with in_organization(organization):
            assert card_pages.claim(payment, installments=1, actor=ACTOR)
            with pytest.raises(Conflict):
                finish(payment, card=card, installments=1, tax_id=CPF)

        assert charges(shop) == []

    def test_a_lost_answer_is_looked_for_and_never_charged_again(
        self, waiting: Any, give: Any, read: Any, shop: Shop, client: Client
    ) -> None:
        payment = waiting()
        shop.sandbox.control(
            "POST",
            "/faults",
            {"vendor": "mercadopago", "kind": "reset", "moment": "after", "operation": "POST /v1/payments"},
        )

        assert give(payment).json()["status"] == "processing"

        assert give(payment).status_code == 409
        assert "Do not pay again" in client.get(path_of(payment)).content.decode()
        assert OutboxEntry.objects.filter(kind="payment.settle", object_id=str(payment.pk)).count() == 1
        assert read(payment).intended_at is not None


class TestCardNumbers:
    @pytest.mark.parametrize(
        "sent",
        [
            (json.dumps({"token": VISA}), "application/json"),
            (json.dumps({"card": {"number": int(VISA)}}), "application/json"),
            (json.dumps({"tax_id": VISA}), "application/json"),
            (f"number={VISA}&cvv=123", "application/x-www-form-urlencoded"),
            (f"my card is {VISA[:4]} {VISA[4:8]} {VISA[8:12]} {VISA[12:]}", "text/plain"),
        ],
    )
    def test_a_hand_made_post_with_one_goes_nowhere(
        self, waiting: Any, client: Client, read: Any, caplog: Any, sent: tuple[str, str]
    ) -> None:
        payment = waiting()

        with caplog.at_level(logging.DEBUG):
            answer = client.post(path_of(payment), sent[0], content_type=sent[1])

        assert (answer.status_code, answer.json()["code"]) == (422, "card_number_refused")
        assert VISA not in answer.content.decode()
        assert VISA not in caplog.text
        assert (read(payment).status, read(payment).intended_at) == ("requires_action", None)

    def test_a_query_with_one_goes_nowhere(self, waiting: Any, client: Client) -> None:
        answer = client.post(f"{path_of(waiting())}?number={VISA}", "{}", content_type="application/json")

        assert answer.json()["code"] == "card_number_refused"

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"installments": 13}, "installments"),
            ({"installments": True}, "installments"),
            ({"payment_method_id": "Visa!"}, "payment_method_id"),
            ({"security_code": "123"}, "security_code"),
            ({"tax_id": "111.111.111-11"}, "tax_id"),
        ],
    )
    def test_other_faults_name_their_field_and_send_nothing(
        self, waiting: Any, give: Any, shop: Shop, changes: dict[str, Any], field: str
    ) -> None:
        answer = give(waiting(), **changes)

        assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])
        assert charges(shop) == []

    def test_a_failure_is_logged_without_the_address(
        self, waiting: Any, client: Client, monkeypatch: Any, caplog: Any
    ) -> None:
        path = path_of(waiting())
        client.raise_request_exception = False
        monkeypatch.setattr("billing.pages.views.scripts.SCRIPTS", {"mercadopago": None})

        assert client.get(path).status_code == 500
        assert path.split("/")[2] not in caplog.text
