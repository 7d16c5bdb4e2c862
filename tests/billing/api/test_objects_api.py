"""Customers, subscriptions, pages, offers, codes and records, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from billing.models import Dispute, Invoice, Payout, Reconciliation
from tenants.context import in_organization
from tests.billing.api.conftest import BASE


@pytest.fixture
def customer(client: Any, shop: Any) -> Any:
    """A customer, made by the API."""
    body = {"integration": str(shop.id), "email": "known@example.com", "name": "Known", "metadata": {"a": "b"}}
    return client.post(f"{BASE}/customers/", body, format="json").json()


@pytest.fixture
def subscription(client: Any, shop: Any, customer: Any) -> Any:
    """A subscription of the customer, made by the API."""
    body = {"integration": str(shop.id), "customer": customer["id"], "price": "price_1"}
    return client.post(f"{BASE}/subscriptions/", body, format="json").json()


class TestCustomers:
    def test_are_made_and_read(self, client: Any, customer: Any) -> None:
        assert customer["external_id"] == "cus_1"
        assert customer["metadata"] == {"a": "b"}
        assert client.get(f"{BASE}/customers/{customer['id']}/").json() == customer
        assert client.get(f"{BASE}/customers/?email=known@example.com").json()["results"] == [customer]

    def test_come_once_for_a_key(self, client: Any, shop: Any, till: Any) -> None:
        body = {"integration": str(shop.id), "email": "known@example.com"}
        till.fails["POST /customers"] = "lost"
        first = client.post(f"{BASE}/customers/", body, format="json", headers={"Idempotency-Key": "k1"})
        till.fails.clear()

        second = client.post(f"{BASE}/customers/", body, format="json", headers={"Idempotency-Key": "k1"})

        assert (first.status_code, second.status_code) == (502, 201)
        assert len(till.of("customers")) == 1

    @pytest.mark.parametrize("changes", [{"email": "x"}, {"email": None}, {"phone": "1" * 41}, {"vip": True}])
    def test_are_refused(self, client: Any, shop: Any, till: Any, changes: dict[str, Any]) -> None:
        body = {"integration": str(shop.id), "email": "known@example.com", **changes}

        assert client.post(f"{BASE}/customers/", body, format="json").status_code == 422
        assert till.calls == []


class TestSubscriptions:
    def test_begin_with_a_client_secret(self, client: Any, subscription: Any, customer: Any) -> None:
        assert subscription["status"] == "incomplete"
        assert subscription["client_secret"] == f"{subscription['external_id']}_secret_sandbox"
        assert subscription["customer"] == customer["id"]
        assert subscription["current_period_end"] == "2026-12-01T00:00:00.000Z"
        listed = client.get(f"{BASE}/subscriptions/?status=incomplete").json()["results"]
        assert [found["id"] for found in listed] == [subscription["id"]]
        assert "client_secret" not in listed[0]

    def test_change_and_end(self, client: Any, subscription: Any) -> None:
        address = f"{BASE}/subscriptions/{subscription['id']}/"

        changed = client.patch(address, {"quantity": 3, "cancel_at_period_end": True}, format="json").json()
        assert (changed["quantity"], changed["cancel_at_period_end"]) == (3, True)
        assert client.delete(address).json()["status"] == "canceled"
        assert client.delete(address).status_code == 409
        assert client.patch(address, {"quantity": 2}, format="json").status_code == 409

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"quantity": 0}, "quantity"),
            ({"trial_days": -1}, "trial_days"),
            ({"trial_days": 731}, "trial_days"),
            ({"customer": "cus_nobody"}, "customer"),
            ({"customer": None}, "customer"),
            ({"price": ""}, "price"),
        ],
    )
    def test_are_refused(
        self, client: Any, shop: Any, customer: Any, *, till: Any, changes: dict[str, Any], field: str
    ) -> None:
        body = {"integration": str(shop.id), "customer": customer["id"], "price": "price_1", **changes}

        answer = client.post(f"{BASE}/subscriptions/", body, format="json")

        assert answer.status_code == 422
        assert field in answer.json()["errors"]
        assert till.count("POST /subscriptions") == 0


class TestPages:
    def test_are_made_and_read(self, client: Any, shop: Any) -> None:
        body = {
            "integration": str(shop.id), "mode": "payment", "success_url": "https://example.com/ok",
            "cancel_url": "https://example.com/no", "metadata": {"order": "7"},
            "line_items": [{"name": "Tea", "amount_minor": 990, "currency": "BRL", "quantity": 2}],
        }  # fmt: skip

        made = client.post(f"{BASE}/checkout-sessions/", body, format="json")

        assert made.status_code == 201
        assert made.json()["url"] == "https://pay.tillbox.example/che_1"
        assert made.json()["is_open"] is True
        assert client.get(made["Location"]).json() == made.json()
        assert client.get(f"{BASE}/checkout-sessions/").json()["results"] == [made.json()]

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"mode": "gift"}, "mode"),
            ({"line_items": []}, "line_items"),
            ({"line_items": [{"price": "price_1", "quantity": 0}]}, "line_items.0.quantity"),
            ({"line_items": [{"price": "price_1", "name": "x"}]}, "line_items.0.price"),
            ({"line_items": [{"name": "Tea", "amount_minor": 0, "currency": "BRL"}]}, "line_items.0.amount_minor"),
            ({"line_items": [{"name": "Tea", "amount_minor": 1, "currency": "USD"}]}, "line_items.0.currency"),
            ({"mode": "subscription"}, "line_items.0.price"),
            ({"success_url": "javascript:x"}, "success_url"),
        ],
    )
    def test_are_refused(self, client: Any, shop: Any, till: Any, changes: dict[str, Any], field: str) -> None:
        body = {
            "integration": str(shop.id), "mode": "payment", "success_url": "https://example.com/ok",
            "cancel_url": "https://example.com/no",
            "line_items": [{"name": "Tea", "amount_minor": 990, "currency": "BRL"}], **changes,
        }  # fmt: skip

        answer = client.post(f"{BASE}/checkout-sessions/", body, format="json")

        assert answer.status_code == 422
        assert field in answer.json()["errors"]
        assert till.calls == []

    def test_a_portal_is_an_address(self, client: Any, shop: Any, customer: Any) -> None:
        body = {"integration": str(shop.id), "customer": customer["id"], "return_url": "https://example.com/"}

        answer = client.post(f"{BASE}/portal-sessions/", body, format="json")

        assert (answer.status_code, answer.json()) == (201, {"url": "https://pay.tillbox.example/por_2"})

    def test_an_account_is_completed_at_an_address(self, client: Any, shop: Any) -> None:
        address = f"{BASE}/accounts/{shop.id}/links/"
        body = {"refresh_url": "https://example.com/again", "return_url": "https://example.com/done"}

        answer = client.post(address, body, format="json")
        refused = client.post(address, {**body, "account": "acct_test_other"}, format="json")

        assert answer.json() == {"url": "https://pay.tillbox.example/acc_1", "expires_at": "2026-12-01T00:00:00.000Z"}
        assert (refused.status_code, list(refused.json()["errors"])) == (422, ["account"])


class TestOffers:
    @pytest.mark.parametrize(
        ("address", "first"),
        [
            ("prices", {"external_id": "price_1", "name": "Monthly", "amount_minor": 1990, "currency": "BRL",
                        "interval": "month", "interval_count": 1, "is_active": True}),
            ("payment-methods", {"id": "visa", "method": "card", "name": "Visa", "is_active": True,
                                 "min_amount_minor": None, "max_amount_minor": None}),
        ],
    )  # fmt: skip
    def test_are_asked_of_the_provider(self, client: Any, shop: Any, address: str, first: Any) -> None:
        body = client.get(f"{BASE}/{address}/?integration={shop.id}").json()

        assert (body["next"], body["previous"]) == (None, None)
        assert body["results"][0] == first
        assert client.get(f"{BASE}/{address}/").status_code == 422

    def test_installments_are_quoted(self, client: Any, shop: Any) -> None:
        body = client.get(f"{BASE}/installments/?integration={shop.id}&amount_minor=1000&bin=424242").json()

        assert [(row["count"], row["amount_minor"]) for row in body["results"]] == [(1, 1000), (2, 500)]

    @pytest.mark.parametrize("query", ["amount_minor=1000&bin=42424", "amount_minor=1000&bin=424242424242",
                                       "amount_minor=x&bin=424242", "bin=424242",
                                       "amount_minor=1000&bin=4242424242424242"])  # fmt: skip
    def test_a_whole_number_is_no_bin(self, client: Any, shop: Any, query: str) -> None:
        assert client.get(f"{BASE}/installments/?integration={shop.id}&{query}").status_code == 422


class TestStaticCodes:
    def test_are_made_of_a_key(self, client: Any) -> None:
        from billing import brcode

        body = {
            "key": "+5511999990000", "merchant_name": "Loja Modelo", "merchant_city": "São Paulo",
            "amount_minor": 1990, "txid": "ORDER7",
        }  # fmt: skip

        answer = client.post(f"{BASE}/pix/static-codes/", body, format="json")

        assert answer.status_code == 201
        assert brcode.parse(answer.json()["brcode"]).amount_minor == 1990
        assert answer.json()["qr_code_base64"].startswith("iVBORw0KGgo")

    def test_are_made_of_an_integration(self, client: Any, shop: Any) -> None:
        answer = client.post(f"{BASE}/pix/static-codes/", {"integration": str(shop.id), "amount_minor": 5}, "json")

        assert answer.json()["brcode"] == "TILL5"

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"key": "a@example.com", "merchant_name": "X"}, "merchant_city"),
            ({"key": "12345678901", "merchant_name": "X", "merchant_city": "Y"}, "key_type"),
            ({"key": "a@example.com", "merchant_name": "X", "merchant_city": "Y", "amount_minor": 0}, "amount_minor"),
        ],
    )
    def test_are_refused(self, client: Any, body: Any, field: str) -> None:
        answer = client.post(f"{BASE}/pix/static-codes/", body, format="json")

        assert answer.status_code == 422
        assert field in answer.json()["errors"]


class TestRecords:
    def test_are_listed_and_read(self, client: Any, shop: Any, inside: Any) -> None:
        with in_organization(inside):
            common = {"integration": shop, "currency": "BRL"}
            Invoice.objects.create(**common, external_id="in_1", amount_due_minor=5, status="open")
            Dispute.objects.create(**common, external_id="dp_1", amount_minor=5)
            Payout.objects.create(**common, external_id="po_1", amount_minor=5)
            Reconciliation.objects.create(integration=shop, day="2026-11-20", status="equal")

        for name, external_id in (("invoices", "in_1"), ("disputes", "dp_1"), ("payouts", "po_1")):
            [found] = client.get(f"{BASE}/{name}/?external_id={external_id}").json()["results"]
            assert found["external_id"] == external_id
            assert client.get(f"{BASE}/{name}/{found['id']}/").json() == found
            assert client.get(f"{BASE}/{name}/?status=what").status_code == 422
        [day] = client.get(f"{BASE}/reconciliations/?day=2026-11-20").json()["results"]
        assert (day["status"], day["day"]) == ("equal", "2026-11-20")
        assert client.get(f"{BASE}/reconciliations/?day=never").status_code == 422


class TestPayloads:
    def test_are_the_objects_without_secrets(self, post: Any, client: Any, subscription: Any, inside: Any) -> None:
        from integrations import registry
        from notifications.endpoints.models import PublishedEvent

        made = post(method="automatic").json()
        cases = (("payment.updated", made["id"]), ("subscription.updated", subscription["id"]))
        for event_type, object_id in cases:
            event = PublishedEvent(type=event_type, object_id=object_id, details={"status": "expired"})
            with in_organization(inside):
                payload = registry.composer(event_type)([event])[event.id]
            assert (payload.data["id"], payload.data["status"]) == (object_id, "expired")
            assert "secret_sandbox" not in str(payload.data)
