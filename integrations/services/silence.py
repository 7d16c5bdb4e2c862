"""
The silence alarm: each link with webhooks has a rhythm, learned daily, and a moment at which its silence is looked at.

First the vendor is asked, quietly: is the webhook still registered, did anything happen that we do not know. Only what
is found, or a silence rarer than the link's own tail of gaps, is told to people (docs/decisions/0009).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from django.db import connection, transaction
from django.utils.translation import gettext_noop

from core import clock
from core.pace import scaled
from dispatch.models import Link, LinkStatus, Rhythm, WebhookDelivery
from dispatch.vendors import vendor_state
from integrations.contract import ProviderError
from integrations.contract.rhythm import LEARN_S, QUARTER_S, Learned, learn
from integrations.models import Integration
from integrations.services import drift, issues
from integrations.services.drift import SILENT, Found
from integrations.services.due import daily, is_open
from integrations.services.reconcile import can_reconcile, reconcile
from notifications.services import notify
from tenants.context import in_organization

log = structlog.get_logger(__name__)

NOTE = "integration.silent"

ALL_IN_ORDER = gettext_noop(
    "No webhook since %(since)s; usually every %(usual)s. "
    "%(provider)s says that the webhook is in order and nothing was missed."
)

DRIFTED = gettext_noop(
    "No webhook since %(since)s; usually every %(usual)s. "
    "The webhook was missing at %(provider)s; it is being registered again."
)
MISSED = gettext_noop(
    "No webhook since %(since)s; usually every %(usual)s. Missed events fetched from %(provider)s: %(missed)s."
)
DRIFTED_AND_MISSED = gettext_noop(
    "No webhook since %(since)s; usually every %(usual)s. "
    "The webhook was missing at %(provider)s; it is being registered again. "
    "Missed events fetched from %(provider)s: %(missed)s."
)
NOT_TOLD = gettext_noop(
    "No webhook since %(since)s; usually every %(usual)s. %(provider)s cannot tell us whether something was missed."
)
CLOSES_ITSELF = gettext_noop("Nothing to do: this closes when the next webhook arrives.")
CHECK_URL = gettext_noop("Check that the webhook URL can be reached and that it is set at the provider.")
LOOK_THERE = gettext_noop(
    "Look at the provider whether it still posts to the webhook URL; if so there is nothing to do."
)

BATCH = 200
WORK_FOR = timedelta(seconds=scaled(40))
LEASE = timedelta(seconds=scaled(600))
"""A look that was begun by a worker that died is begun again after this."""

LOOK_AGAIN = timedelta(seconds=scaled(300))
"""How often a link that was told to be silent is looked at, to see it come back."""

WHILE_OFF = timedelta(seconds=scaled(3600))
"""
Until then a link is not judged that is switched off or must be reconnected, whose organization is suspended, or whose
vendor has trouble.
"""

_MINUTES = """
    WITH RECURSIVE minutes AS (
        (SELECT received_at FROM dispatch_webhookdelivery
         WHERE link_id = %(link)s AND received_at >= %(since)s ORDER BY received_at LIMIT 1)
        UNION ALL
        SELECT (SELECT d.received_at FROM dispatch_webhookdelivery d
                WHERE d.link_id = %(link)s
                  AND d.received_at >= date_trunc('minute', minutes.received_at) + interval '1 minute'
                ORDER BY d.received_at LIMIT 1)
        FROM minutes WHERE minutes.received_at IS NOT NULL
    )
    SELECT EXTRACT(EPOCH FROM received_at)::float8 FROM minutes WHERE received_at IS NOT NULL
"""
"""Jumps from minute to minute along the index: 40,320 steps at most for 28 days, however many deliveries there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the vendor said of a silence; `missed` counts events that were fetched, `was_asked` says it could be."""

    drift: Found
    missed: int
    was_asked: bool

    @property
    def found_something(self) -> bool:
        """Whether webhooks were lost."""
        return self.drift is Found.DRIFTED or self.missed > 0


def sweep_rhythms() -> int:
    """Learn the rhythms that are due anew, for a bounded time; return how many."""
    started, done = clock.now(), 0
    while clock.now() - started < WORK_FOR:
        due = Rhythm.objects.filter(next_compute_at__lte=clock.now()).order_by("next_compute_at")
        with transaction.atomic():
            rhythm = due.select_for_update(skip_locked=True).first()
            if rhythm is None:
                break
            Rhythm.objects.filter(pk=rhythm.pk).update(next_compute_at=clock.now() + daily())
        learn_rhythm(rhythm)
        done += 1
    return done


def learn_rhythm(rhythm: Rhythm) -> None:
    """Learn one link's rhythm from the deliveries of 28 days; without enough of them it has none, and no alarm."""
    now = clock.now()
    moments = _active_minutes(rhythm, since=now - timedelta(seconds=LEARN_S))
    learned = learn(moments, until=now.timestamp())
    rhythm.computed_at = now
    rhythm.events = learned.events if learned else len(moments)
    rhythm.per_hour = list(learned.per_hour) if learned else []
    rhythm.median = learned.median if learned else None
    rhythm.median_gap_s = learned.median_gap_s if learned else None
    rhythm.quantile = learned.quantile if learned else None
    if moments:
        newest = datetime.fromtimestamp(moments[-1], UTC)
        rhythm.seen_event_at = max(rhythm.seen_event_at or newest, newest)
    if rhythm.alarmed_at is None:
        rhythm.alarm_at = _next_look(rhythm)
    _save(
        rhythm, "computed_at", "events", "per_hour", "median", "median_gap_s", "quantile", "seen_event_at", "alarm_at"
    )


def sweep() -> int:
    """Look at the links whose silence is due for it, for a bounded time; return how many were really silent."""
    started, silent = clock.now(), 0
    while clock.now() - started < WORK_FOR:
        due = list(Rhythm.objects.filter(alarm_at__lte=clock.now()).order_by("alarm_at")[:BATCH])
        if not due:
            break
        silent += _look_at(due, until=started + WORK_FOR)
    return silent


def _look_at(due: Sequence[Rhythm], *, until: datetime) -> int:
    links = Link.objects.in_bulk([rhythm.pk for rhythm in due])
    moved, silent = [], []
    for rhythm in due:
        link = links.get(rhythm.pk)
        if link is None or link.status != LinkStatus.ACTIVE:
            rhythm.alarm_at = clock.now() + WHILE_OFF
            moved.append(rhythm)
        elif rhythm.alarmed_at is None and _is_newer(link.last_event_at, rhythm):
            _see(rhythm, link.last_event_at)
            moved.append(rhythm)
        else:
            silent.append((rhythm, link))
    Rhythm.objects.bulk_update(moved, ["seen_event_at", "alarm_at"])
    for rhythm, link in silent:
        if clock.now() > until:
            break
        _look_closely(rhythm, link)
    return len(silent)


def _look_closely(rhythm: Rhythm, link: Link) -> None:
    """Look at one link for itself; whatever is wrong with it must not keep the others from their turn."""
    taken = Rhythm.objects.filter(pk=rhythm.pk, alarm_at=rhythm.alarm_at).update(alarm_at=clock.now() + LEASE)
    if not taken:
        return
    try:
        newest = _first_delivery_after(rhythm) if rhythm.alarmed_at else _newest_delivery(rhythm)
        if newest is not None and _is_newer(newest, rhythm):
            _resume(rhythm, link, newest)
        elif rhythm.alarmed_at is not None:
            rhythm.alarm_at = clock.now() + LOOK_AGAIN
        elif vendor_state(link.provider).has_incident or not is_open(link.organization_schema):
            rhythm.alarm_at = clock.now() + WHILE_OFF
        else:
            _ask_and_tell(rhythm, link)
    except Exception:
        log.exception("silence.look_crashed", integration=str(link.pk))
        return
    _save(rhythm, "seen_event_at", "alarm_at", "asked_at", "alarmed_at", "was_repaired", "harmless", "harmless_at")


def _resume(rhythm: Rhythm, link: Link, first: datetime) -> None:
    """Something came: what was told is over; an alarm for which nothing was found raises the next."""
    if rhythm.alarmed_at is not None:
        learned = _learned(rhythm)
        if not rhythm.was_repaired and learned is not None and rhythm.seen_event_at is not None:
            rhythm.harmless = learned.clock.between(rhythm.seen_event_at.timestamp(), first.timestamp())
            rhythm.harmless_at = clock.now()
        with in_organization(link.organization_schema):
            integration = Integration.objects.filter(pk=link.pk).first()
            if integration is not None:
                issues.resolve_issues(integration, causes=[SILENT])
    rhythm.alarmed_at, rhythm.was_repaired = None, False
    _see(rhythm, _newest_delivery(rhythm) or first)


def _ask_and_tell(rhythm: Rhythm, link: Link) -> None:
    now, is_alarm = clock.now(), _is_alarm(rhythm)
    with in_organization(link.organization_schema):
        integration = Integration.objects.filter(pk=link.pk).first()
        if integration is None:
            rhythm.alarm_at = now + WHILE_OFF
            return
        answer = _ask(integration)
        if answer.found_something:
            _tell_found(integration, rhythm, answer)
        elif is_alarm:
            _tell_silent(integration, rhythm, answer)
    rhythm.asked_at = now
    if answer.found_something or is_alarm:
        rhythm.alarmed_at, rhythm.was_repaired = now, answer.found_something
        rhythm.alarm_at = now + LOOK_AGAIN
    else:
        rhythm.alarm_at = _next_look(rhythm)


def _ask(integration: Integration) -> Answer:
    """Ask the vendor, with no connection held: where it posts, and what happened that we do not know."""
    found = drift.inspect(integration).found
    if not can_reconcile(integration):
        return Answer(drift=found, missed=0, was_asked=found in {Found.IN_ORDER, Found.DRIFTED})
    try:
        missed = reconcile(integration)
    except ProviderError as error:
        log.info("silence.not_listed", integration=str(integration.pk), error=error.name)
        return Answer(drift=found, missed=0, was_asked=found in {Found.IN_ORDER, Found.DRIFTED})
    return Answer(drift=found, missed=missed, was_asked=True)


def _tell_found(integration: Integration, rhythm: Rhythm, answer: Answer) -> None:
    """Open the one issue that says what was lost and what was repaired."""
    is_mended = answer.drift is Found.DRIFTED
    mended = DRIFTED_AND_MISSED if answer.missed else DRIFTED
    issues.open_issue(
        integration,
        cause=SILENT,
        text=mended if is_mended else MISSED,
        who="nobody" if is_mended else "user",
        next_action=CLOSES_ITSELF if is_mended else CHECK_URL,
        details={**_facts(integration, rhythm), "missed": str(answer.missed)},
    )


def _tell_silent(integration: Integration, rhythm: Rhythm, answer: Answer) -> None:
    """Leave a note where the vendor says that all is well; open an issue where it cannot be asked."""
    if answer.was_asked:
        notify(
            kind=NOTE,
            title=issues.named(integration),
            text=ALL_IN_ORDER,
            details=_facts(integration, rhythm),
            provider=integration.provider,
            target=("integration", integration.id),
            page="integrations_integration_change",
        )
        return
    issues.open_issue(
        integration,
        cause=SILENT,
        text=NOT_TOLD,
        who="user",
        next_action=LOOK_THERE,
        details=_facts(integration, rhythm),
    )


def _facts(integration: Integration, rhythm: Rhythm) -> dict[str, str]:
    label = integration.provider_class.spec.label
    since = f"{rhythm.seen_event_at:%Y-%m-%d %H:%M} UTC" if rhythm.seen_event_at else "-"
    return {"since": since, "usual": _spoken(rhythm.median_gap_s or 0.0), "provider": label}


def _spoken(seconds: float) -> str:
    """Say a length of time in its largest fitting unit, in symbols of any language: 90 s, 12 min, 5 h, 3 d."""
    for unit_s, symbol in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {symbol}"
    return f"{max(1.0, seconds):.0f} s"


def _is_alarm(rhythm: Rhythm) -> bool:
    learned = _learned(rhythm)
    if learned is None or rhythm.seen_event_at is None:
        return False
    last = rhythm.seen_event_at.timestamp()
    return clock.now().timestamp() >= learned.alarms_at(last, harmless=_harmless(rhythm))


def _next_look(rhythm: Rhythm) -> datetime | None:
    """The next moment to ask, or to sound the alarm, whichever comes first; None without a rhythm."""
    learned = _learned(rhythm)
    if learned is None or rhythm.seen_event_at is None:
        return None
    last = rhythm.seen_event_at.timestamp()
    asked = rhythm.asked_at.timestamp() if rhythm.asked_at else None
    at = min(learned.asks_at(last, asked=asked), learned.alarms_at(last, harmless=_harmless(rhythm)))
    return datetime.fromtimestamp(min(at, clock.now().timestamp() + LEARN_S), UTC)


def _harmless(rhythm: Rhythm) -> float:
    """The alarm of this quarter that was none, in expected events."""
    is_fresh = rhythm.harmless_at is not None and clock.now() - rhythm.harmless_at < timedelta(seconds=QUARTER_S)
    return (rhythm.harmless or 0.0) if is_fresh else 0.0


def _learned(rhythm: Rhythm) -> Learned | None:
    if rhythm.quantile is None or rhythm.median is None or rhythm.median_gap_s is None:
        return None
    return Learned(
        per_hour=tuple(rhythm.per_hour),
        events=rhythm.events,
        median=rhythm.median,
        median_gap_s=rhythm.median_gap_s,
        quantile=rhythm.quantile,
    )


def _see(rhythm: Rhythm, newest: datetime | None) -> None:
    rhythm.seen_event_at = newest
    rhythm.alarm_at = _next_look(rhythm)


def _is_newer(moment: datetime | None, rhythm: Rhythm) -> bool:
    return moment is not None and (rhythm.seen_event_at is None or moment > rhythm.seen_event_at)


def _newest_delivery(rhythm: Rhythm) -> datetime | None:
    """When the last webhook arrived, worked off or not: a queue of ours is no silence of theirs."""
    rows = WebhookDelivery.objects.filter(link_id=rhythm.pk).order_by("-received_at")
    return rows.values_list("received_at", flat=True).first()


def _first_delivery_after(rhythm: Rhythm) -> datetime | None:
    rows = WebhookDelivery.objects.filter(link_id=rhythm.pk, received_at__gt=rhythm.seen_event_at)
    return rows.order_by("received_at").values_list("received_at", flat=True).first()


def _active_minutes(rhythm: Rhythm, *, since: datetime) -> list[float]:
    with connection.cursor() as cursor:
        cursor.execute(_MINUTES, {"link": rhythm.pk, "since": since})
        return [row[0] for row in cursor.fetchall()]


def _save(rhythm: Rhythm, *fields: str) -> None:
    rhythm.save(update_fields=fields)
