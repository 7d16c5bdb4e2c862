"""A link that falls silent: the vendor is asked first, people are told what was found, and the next webhook ends it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from benchmarks.rhythms import DAY_S, START, steady
from core import clock
from dispatch.models import Link, OutboxEntry, Rhythm, Vendor
from integrations import registry
from integrations.models import Event, Integration, Issue
from integrations.services import drift, silence
from integrations.services.crew import work_outbox
from notifications.models import Notification
from tenants.context import in_organization
from tenants.models import Organization
from tests.fictitious.conftest import Shop
from tests.fictitious.parcelbox import PROVIDER
from tests.fictitious.vendor import Parcelbox
from tests.fictitious.watched import CALLBACKS, CHANGES, Watched

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAYS = 28


_DELIVERED = """
    INSERT INTO dispatch_webhookdelivery (id, organization_schema, link_id, received_at, next_attempt_at, provider,
        account_key, headers, body_bytes, status, event_ids, attempts, crashes, error_class, error_text)
    SELECT gen_random_uuid(), %s, %s, at, at, 'parcelbox', '', '{}', 0, 'processed', '{}', 0, 0, '', ''
    FROM unnest(%s::timestamptz[]) AS at
"""


@pytest.fixture(autouse=True)
def watched(vendor: Parcelbox) -> None:
    """Let Parcelbox register webhooks and list changes."""
    registry.register(Watched)


@pytest.fixture
def lively(shop: Shop, other_shop: Shop) -> Shop:
    """A shop whose webhooks came six an hour for four weeks, the last a moment ago; its rhythm is learned."""
    work_outbox()
    shift = clock.now().timestamp() - (START + DAYS * DAY_S)
    deliver(shop, *(datetime.fromtimestamp(at + shift, UTC) for at in steady(random.Random(4), DAYS)), clock.now())
    with in_organization(shop.organization):
        Integration.objects.update(created_at=clock.now() - timedelta(days=60))
        shop.integration.refresh_from_db()
    drift.welcome()
    Rhythm.objects.filter(link_id=shop.integration.id).update(next_compute_at=clock.now())
    assert silence.sweep_rhythms() == 1
    return shop


def deliver(shop: Shop, *moments: datetime) -> None:
    """Store deliveries as the worker leaves them."""
    link_id = shop.integration.id
    with connection.cursor() as cursor:  # thousands of rows in one statement
        cursor.execute(_DELIVERED, [shop.organization.schema_name, link_id, list(moments)])
    Link.objects.filter(pk=link_id).update(last_event_at=max(moments))


def rhythm_of(shop: Shop) -> Rhythm:
    """The rhythm as it is stored now."""
    return Rhythm.objects.get(link_id=shop.integration.id)


def told(shop: Shop) -> tuple[list[Issue], list[str]]:
    """The issues and the texts of notes of an organization, by and by."""
    with in_organization(shop.organization):
        notes = Notification.objects.filter(kind=silence.NOTE, organization_schema=shop.organization.schema_name)
        return list(Issue.objects.filter(cause=drift.SILENT)), [note.said for note in notes]


class TestRhythm:
    def test_is_learned_from_deliveries(self, lively: Shop, other_shop: Shop) -> None:
        rhythm = rhythm_of(lively)

        assert rhythm.events > 3000
        assert rhythm.median_gap_s == pytest.approx(7 * 60, rel=0.25)
        assert rhythm.median is not None
        assert rhythm.quantile is not None
        assert rhythm.quantile > 5 * rhythm.median
        assert rhythm.alarm_at is not None
        assert clock.now() + 5 * MINUTE < rhythm.alarm_at < clock.now() + HOUR
        assert rhythm_of(other_shop).quantile is None

    def test_is_learned_again_in_a_day(self, lively: Shop) -> None:
        assert silence.sweep_rhythms() == 0
        with clock.shifted(timedelta(days=1.2)):
            assert silence.sweep_rhythms() == 2

    def test_wants_fifty_events(self, other_shop: Shop) -> None:
        now = clock.now()
        deliver(other_shop, *(now - at * 12 * HOUR for at in range(49)))
        drift.welcome()

        silence.learn_rhythm(rhythm_of(other_shop))

        rhythm = rhythm_of(other_shop)
        assert (rhythm.events, rhythm.quantile, rhythm.alarm_at) == (49, None, None)

    def test_counts_minutes_however_many_come(self, other_shop: Shop) -> None:
        now = clock.now().replace(second=0, microsecond=0)
        deliver(other_shop, *(now - at * 6 * HOUR + timedelta(seconds=s) for at in range(1, 100) for s in range(30)))
        drift.welcome()

        silence.learn_rhythm(rhythm_of(other_shop))

        assert rhythm_of(other_shop).events == 99


class TestLooking:
    def test_goes_on_when_something_came(self, lively: Shop, vendor: Parcelbox) -> None:
        with clock.shifted(HOUR):
            deliver(lively, clock.now() - MINUTE)

            assert silence.sweep() == 0

            assert rhythm_of(lively).alarm_at > clock.now()  # type: ignore[operator]
        assert vendor.count(CHANGES) == 0

    def test_asks_quietly_and_again_after_a_while(self, lively: Shop, vendor: Parcelbox) -> None:
        with clock.shifted(30 * MINUTE):
            assert silence.sweep() == 1
            assert silence.sweep() == 0
        with clock.shifted(60 * MINUTE):
            assert silence.sweep() == 1

        assert vendor.count(CHANGES) == 2
        assert told(lively) == ([], [])

    def test_a_queue_of_ours_is_no_silence_of_theirs(self, lively: Shop, vendor: Parcelbox) -> None:
        with clock.shifted(30 * MINUTE):
            deliver(lively, clock.now() - MINUTE)
            Link.objects.filter(pk=lively.integration.id).update(last_event_at=clock.now() - HOUR)

            silence.sweep()

        assert vendor.count(CHANGES) == 0

    @pytest.mark.parametrize("trouble", ["incident", "disabled", "suspended"])
    def test_judges_nobody_in_trouble(self, lively: Shop, vendor: Parcelbox, trouble: str) -> None:
        if trouble == "incident":
            Vendor.objects.create(provider="parcelbox", incident="Down.", incident_class="Unavailable")
        elif trouble == "suspended":
            Organization.objects.filter(pk=lively.organization.pk).update(status=Organization.Status.SUSPENDED)
        else:
            Link.objects.filter(pk=lively.integration.id).update(status="disabled")

        with clock.shifted(24 * HOUR):
            silence.sweep()

        assert vendor.count(CHANGES) == 0
        assert told(lively) == ([], [])


class TestFound:
    def test_a_webhook_that_was_missing_is_one_issue_that_says_so(
        self, lively: Shop, other_shop: Shop, vendor: Parcelbox
    ) -> None:
        vendor.callbacks[lively.merchant.id] = ""
        vendor.change("ch_a", lively.merchant, changed_at=int((clock.now() + MINUTE).timestamp()))
        silent_since = rhythm_of(lively).seen_event_at

        with clock.shifted(30 * MINUTE):
            silence.sweep()
            work_outbox()
        with clock.shifted(60 * MINUTE):
            silence.sweep()

        (issue,), notes = told(lively)
        assert notes == []
        assert issue.english == (
            f"No webhook since {silent_since:%Y-%m-%d %H:%M} UTC; usually every "
            f"{silence._spoken(rhythm_of(lively).median_gap_s or 0)}. "
            "The webhook was missing at Parcelbox; it is being registered again. "
            "Missed events fetched from Parcelbox: 1."
        )
        assert issue.who == "nobody"
        assert vendor.callbacks[lively.merchant.id] == lively.integration.webhook_url
        with in_organization(lively.organization):
            assert Event.objects.get().key == "ch_a:1"
            assert Integration.objects.get().health != "degraded"
        assert told(other_shop) == ([], [])

    def test_events_missed_by_a_webhook_in_order_ask_the_owner_to_look(self, lively: Shop, vendor: Parcelbox) -> None:
        vendor.change("ch_a", lively.merchant, changed_at=int((clock.now() + MINUTE).timestamp()))

        with clock.shifted(30 * MINUTE):
            silence.sweep()

        (issue,), _notes = told(lively)
        assert issue.who == "user"
        assert "Missed events fetched from Parcelbox: 1." in issue.english

    def test_the_next_webhook_resolves_it(self, lively: Shop, vendor: Parcelbox) -> None:
        vendor.callbacks[lively.merchant.id] = ""
        with clock.shifted(30 * MINUTE):
            silence.sweep()
        with clock.shifted(50 * MINUTE):
            deliver(lively, clock.now() - MINUTE)
            silence.sweep()

        (issue,), _notes = told(lively)
        rhythm = rhythm_of(lively)
        assert issue.resolved_at is not None
        assert (rhythm.alarmed_at, rhythm.was_repaired, rhythm.harmless) == (None, False, None)
        assert rhythm.alarm_at is not None


class TestNothingFound:
    def test_a_long_silence_with_all_in_order_is_one_note(
        self, lively: Shop, other_shop: Shop, vendor: Parcelbox
    ) -> None:
        for hours in (1, 4, 5, 9):
            with clock.shifted(hours * HOUR):
                silence.sweep()

        issues_open, notes = told(lively)
        assert issues_open == []
        assert len(notes) == 1
        assert "Parcelbox says that the webhook is in order and nothing was missed." in notes[0]
        with in_organization(lively.organization):
            assert Integration.objects.get().health != "degraded"
        assert told(other_shop) == ([], [])

    @pytest.mark.parametrize("path", [CALLBACKS, CHANGES])
    def test_a_vendor_that_answers_half_is_asked_all_the_same(self, lively: Shop, vendor: Parcelbox, path: str) -> None:
        vendor.failing[path] = "error__html_502"

        with clock.shifted(4 * HOUR):
            silence.sweep()

        issues_open, notes = told(lively)
        assert (len(issues_open), len(notes)) == (0, 1)

    def test_where_nobody_can_be_asked_the_owner_is(self, lively: Shop, vendor: Parcelbox) -> None:
        registry.register(PROVIDER)

        with clock.shifted(4 * HOUR):
            silence.sweep()

        (issue,), notes = told(lively)
        assert (issue.who, notes) == ("user", [])
        assert OutboxEntry.objects.filter(kind="webhook.register", status="waiting").count() == 0

    def test_an_alarm_that_was_none_raises_the_next(self, lively: Shop, vendor: Parcelbox) -> None:
        registry.register(PROVIDER)
        with clock.shifted(4 * HOUR):
            silence.sweep()
            deliver(lively, clock.now() + MINUTE)
        with clock.shifted(5 * HOUR):
            silence.sweep()
            deliver(lively, clock.now())
            silence.sweep()

        (issue,), _notes = told(lively)
        assert issue.resolved_at is not None
        assert rhythm_of(lively).harmless == pytest.approx(24, rel=0.3)
        with clock.shifted(11 * HOUR):
            silence.sweep()
        (issue,), _notes = told(lively)
        assert issue.resolved_at is not None
