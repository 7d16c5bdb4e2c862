"""A shop of an organization: connected for real, its vendor played by the sandbox, its posts handed to the ingress."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.test import Client

from audit.services import Actor
from billing import services
from billing.contract import Address, CardToken, ObjectKind, Payer, PaymentState
from billing.models import Evidence, Payment, Refund
from core import clock
from core.secret import Secret
from integrations.services import connect
from integrations.services.credentials import Purpose
from integrations.services.crew import work_deliveries, work_outbox
from integrations.services.providers import provider_for
from tenants.context import in_organization
from tests.sandbox.conftest import DEADLINE_S, Receiver, Sandbox

ACTOR = Actor.system("test")
ASKED = 4990
PAYER = Payer(
    email="comprador@example.com",
    name="Ana Exemplo",
    tax_id="52998224725",
    address=Address(
        postal_code="01310100", street="Rua Exemplo", number="17", neighborhood="Centro", city="São Paulo", state="SP"
    ),
)
PAYMENTS = {"stripe": "payment_intents", "mercadopago": "payments", "pix": "charges"}
"""What each stand-in's control calls a payment."""

KEPT_HEADERS = frozenset({"stripe-signature", "x-signature", "x-request-id"})

Post = tuple[str, dict[str, str], bytes]
"""What the vendor posted: path with query, headers in lower case, raw body."""


@dataclass(kw_only=True)
class Shop:
    """One integration, from both sides: ours (verbs of the services) and the vendor's (verbs of the sandbox)."""

    provider: str
    sandbox: Sandbox
    receiver: Receiver
    organization: Any
    account: dict[str, Any]
    integration: Any = None

    # Ours

    def pay(self, method: str = "pix", *, amount_minor: int = ASKED, card: str = "", **more: Any) -> Payment:
        """Make a payment through the services."""
        facts: dict[str, Any] = {"payer": PAYER, "method": method, "currency": "BRL", "amount_minor": amount_minor}
        if card:
            facts["card"] = CardToken(token=Secret(card), brand="visa")
        with in_organization(self.organization):
            return services.create_payment(self.integration, **(facts | more), actor=ACTOR)

    def refund(self, payment: Payment, **more: Any) -> Refund:
        """Give money back through the services."""
        with in_organization(self.organization):
            fresh = Payment.objects.select_related("integration").get(pk=payment.pk)
            return services.refund_payment(fresh, **more, actor=ACTOR)

    def now(self, row: Any) -> Any:
        """Read a row again."""
        with in_organization(self.organization):
            return type(row)._default_manager.get(pk=row.pk)

    def rows(self, model: Any, **wanted: Any) -> list[Any]:
        """Return all rows of a model, oldest first."""
        with in_organization(self.organization):
            return list(model._default_manager.filter(**wanted).order_by("pk"))

    def paid(self) -> list[Payment]:
        """Return the payments of which money is said to have come."""
        return [payment for payment in self.rows(Payment) if payment.paid_at or payment.status == "succeeded"]

    def failed_rungs(self) -> list[str]:
        """Return the rungs on which claims failed, oldest first."""
        return [claim.rungs[-1]["rung"] for claim in self.rows(Evidence) if not claim.is_believed]

    def work(self, **later: float) -> None:
        """Work off what is due in inbox and outbox, as if so much time had passed."""
        with clock.shifted(timedelta(**later)):
            for _ in range(20):
                if not work_deliveries() + work_outbox():
                    return

    def read_at_vendor(self, payment: Payment) -> PaymentState:
        """Ask the vendor for a payment as it is now, with our provider but past our rows."""
        with in_organization(self.organization):
            provider = provider_for(self.integration, Purpose.CALL)
        state = provider.fetch_object(ObjectKind.PAYMENT, payment.external_id)  # type: ignore[attr-defined]
        assert isinstance(state, PaymentState)
        return state

    # The vendor's

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Play whoever else is at the vendor."""
        return self.sandbox.control(method, f"/{self.provider}{path}", body)

    def act(self, payment: Payment, verb: str, **how: Any) -> Any:
        """Let the payer, a bank or time do something to a payment: pay, expire, and what else the vendor knows."""
        return self.control("POST", f"/{PAYMENTS[self.provider]}/{payment.external_id}/{verb}", how)

    def spoil(self, kind: str, operation: str, **more: Any) -> None:
        """Spoil the next answers of one operation."""
        self.sandbox.control(
            "POST", "/faults", {"vendor": self.provider, "kind": kind, "operation": operation, "moment": "after"} | more
        )

    def calls(self, operation: str) -> int:
        """Count the calls of one operation."""
        listed = self.sandbox.control("GET", "/calls")["calls"]
        return sum(call["vendor"] == self.provider and call["operation"] == operation for call in listed)

    def posts(self) -> list[Post]:
        """Return what the vendor has posted, when nothing is on its way any more."""
        deadline = time.monotonic() + DEADLINE_S
        while any(is_on_its_way(found) for found in self.control("GET", "/deliveries")["deliveries"]):
            assert time.monotonic() < deadline, "the vendor posts for ever"
            time.sleep(0.01)
        found: list[Post] = []
        while True:
            try:
                found.append(self.receiver.posts.get_nowait())
            except queue.Empty:
                return found

    def hand_over(self, posts: Iterable[Post]) -> list[int]:
        """Post to the ingress what the vendor posted; return the ingress's answers."""
        return [post_to_ingress(post) for post in posts]

    def hear(self, *, rounds: int = 3) -> list[int]:
        """Hand over all that the vendor posts and work it off, until nothing follows from it."""
        answers: list[int] = []
        for _ in range(rounds):
            posts = self.posts()
            answers += self.hand_over(posts)
            self.work(seconds=15)
            if not posts:
                break
        return answers


def connected(shop: Shop, *, credentials: Mapping[str, str], settings: Mapping[str, Any]) -> Shop:
    """Connect the shop's account as its owner would by the form, and let the webhook be registered."""
    with in_organization(shop.organization):
        shop.integration = connect.connect(
            provider=shop.provider, name="", environment="test", credentials=credentials, settings=settings,
            actor=ACTOR,
        )  # fmt: skip
    shop.work()
    with in_organization(shop.organization):
        shop.integration.refresh_from_db()
    return shop


def is_on_its_way(delivery: Mapping[str, Any]) -> bool:
    """Whether a post is still to be made, in the words of any of the stand-ins."""
    return not delivery["done"] if "done" in delivery else delivery["status"] == "pending"


def post_to_ingress(post: Post, *, path: str = "") -> int:
    """Post to the ingress what a vendor posted, to another path if told; return its status."""
    arrived, headers, body = post
    kept = {name: value for name, value in headers.items() if name in KEPT_HEADERS}
    address = urlsplit(arrived)
    target = f"{path or address.path}{'?' + address.query if address.query else ''}"
    answer = Client().generic("POST", target, body, content_type="application/json", headers=kept)
    return int(answer.status_code)
