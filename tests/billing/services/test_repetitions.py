"""A repetition by the caller's key asks the vendor for the very same object, or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from billing import services
from billing.contract import LineItem
from core.errors import Conflict
from integrations.contract import Unavailable

LINES = [LineItem(name="Mug", quantity=1, amount_minor=1990, currency="BRL")]
PAGE = {"mode": "payment", "line_items": LINES, "success_url": "https://a.example", "cancel_url": "https://b.example"}
CASES = [
    ("create_customer", "customers", {"email": "a@example.com"}),
    ("create_subscription", "subscriptions", {"price": "pri_1", "customer": "cus_1"}),
    ("create_checkout", "checkouts", PAGE),
]


@pytest.mark.parametrize("case", CASES)
class TestRepetitions:
    def test_send_the_same_bytes_and_find_the_row(
        self, shop: Any, till: Any, actor: Any, case: tuple[str, str, dict[str, Any]]
    ) -> None:
        verb, kind, facts = case
        make, facts = getattr(services, verb), known_customer(shop, actor, facts)
        till.fails[f"POST /{kind}"] = "lost"
        with pytest.raises(Unavailable):
            make(shop, **facts, caller_key="k1", actor=actor)
        till.fails.clear()

        made = make(shop, **facts, caller_key="k1", actor=actor)
        again = make(shop, **facts, caller_key="k1", actor=actor)

        first, second = [body for name, body in till.calls if name == f"POST /{kind}" and facts_of(body, facts)]
        assert first == second
        assert first["reference"] == str(made.pk) == str(again.pk)

    def test_of_another_request_are_a_conflict(
        self, shop: Any, till: Any, actor: Any, case: tuple[str, str, dict[str, Any]]
    ) -> None:
        verb, _kind, facts = case
        make, facts = getattr(services, verb), known_customer(shop, actor, facts)
        make(shop, **facts, caller_key="k1", actor=actor)

        with pytest.raises(Conflict):
            make(shop, **facts, metadata={"order": "18"}, caller_key="k1", actor=actor)


def known_customer(shop: Any, actor: Any, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts with a customer who exists, where they name one."""
    if "customer" not in facts:
        return facts
    customer = services.create_customer(shop, email="b@example.com", actor=actor)
    return {**facts, "customer": str(customer.pk)}


def facts_of(body: dict[str, Any], facts: dict[str, Any]) -> bool:
    """Whether a call is of the object that is made, not of its customer."""
    return "email" not in facts or body.get("email") == facts["email"]
