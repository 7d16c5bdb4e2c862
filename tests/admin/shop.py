"""A shop with payments for the tests of billing's admin pages, and browsers of people with different roles."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from audit.services import Actor
from billing import services
from billing.models import Payment
from tenants.context import in_organization
from tests.billing.conftest import connected
from tests.billing.fictitious.tillbox import PROVIDER
from tests.billing.fictitious.vendor import Till


class Shop:
    """An organization with a payment account, and short ways to its payments."""

    def __init__(self, organization: Any, till: Till) -> None:
        self.organization, self.till = organization, till
        with in_organization(organization):
            self.integration = connected()

    def charge(self, **facts: Any) -> Payment:
        """Make a PIX charge of 19.90."""
        from billing.contract import Payer

        values: dict[str, Any] = {"amount_minor": 1990, "currency": "BRL", "method": "pix",
                                  "payer": Payer(email="payer@example.com", name="Ana Payer")}  # fmt: skip
        with in_organization(self.organization):
            return services.create_payment(self.integration, **{**values, **facts}, actor=Actor.system("test"))

    def paid(self, amount: int | None = None, **facts: Any) -> Payment:
        """Make a charge, and let somebody pay it."""
        return self.pay(self.charge(**facts), amount)

    def pay(self, payment: Payment, amount: int | None = None) -> Payment:
        """Let somebody pay a charge, and ask the vendor for it."""
        from billing.contract import ObjectKind, ReadsBilling
        from billing.models import Source
        from billing.services.applying import apply_state
        from billing.services.readiness import instance_now

        self.till.pay(payment.external_id, amount)
        with in_organization(self.organization):
            provider = instance_now(self.integration, ReadsBilling)
            state = provider.fetch_object(ObjectKind.PAYMENT, payment.external_id)
            apply_state(self.integration, state, source=Source.QUERY, is_fetched=True)
            return Payment.objects.get(pk=payment.pk)

    def all(self, model: Any) -> list[Any]:
        """Return the rows of a model, oldest first."""
        with in_organization(self.organization):
            return list(model.objects.order_by("id"))


@pytest.fixture(name="till")
def till_fixture(monkeypatch: pytest.MonkeyPatch) -> Iterator[Till]:
    """The fictitious vendor's side, in memory, behind the real guard."""
    from integrations import registry

    vendor = Till()
    monkeypatch.setattr("integrations.outbound.guard.shared", lambda: vendor)
    registry.register(PROVIDER)
    yield vendor
    del registry._loaded.providers[PROVIDER.spec.key]


@pytest.fixture(name="shop")
def shop_fixture(organization: Any, till: Till) -> Shop:
    """The organization's shop."""
    return Shop(organization, till)


@pytest.fixture(name="browser")
def browser_fixture(client: Client) -> Callable[[Any], Client]:
    """Log a person in."""

    def log_in(user: Any) -> Client:
        client.force_login(user, backend="accounts.backends.RoleBackend")
        return client

    return log_in


@pytest.fixture(name="owner")
def owner_fixture(member: Callable[..., Any], browser: Callable[[Any], Client]) -> Client:
    """The browser of an owner."""
    return browser(member("owner"))


@pytest.fixture(name="viewer")
def viewer_fixture(member: Callable[..., Any], browser: Callable[[Any], Client]) -> Client:
    """The browser of somebody who only looks."""
    return browser(member("viewer"))


@pytest.fixture(name="portuguese")
def portuguese_fixture(settings: Any) -> Callable[[Client], Client]:
    """Let a browser speak Portuguese."""

    def speak(client: Client) -> Client:
        client.cookies[settings.LANGUAGE_COOKIE_NAME] = "pt-br"
        return client

    return speak


def text(answer: Any) -> str:
    """Return a page's HTML, once it came."""
    assert answer.status_code == 200, answer.status_code
    return str(answer.content.decode())


def hidden(page: str) -> dict[str, str]:
    """Read the hidden inputs of the page's form."""
    found = re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)"', page)
    return {name: value for name, value in found if name != "csrfmiddlewaretoken"}


def payer_of(email: str, **facts: Any) -> Any:
    """Return a payer."""
    from billing.contract import Payer

    return Payer(email=email, **facts)
