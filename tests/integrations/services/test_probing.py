"""The clock's checks: which links, how soon, in how few statements, and never two of one."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core import clock
from core.pace import scaled
from dispatch import outbox
from dispatch.models import Link, LinkStatus, OutboxEntry, OutboxStatus, Vendor
from integrations.contract import (
    Account,
    AuthenticationFailed,
    HealthSpec,
    PermissionMissing,
    RateLimited,
    Unavailable,
)
from integrations.contract.health import INCIDENT_FACTOR, incident_round
from integrations.models import Issue
from integrations.outbound.gate import HELD_BACK
from integrations.services import health, probe_claims, probing
from integrations.services.links import jitter
from integrations.services.probing import check_due_links
from meter.models import Call, HealthCheck, UsageRecord
from tenants.context import in_organization
from tests.fictitious.conftest import Shop
from tests.fictitious.vendor import Parcelbox

pytestmark = pytest.mark.django_db

CHECK = "/v1/introspections"
PERIOD = timedelta(seconds=scaled(600))
LATER = PERIOD * 1.2
PATIENCE = {"within_s": 5.0}


def link_of(shop: Shop) -> Link:
    return Link.objects.get(pk=shop.integration.id)


def change(shop: Shop, **facts: Any) -> None:
    Link.objects.filter(pk=shop.integration.id).update(**facts)


def health_of(shop: Shop) -> tuple[str, str]:
    """Status and health of the organization's row, which the public mirror repeats."""
    with in_organization(shop.organization):
        shop.integration.refresh_from_db()
    link = link_of(shop)
    assert (link.status, link.health) == (shop.integration.status, shop.integration.health)
    return link.status, link.health


@pytest.fixture
def checked(shop: Shop, other_shop: Shop, vendor: Parcelbox) -> Shop:
    """Two shops of two organizations, each due once."""
    Link.objects.update(next_check_at=clock.now() - timedelta(minutes=1))
    vendor.hits.clear()
    return shop


class TestWhatIsDue:
    def test_is_checked_once_in_every_organization(self, shop: Shop, other_shop: Shop, vendor: Parcelbox) -> None:
        assert check_due_links(**PATIENCE) == 0
        vendor.hits.clear()

        with clock.shifted(LATER):
            assert check_due_links(**PATIENCE) == 2
            assert check_due_links(**PATIENCE) == 0
            now = clock.now()

        assert vendor.count(CHECK) == 2
        for link in Link.objects.all():
            assert now + PERIOD * 0.85 < link.next_check_at < now + PERIOD * 1.15
            assert link.last_checked_at is not None
            assert now - link.last_checked_at < timedelta(seconds=5)

    def test_leaves_rows_of_the_organization_and_in_public(self, checked: Shop, other_shop: Shop) -> None:
        check_due_links(**PATIENCE)

        with in_organization(checked.organization):
            row = HealthCheck.objects.latest("at")
            assert (row.link_id, row.is_ok, row.health) == (checked.integration.id, True, "healthy")
            assert row.verdicts == [{"capability": "takes_payments", "ok": True, "detail": ""}]
            call = Call.objects.latest("at")
            assert (call.link_id, call.status) == (checked.integration.id, 200)
            assert UsageRecord.objects.get(unit="api_calls", link_id=checked.integration.id).quantity >= 1
            assert not HealthCheck.objects.filter(link_id=other_shop.integration.id).exists()

    def test_a_good_check_that_changes_nothing_does_not_touch_the_integration(self, checked: Shop) -> None:
        with in_organization(checked.organization):
            checked.integration.refresh_from_db()
            before = checked.integration.updated_at

        check_due_links(**PATIENCE)

        with in_organization(checked.organization):
            checked.integration.refresh_from_db()
        assert checked.integration.updated_at == before
        assert checked.integration.tested_at == link_of(checked).last_checked_at

    def test_a_claim_is_nobody_elses(self, checked: Shop) -> None:
        first = probe_claims.claim(10)
        second = probe_claims.claim(10)

        assert (len(first), second) == (2, [])

    def test_what_a_killed_sweep_had_claimed_is_due_again(self, checked: Shop, vendor: Parcelbox) -> None:
        probe_claims.claim(10)
        assert check_due_links(**PATIENCE) == 0

        with clock.shifted(timedelta(seconds=scaled(130))):
            assert check_due_links(**PATIENCE) == 2

    def test_an_earlier_time_that_somebody_set_meanwhile_is_kept(self, checked: Shop, vendor: Parcelbox) -> None:
        wanted = clock.now() - timedelta(seconds=30)
        vendor.before[CHECK] = lambda: None
        claimed = probe_claims.claim(10)
        change(checked, next_check_at=wanted)

        probe_claims.move([probe_claims.Move(link=link, due=clock.now() + PERIOD) for link in claimed])

        assert link_of(checked).next_check_at == wanted

    def test_one_whose_credential_is_broken_does_not_keep_the_others_back(
        self, checked: Shop, other_shop: Shop
    ) -> None:
        with in_organization(checked.organization):
            checked.integration.credentials.update(sealed=b"broken")

        check_due_links(**PATIENCE)

        assert link_of(checked).next_check_at > clock.now()
        with in_organization(other_shop.organization):
            assert HealthCheck.objects.filter(link_id=other_shop.integration.id).exists()

    def test_a_provider_that_crashes_does_not_keep_the_others_back(
        self, checked: Shop, other_shop: Shop, vendor: Parcelbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        broken = str(checked.integration.id)
        check = checked.integration.provider_class.check

        def crash(provider: Any) -> Any:
            if provider.integration.id == broken:
                raise KeyError("a defect of ours")
            return check(provider)

        monkeypatch.setattr(checked.integration.provider_class, "check", crash)

        assert check_due_links(**PATIENCE) == 2

        assert link_of(checked).next_check_at > clock.now()
        assert link_of(other_shop).last_checked_at is not None

    def test_what_is_disabled_meanwhile_stays_as_it_is(self, checked: Shop, vendor: Parcelbox) -> None:
        vendor.failing[CHECK] = "error__declined"

        def disable() -> None:
            vendor.before.clear()

        vendor.before[CHECK] = disable
        probes = probing.prepare(probe_claims.claim(10))
        for probe in probes:
            probing.run(probe)
        with in_organization(checked.organization):
            checked.integration.mark_disabled()
            checked.integration.save()

        probing.write(probes)

        with in_organization(checked.organization):
            checked.integration.refresh_from_db()
            assert (checked.integration.status, checked.integration.health) == ("disabled", "healthy")
            assert not Issue.objects.exists()


class TestWhatItFinds:
    def test_a_refused_credential_needs_a_reconnect_and_is_looked_at_again(
        self, checked: Shop, vendor: Parcelbox
    ) -> None:
        vendor.failing[CHECK] = "error__invalid_token"
        check_due_links(**PATIENCE)

        assert health_of(checked) == (LinkStatus.NEEDS_REAUTH, "failing")
        assert vendor.count(CHECK) == 4  # each was asked twice
        assert link_of(checked).next_check_at > clock.now() + PERIOD * 3
        vendor.failing.clear()
        for _check in range(2):
            Link.objects.update(next_check_at=clock.now())
            check_due_links(**PATIENCE)
        assert health_of(checked) == ("active", "healthy")

    def test_a_failure_that_may_pass_is_looked_at_soon_and_then_less_often(
        self, checked: Shop, vendor: Parcelbox
    ) -> None:
        vendor.failing[CHECK] = "error__html_502"
        seen, waits = [], []
        for _check in range(4):
            Link.objects.update(next_check_at=clock.now())
            check_due_links(**PATIENCE)
            seen.append(health_of(checked)[1])
            waits.append((link_of(checked).next_check_at - clock.now()) / timedelta(seconds=scaled(60)))

        assert seen == ["degraded", "degraded", "failing", "failing"]
        for wait, expected in zip(waits, (1, 2, 4, 8), strict=True):
            assert expected * 0.8 < wait < expected * 1.2
        assert link_of(checked).failing_class == "Unavailable"

        vendor.failing.clear()
        Link.objects.update(next_check_at=clock.now())
        check_due_links(**PATIENCE)
        assert (health_of(checked)[1], link_of(checked).failing_class) == ("degraded", "")

    def test_a_refusal_of_a_credential_that_was_replaced_says_nothing(self, checked: Shop, vendor: Parcelbox) -> None:
        vendor.failing[CHECK] = "error__invalid_token"
        probes = probing.prepare(probe_claims.claim(10))
        for probe in probes:
            probing.run(probe)
        with in_organization(checked.organization):
            checked.integration.credentials.update(created_at=clock.now())
        vendor.failing.clear()

        probing.write(probes)

        assert health_of(checked) == ("active", "healthy")

    def test_a_check_that_our_own_limit_held_back_says_nothing(
        self, checked: Shop, vendor: Parcelbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held_back = RateLimited("held back", reason=HELD_BACK, retry_after_s=200)

        def hold_back(provider: Any) -> Any:
            raise held_back

        monkeypatch.setattr(checked.integration.provider_class, "check", hold_back)

        check_due_links(**PATIENCE)

        assert health_of(checked) == ("active", "healthy")
        assert link_of(checked).bad_checks == 0
        wait_s = (link_of(checked).next_check_at - clock.now()).total_seconds()
        assert 190 < wait_s <= 200
        with in_organization(checked.organization):
            assert health.test_connection(checked.integration).error is held_back
        assert health_of(checked) == ("active", "healthy")

    def test_work_that_was_parked_by_mistake_is_released(self, checked: Shop) -> None:
        with in_organization(checked.organization):
            entry = outbox.add("webhook.register", link_id=checked.integration.id)
            OutboxEntry.objects.filter(pk=entry.pk).update(status=OutboxStatus.PARKED)

        check_due_links(**PATIENCE)

        entry.refresh_from_db()
        assert entry.status == "waiting"


class TestGoodTraffic:
    @pytest.fixture
    def quiet(self, checked: Shop) -> Shop:
        """A healthy link that was checked a period ago and is due."""
        Link.objects.exclude(pk=checked.integration.id).update(next_check_at=None)
        change(checked, health="healthy", last_checked_at=clock.now() - LATER)
        Call.objects.all().delete()
        return checked

    def call(self, shop: Shop, *, ago: timedelta, error: str = "") -> None:
        Call.objects.create(
            organization_schema=shop.organization.schema_name, link_id=shop.integration.id, provider="parcelbox",
            at=clock.now() - ago, operation="charge", method="POST", url="", duration_ms=1, error_class=error,
        )  # fmt: skip

    @pytest.mark.parametrize("kind", ["call", "webhook"])
    def test_postpones_the_check_by_a_period(self, quiet: Shop, vendor: Parcelbox, kind: str) -> None:
        at = clock.now() - PERIOD / 4
        if kind == "call":
            self.call(quiet, ago=PERIOD / 4)
        else:
            change(quiet, last_event_at=at)

        assert check_due_links(**PATIENCE) == 0

        assert vendor.count(CHECK) == 0
        assert at + PERIOD * 0.85 < link_of(quiet).next_check_at < at + PERIOD * 1.15

    @pytest.mark.parametrize(
        "facts",
        [
            {"last_checked_at": timedelta(hours=2)},
            {"health": "degraded"},
            {"health": "failing"},
            {"status": "needs_reauth"},
        ],
    )
    def test_stands_for_no_check_of_a_link_that_is_not_well_or_was_long_not_checked(
        self, quiet: Shop, facts: dict[str, Any]
    ) -> None:
        change(quiet, **{name: clock.now() - at if isinstance(at, timedelta) else at for name, at in facts.items()})
        self.call(quiet, ago=PERIOD / 4)

        assert check_due_links(**PATIENCE) == 1

    def test_the_checks_own_calls_and_failures_are_none(self, quiet: Shop) -> None:
        self.call(quiet, ago=LATER + timedelta(seconds=1))
        self.call(quiet, ago=PERIOD / 4, error="Unavailable")

        assert check_due_links(**PATIENCE) == 1


class TestProbe:
    @pytest.fixture
    def probed(self, checked: Shop, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
        """Let Parcelbox have a probe with this answer; the link was checked just now."""
        Link.objects.exclude(pk=checked.integration.id).update(next_check_at=None)
        change(checked, last_checked_at=clock.now() - timedelta(seconds=1))
        monkeypatch.setattr(probing, "WHOLE_CHECK_EVERY_S", scaled(365 * 86_400.0))

        def answer(told: Any) -> None:
            def probe(provider: Any) -> Any:
                if isinstance(told, Exception):
                    raise told
                return told

            monkeypatch.setattr(checked.integration.provider_class, "probe", probe)

        return answer

    def test_that_finds_all_as_before_spares_the_check(
        self, checked: Shop, vendor: Parcelbox, probed: Callable[[Any], None]
    ) -> None:
        probed(Account(external_id="mer_1", label="Shop 1"))

        assert check_due_links(**PATIENCE) == 1

        assert vendor.count(CHECK) == 0
        assert health_of(checked) == ("active", "healthy")
        assert link_of(checked).last_checked_at > clock.now() - timedelta(seconds=1)
        with in_organization(checked.organization):
            assert HealthCheck.objects.latest("at").verdicts == []
            assert checked.integration.capabilities == ["takes_payments"]

    @pytest.mark.parametrize(
        "told", [None, Account(external_id="mer_2", label="Another"), AuthenticationFailed(), PermissionMissing()]
    )
    def test_that_finds_anything_else_leads_to_a_check(
        self, vendor: Parcelbox, probed: Callable[[Any], None], told: Any
    ) -> None:
        probed(told)

        check_due_links(**PATIENCE)

        assert vendor.count(CHECK) == 1

    def test_that_fails_in_passing_is_believed(
        self, checked: Shop, vendor: Parcelbox, probed: Callable[[Any], None]
    ) -> None:
        probed(Unavailable())

        check_due_links(**PATIENCE)

        assert (vendor.count(CHECK), health_of(checked)[1]) == (0, "degraded")

    @pytest.mark.parametrize(
        "facts", [{"health": "degraded"}, {"open_issues": 1}, {"last_checked_at": timedelta(days=800)}]
    )
    def test_is_not_enough_for_a_link_that_is_not_well_or_whose_day_is_over(
        self, checked: Shop, vendor: Parcelbox, probed: Callable[[Any], None], facts: dict[str, Any]
    ) -> None:
        probed(Account(external_id="mer_1", label="Shop 1"))
        change(checked, **{name: clock.now() - at if isinstance(at, timedelta) else at for name, at in facts.items()})

        check_due_links(**PATIENCE)

        assert vendor.count(CHECK) == 1


class TestIncident:
    @pytest.fixture
    def struck(self, checked: Shop, other_shop: Shop) -> Shop:
        """An incident that began before the turn of both shops last came."""
        since = clock.now() - PERIOD * INCIDENT_FACTOR
        facts = {"incident_class": "Unavailable", "incident_since": since}
        Vendor.objects.update_or_create(provider="parcelbox", defaults=facts)
        Link.objects.update(last_checked_at=since)
        return checked

    def test_lets_each_link_have_one_turn_in_a_round(self, struck: Shop, vendor: Parcelbox) -> None:
        assert check_due_links(**PATIENCE) == 2

        with clock.shifted(timedelta(seconds=1)):
            Link.objects.update(next_check_at=clock.now())
            assert check_due_links(**PATIENCE) == 0
            turns = list(Link.objects.order_by("id").values_list("next_check_at", flat=True))
        assert vendor.count(CHECK) == 2
        round_ = PERIOD * INCIDENT_FACTOR
        assert max(turns) - clock.now() <= round_ + timedelta(seconds=1)
        assert abs(max(turns) - min(turns) - round_ / 2) < timedelta(seconds=1)
        with clock.shifted(max(turns) - clock.now() + timedelta(seconds=1)):
            assert check_due_links(**PATIENCE) == 2

    def test_asks_nobody_when_it_begins(self, struck: Shop, vendor: Parcelbox) -> None:
        Vendor.objects.update(incident_since=clock.now())

        assert check_due_links(**PATIENCE) == 0

        assert vendor.count(CHECK) == 0

    def test_judges_no_refusal_while_everybody_is_refused(self, struck: Shop, vendor: Parcelbox) -> None:
        Vendor.objects.update(incident_class="AuthenticationFailed")
        vendor.failing[CHECK] = "error__invalid_token"

        check_due_links(**PATIENCE)

        assert (vendor.count(CHECK), vendor.count("/token")) == (2, 0)
        assert health_of(struck) == ("active", "failing")

    @pytest.mark.parametrize(
        ("links", "round_", "checks"), [(1, 6, 1), (5, 6, 1), (9, 9, 1), (12, 10, 2), (200, 10, 20), (10_000, 500, 20)]
    )
    def test_spares_the_vendor_however_many_links_it_has(self, links: int, round_: float, checks: int) -> None:
        assert incident_round(links) == round_
        assert links / incident_round(links) <= checks

    def test_its_end_makes_all_due_over_one_period(self, struck: Shop, other_shop: Shop) -> None:
        check_due_links(**PATIENCE)

        assert probing.after_incident("parcelbox") == 2

        now = clock.now()
        assert all(now - timedelta(seconds=5) < link.next_check_at < now + PERIOD for link in Link.objects.all())


class TestCost:
    def test_a_check_that_costs_money_is_nobodys_but_a_persons(
        self, checked: Shop, vendor: Parcelbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        provider = checked.integration.provider_class
        monkeypatch.setattr(provider, "spec", replace(provider.spec, health=HealthSpec(period_s=600, cost=0.01)))

        assert check_due_links(**PATIENCE) == 0

        assert link_of(checked).next_check_at is None
        with in_organization(checked.organization):
            assert health.test_connection(checked.integration).success
        assert link_of(checked).next_check_at is None

    def test_statements_grow_with_organizations_not_with_links(
        self, organization: Any, open_shop: Callable[..., Shop]
    ) -> None:
        counts = []
        for number in range(1, 7):
            open_shop(organization, number)
            if number not in {2, 6}:
                continue
            Link.objects.update(next_check_at=clock.now(), last_event_at=None)
            with CaptureQueriesContext(
                connection,
            ) as seen:
                assert check_due_links(**PATIENCE) == number
            counts.append(len(seen))

        assert counts[0] == counts[1]

    def test_nothing_due_costs_one_statement(self, shop: Shop) -> None:
        with CaptureQueriesContext(connection) as seen:
            assert not probe_claims.is_any_due()

        assert len([query for query in seen if "search_path" not in query["sql"]]) == 1


def test_ids_of_links_spread_their_checks() -> None:
    factors = {round(jitter(uuid.uuid4()), 2) for _link in range(200)}

    assert min(factors) >= 0.9
    assert max(factors) <= 1.1
    assert len(factors) > 10
