"""Seven organizations with real rows, two vendors on loopback, and the sweeps at a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, ClassVar

from django.core import mail
from django.db import connections

from accounts.models import User
from accounts.services import add_member, create_api_key
from audit.models import AuditEntry
from config.celery import SCHEDULE, app
from core import clock
from dispatch import outbox
from dispatch.models import Link, OutboxEntry, ProviderIncident, Vendor
from integrations import registry
from integrations.contract import ProviderError, ProviderSpec
from integrations.models import Integration
from integrations.services import probing
from integrations.services.connect import connect
from integrations.services.credentials import Purpose
from integrations.services.crew import work_outbox
from integrations.services.outbox import OutboxHandler
from integrations.services.providers import provider_for
from notifications.models import Notification
from tenants.context import in_organization
from tenants.models import Organization, SchemaState
from tenants.services import create_organization
from tests.fictitious.conftest import ACTOR, OWNER, Shop, build
from tests.fictitious.parcelbox import PROVIDER, SPEC, ParcelboxProvider
from tests.fictitious.vendor import Answer, Hit, Parcelbox, Running

ORGANIZATIONS = 7
CHECK, CHARGE = "/v1/introspections", "/v1/charges"
KIND = "test.charge"
PASSWORD = "a-long-test-password"

PERIOD = timedelta(seconds=SPEC.health.period_s)
TICK = timedelta(seconds=60)

SWEEPS = ("sweep_outbox", "sweep_health", "sweep_refresh", "sweep_incidents", "sweep_breakers", "sweep_alerts",
          "sweep_mail", "sweep_drift", "sweep_reconcile")  # fmt: skip
"""All sweeps that touch links or outgoing work."""

BAD_GATEWAY, UNAUTHORIZED = "error__html_502", "error__invalid_token"


class PostboxProvider(ParcelboxProvider):
    """Another vendor of the same kind, with servers of its own."""

    spec: ClassVar[ProviderSpec] = replace(SPEC, key="postbox", label="Postbox")


@dataclass
class Stricken(Parcelbox):
    """Parcelbox with a bad day: answers `trouble` to whatever is asked for some merchants, or for all."""

    trouble: str = ""
    struck: frozenset[str] | None = None

    def answer(self, method: str, path: str, form: dict[str, str], token: str, content_type: str) -> Answer:
        """Do what is asked, unless that is the trouble."""
        if self.trouble and self._is_struck(token, form):
            self.hits.append(Hit(path, form, content_type, token))
            return self.trouble, {}
        return super().answer(method, path, form, token, content_type)

    def _is_struck(self, token: str, form: dict[str, str]) -> bool:
        named = {token, form.get("refresh_token", "")} - {""}
        return self.struck is None or any(
            {merchant.access_token, merchant.refresh_token} & named
            for merchant in self.merchants.values()
            if merchant.id in self.struck
        )


class SendCharge(OutboxHandler):
    """Outgoing work that really calls its vendor."""

    def call(self, entry: OutboxEntry, integration: Integration | None) -> Any:
        """Charge by a reference that tells one entry from the other."""
        if integration is None:
            raise ValueError("a charge without an integration")
        provider: Any = provider_for(integration, Purpose.CALL)
        return provider.create_charge(amount_minor=5, currency="BRL", payer="Ana", reference=entry.object_id)

    def settle(self, entry: OutboxEntry, integration: Integration | None, result: Any) -> None:
        """The entry's own status says it."""

    def give_up(self, entry: OutboxEntry, integration: Integration | None, error: ProviderError) -> None:
        """The entry's own status says it."""


@dataclass
class Installation:
    """What the test has: organizations, connected shops, and how much time has passed."""

    organizations: list[Organization]
    vendor: Stricken
    other_vendor: Parcelbox
    shops: list[Shop] = field(default_factory=list)
    others: list[Shop] = field(default_factory=list)
    passed: timedelta = timedelta()

    def connect(self, count: int, *, over: int = ORGANIZATIONS) -> list[Shop]:
        """Connect new merchants of the vendor, spread over the first so many organizations."""
        first = len(self.shops) + 1
        made = [
            self._connected(self.vendor, "parcelbox", number, self.organizations[(number - 1) % over])
            for number in range(first, first + count)
        ]
        self.shops += made
        return made

    def connect_in(self, place: int) -> Shop:
        """Connect one more merchant of the vendor, in a certain organization."""
        made = self._connected(self.vendor, "parcelbox", len(self.shops) + 1, self.organizations[place])
        self.shops.append(made)
        return made

    def connect_others(self, count: int) -> None:
        """Connect merchants of the other vendor, in the same organizations."""
        self.others = [
            self._connected(self.other_vendor, "postbox", number, self.organizations[number % ORGANIZATIONS])
            for number in range(1, count + 1)
        ]

    def _connected(self, vendor: Parcelbox, key: str, number: int, organization: Organization) -> Shop:
        merchant = vendor.open_account(number)
        with self.now(), in_organization(organization):
            made = connect(
                provider=key,
                name=f"{organization.name} {merchant.name}",
                environment="test",
                credentials=merchant.credentials,
                settings={"locker": "north"},
                actor=ACTOR,
            )
        return Shop(organization, merchant, made)

    @contextmanager
    def now(self) -> Iterator[None]:
        """Act at the test's present."""
        with clock.shifted(self.passed):
            yield

    def run(self, lasting: timedelta, *, tick: timedelta = TICK, until: Callable[[], bool] | None = None) -> timedelta:
        """Let time pass, with every sweep at each tick; return how long that was."""
        begun = self.passed
        while self.passed - begun < lasting:
            self.passed += tick
            self.tick()
            if until is not None and until():
                break
        return self.passed - begun

    def tick(self) -> None:
        """Run what beat would, and the work that it wakes workers for."""
        with self.now():
            for name in SWEEPS:
                app.tasks[SCHEDULE[name]["task"]]()
            while work_outbox():
                pass
            probing.check_due_links(within_s=5.0)

    def send(self, shop: Shop, reference: str) -> OutboxEntry:
        """Accept a charge, in the order of one shop."""
        with self.now(), in_organization(shop.organization):
            return outbox.add(KIND, link_id=shop.integration.id, object_id=reference, object_key="queue")

    def links(self, shops: Sequence[Shop] | None = None) -> list[Link]:
        """Read the public rows of shops, of all at the stricken vendor unless named."""
        chosen = self.shops if shops is None else shops
        return list(Link.objects.filter(pk__in=[shop.integration.id for shop in chosen]).order_by("id"))

    def key_of(self, organization: Organization) -> str:
        """Make an API key of an organization."""
        schema = organization.schema_name
        return str(create_api_key(schema_name=schema, name="test", scopes=("*",), environment="test")[1])


@contextmanager
def built() -> Iterator[list[Organization]]:
    """Build organizations with an owner each, and staff; take everything away at the end."""
    organizations: list[Organization] = []
    try:
        User.objects.create_superuser("staff@example.com", PASSWORD)
        for number in range(ORGANIZATIONS):
            organization = create_organization(slug=f"house{number}", name=f"House {number}")
            organizations.append(organization)
            build(organization)
            owner = User.objects.create_user(f"owner{number}@example.com", PASSWORD)
            add_member(user=owner, schema_name=organization.schema_name, role="owner")
        yield organizations
    finally:
        for organization in organizations:
            _empty(organization, *_PUBLIC, "accounts_membership")
            SchemaState.objects.using(OWNER).filter(pk=organization.schema_name).delete()
            Organization.objects.using(OWNER).filter(pk=organization.pk).delete()
            with connections[OWNER].cursor() as cursor:
                cursor.execute(f'DROP SCHEMA IF EXISTS "{organization.schema_name}" CASCADE')
        User.objects.using(OWNER).filter(email__endswith="@example.com").delete()
        connections.close_all()


@contextmanager
def installed(settings: Any, organizations: list[Organization]) -> Iterator[Installation]:
    """Run two vendors and know their providers; take away what was connected at the end."""
    app.loader.import_default_modules()
    mail.outbox = []
    registry.register(PROVIDER)
    registry.register(PostboxProvider)
    registry._loaded.outbox[KIND] = SendCharge()
    made = Installation(organizations, Stricken(), Parcelbox())
    try:
        with Running(made.vendor) as one, Running(made.other_vendor) as other:
            settings.PROVIDER_OVERRIDES = {"parcelbox": {"": one.url}, "postbox": {"": other.url}}
            yield made
    finally:
        for organization in organizations:
            _empty(organization, *_PUBLIC)
        _remove_rest()
        del registry._loaded.providers["parcelbox"], registry._loaded.providers["postbox"]
        del registry._loaded.outbox[KIND]


_PUBLIC = ("notifications_owedmail", "notifications_notification", "dispatch_outboxentry", "dispatch_route",
           "dispatch_accountclaim", "dispatch_link", "meter_call", "meter_healthcheck", "meter_usagerecord",
           "audit_auditentry", "accounts_apikey")  # fmt: skip
"""Tables that the tests write rows of an organization to, in an order that foreign keys allow."""


def _empty(organization: Organization, *tables: str) -> None:
    """Delete an organization's rows, in public and of its own."""
    schema = organization.schema_name
    with connections[OWNER].cursor() as cursor:
        for table in tables:
            cursor.execute(f'DELETE FROM public."{table}" WHERE organization_schema = %s', [schema])
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema])
        own = ", ".join(f'"{schema}"."{table}"' for (table,) in cursor.fetchall())
        cursor.execute(f"TRUNCATE {own} CASCADE")


def _remove_rest() -> None:
    """Take away what belongs to no organization."""
    keys = ["parcelbox", "postbox"]
    ProviderIncident.objects.using(OWNER).filter(provider__in=keys).delete()
    Vendor.objects.using(OWNER).filter(provider__in=keys).delete()
    Notification.objects.using(OWNER).filter(organization_schema=None).delete()
    AuditEntry.objects.using(OWNER).filter(target_kind="provider_incident").delete()
    connections.close_all()
