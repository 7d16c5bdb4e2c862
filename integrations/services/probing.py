"""
The clock's checks: thousands of links, few statements, many vendors waited for at once.

A round claims a batch in public, reads integrations and credentials organization by organization, lets a bounded pool
of threads run the providers' `probe()` (pure: no database, no organization), and writes what came out: what changed
nothing in bulk, what is news by `health.write_down`. While the vendors are waited for, the next batch is prepared and
no connection is held.
"""

from __future__ import annotations

import contextvars
import itertools
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction

from core import clock
from core.fault_points import reach
from core.pace import scaled
from core.secret import Secrets
from dispatch.failing import note_failure
from dispatch.models import Link, OutboxEntry, OutboxStatus
from dispatch.vendors import vendor_state
from integrations.contract import (
    AuthenticationFailed,
    CallReport,
    Provider,
    ProviderError,
    RateLimited,
    RefreshesTokens,
    Unavailable,
)
from integrations.contract.health import FIRST_RETRY_S, Health, Standing, after, finding_of
from integrations.models import Credential, Integration
from integrations.services import breakers, health, links, probe_claims
from integrations.services.check_rows import Checked, call_row, check_row
from integrations.services.credentials import Purpose, open_many
from integrations.services.health import Answer
from integrations.services.probe_claims import Move, after_incident
from integrations.services.providers import instance
from meter import usage
from meter.models import Call, HealthCheck
from tenants.context import in_organization, release_connection

__all__ = ["after_incident", "check_due_links"]

BATCH = 160
"""Links of one claim: several waves of the pool, so that preparing the next batch always fits into the waiting."""

AHEAD = 2
"""Times the pool's threads that may be claimed and not yet written: more would only lengthen what a kill repeats."""

CLAIM_FOR_S = 5.0
"""A task claims for this long, then makes room for other queues' work and asks to be woken again."""

FINISH_WITHIN_S = 45.0
"""What was asked is waited for so long at the end; the task's limit is 90 s. A slower vendor has not answered."""

WRITE_AT = 100
WRITE_EVERY_S = 1.0
"""Results written together: so many, or what came in a second, so that a slow vendor does not hold back the rest."""

WHOLE_CHECK_EVERY_S = 86_400.0
"""Verdicts, scopes and subscriptions change seldom; whether the account answers is asked every period (note 0008)."""

JUDGE_FOR_S = 15.0
"""Judging refused tokens takes calls one after the other: so much of a sweep's time, no more."""

log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Probe:
    """One link's check: what it needs before, what came out after."""

    link: Link
    integration: Integration
    provider: Provider
    reports: list[CallReport] = field(default_factory=list)
    started: datetime | None = None
    finished: datetime | None = None
    answer: Answer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One check with its answer, and where the link stands after it."""

    link: Link
    integration: Integration
    provider: str
    asked_at: datetime
    answer: Answer
    checked: Checked
    standing: Standing
    reports: Sequence[CallReport]

    @classmethod
    def of(cls, probe: Probe) -> Answered:
        """Read a probe that has its answer."""
        if probe.answer is None or probe.started is None or probe.finished is None:
            raise ValueError("a probe without an answer")
        return cls(
            link=probe.link,
            integration=probe.integration,
            provider=probe.link.provider,
            asked_at=probe.started,
            answer=probe.answer,
            checked=health.checked_of(probe.answer, started=probe.started, finished=probe.finished),
            standing=after(links.standing_of(probe.link), finding_of(probe.answer)),
            reports=probe.reports,
        )

    @property
    def needs_judgment(self) -> bool:
        """Whether the credential was refused, but a new token may still work."""
        renews = issubclass(self.integration.provider_class, RefreshesTokens)
        return renews and isinstance(self.answer, AuthenticationFailed)

    @property
    def is_news(self) -> bool:
        """Whether more changes than times and counters."""
        return health.is_news(self.integration, self.link, self.answer)


def check_due_links(*, within_s: float | None = None) -> int:
    """
    Check links that are due until none is, or the time is over; return how many were checked.

    :param within_s: how long new links are claimed; `CLAIM_FOR_S` unless given
    """
    end = time.monotonic() + (scaled(CLAIM_FOR_S) if within_s is None else within_s)
    pool = ThreadPoolExecutor(max_workers=settings.HEALTH_THREADS, thread_name_prefix="probe")
    try:
        return _Sweep(pool, end).run()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class _Sweep:
    """One task's work: batches go into the pool as long as there is room and time, results are written as they come."""

    def __init__(self, pool: ThreadPoolExecutor, end: float) -> None:
        self._pool = pool
        self._end = end
        self._asked: dict[Future[None], Probe] = {}
        self._is_dry = False

    def run(self) -> int:
        """Work until nothing is due, or the time is over and everything asked is written; return how many links."""
        checked, results, written_at = 0, [], time.monotonic()
        self._fill()
        while self._asked:
            results += self._gather()
            if len(results) >= WRITE_AT or not self._asked or time.monotonic() - written_at > WRITE_EVERY_S:
                self._fill()  # first: what is asked now is answered while the results are written
                checked += write(results)
                results, written_at = [], time.monotonic()
            self._fill()
        return checked

    def _fill(self) -> None:
        """Claim and begin what the pool has room for."""
        while not self._is_dry and time.monotonic() < self._end and len(self._asked) < AHEAD * settings.HEALTH_THREADS:
            claimed = probe_claims.claim(BATCH)
            reach("probe.claimed")
            self._is_dry = not claimed
            for probe in prepare(claimed):
                # A thread inherits no context: its clock would not be the caller's.
                context = contextvars.copy_context()
                self._asked[self._pool.submit(context.run, run, probe)] = probe

    def _gather(self) -> list[Probe]:
        """Wait for answers without a connection; past the time, what still waits counts as not answered."""
        release_connection()
        left_s = self._end + FINISH_WITHIN_S - time.monotonic()
        done, _ = wait(self._asked, timeout=min(max(left_s, 0), WRITE_EVERY_S), return_when=FIRST_COMPLETED)
        if done or left_s > 0:
            return [self._asked.pop(future) for future in done]
        late, self._asked = list(self._asked.values()), {}
        return [_gave_up(probe) for probe in late if probe.started is not None]


def prepare(claimed: Sequence[Link]) -> list[Probe]:
    """Read and open what the checks need, organization by organization; a broken organization holds up no other."""
    probes: list[Probe] = []
    by_schema = sorted(claimed, key=lambda link: link.organization_schema)
    for schema, group in itertools.groupby(by_schema, key=lambda link: link.organization_schema):
        try:
            with in_organization(schema):
                probes += _prepared({link.id: link for link in group})
        except Exception:
            log.exception("health.organization_crashed", organization=schema)
    return probes


def run(probe: Probe) -> None:
    """Ask the vendor; runs in a thread of the pool and touches no database."""
    probe.started = clock.now()
    try:
        probe.answer = health.ask(
            probe.provider, account_external_id=probe.integration.account_external_id, is_brief=is_brief(probe.link)
        )
    except Exception:
        log.exception("health.check_crashed", integration=str(probe.link.id))
    probe.finished = clock.now()


def is_brief(link: Link) -> bool:
    """Whether a probe will do: the link is well, and was checked since its own hour of the day last came."""
    if link.health != Health.HEALTHY or link.open_issues or link.last_checked_at is None:
        return False
    day_s = scaled(WHOLE_CHECK_EVERY_S)
    own_hour_s = link.id.int % 86_400 / 86_400 * day_s
    days = ((moment.timestamp() + own_hour_s) // day_s for moment in (clock.now(), link.last_checked_at))
    return len(set(days)) == 1


def write(results: Sequence[Probe]) -> int:
    """Keep what a batch found and return how many links it were; a check that crashed is due again after its lease."""
    answers = [Answered.of(probe) for probe in results if probe.answer is not None]
    held_back = [one for one in answers if health.was_held_back(one.answer)]
    answers = [one for one in answers if not health.was_held_back(one.answer)]
    reach("probe.before_write")
    probe_claims.move([Move(link=one.link, due=_room_at(one.answer)) for one in held_back])
    if answers:
        _note(answers)
        with_parked = _with_parked_work(answers)
        news = [one for one in answers if one.link.id in with_parked or one.is_news]
        told = {one.link.id for one in news}
        with transaction.atomic():
            _keep_calls(answers)
            _write_usual([one for one in answers if one.link.id not in told])
        _write_news(news)
    return len(results)


def _prepared(claimed: Mapping[UUID, Link]) -> Iterator[Probe]:
    serving = Credential.objects.filter(state=Credential.State.CURRENT, sealed__isnull=False)
    rows = list(serving.filter(integration_id__in=claimed).select_related("integration"))
    for credential, secrets in open_many(rows, Purpose.CHECK):
        yield _probe(claimed[credential.integration_id], credential.integration, secrets)
    # What has no credential is not asked about: it comes up again after its lease, and a person's test says why.


def _probe(link: Link, integration: Integration, secrets: Secrets) -> Probe:
    reports: list[CallReport] = []
    provider = instance(integration, secrets, reports=reports.append)
    return Probe(link=link, integration=integration, provider=provider, reports=reports)


def _gave_up(probe: Probe) -> Probe:
    """Describe a check that its vendor never answered; the thread that still waits writes into its own object."""
    answer = Unavailable("the check did not end in time", reason="check_too_slow")
    return replace(probe, finished=clock.now(), answer=answer, reports=list(probe.reports))


def _room_at(answer: Answer) -> datetime:
    """Say when our count of the vendor's limits lets a check through, a minute from now at the earliest."""
    wait_s = answer.retry_after_s if isinstance(answer, RateLimited) else None
    return clock.now() + timedelta(seconds=max(wait_s or 0.0, scaled(FIRST_RETRY_S)))


def _with_parked_work(answers: Sequence[Answered]) -> set[UUID]:
    """Links whose work a good check must release, though nothing else changed."""
    ids = [one.link.id for one in answers]
    parked = OutboxEntry.objects.filter(link_id__in=ids, status=OutboxStatus.PARKED)
    return {link_id for link_id in parked.values_list("link_id", flat=True).distinct() if link_id}


def _keep_calls(answers: Sequence[Answered]) -> None:
    rows = [
        call_row(report, organization_schema=one.link.organization_schema, link_id=one.link.id, provider=one.provider)
        for one in answers
        for report in one.reports
    ]
    Call.objects.bulk_create(rows)
    counts = Counter((row.organization_schema, row.link_id, row.provider) for row in rows)
    usage.count_many("api_calls", counts)


def _write_usual(answers: Sequence[Answered]) -> None:
    """Write checks that changed nothing: rows in bulk, the links' times and counters in one statement."""
    HealthCheck.objects.bulk_create(
        check_row(
            one.checked,
            organization_schema=one.link.organization_schema,
            link_id=one.link.id,
            provider=one.provider,
            health=one.standing.health,
            cause=one.integration.health_cause,
        )
        for one in answers
    )
    probe_claims.move(
        [
            Move(
                link=one.link,
                due=links.next_check(one.link, one.standing),
                at=one.checked.at,
                good=one.standing.good,
                bad=one.standing.bad,
            )
            for one in answers
        ]
    )


def _write_news(answers: Sequence[Answered]) -> None:
    """Write what changed something; refusals that nobody had time to judge are due again after their lease."""
    end = time.monotonic() + JUDGE_FOR_S
    by_schema = sorted(answers, key=lambda one: one.link.organization_schema)
    for schema, group in itertools.groupby(by_schema, key=lambda one: one.link.organization_schema):
        with in_organization(schema):
            for one in group:
                if not one.needs_judgment or time.monotonic() < end:
                    _write_one(one)


def _write_one(unjudged: Answered) -> None:
    """Write one check that is news; whatever is wrong with it must not keep the others from theirs."""
    try:
        one = _judged(unjudged)
        with transaction.atomic():
            fresh = Integration.objects.select_for_update().get(pk=one.link.id)
            is_refusal = isinstance(one.answer, ProviderError)
            if fresh.status not in probe_claims.CHECKED or (is_refusal and _was_replaced(fresh, one.asked_at)):
                return  # disconnected, disabled or reconnected while the vendor answered
            health.write_down(fresh, one.answer, one.checked)
    except Exception:
        log.exception("health.check_not_written", integration=str(unjudged.link.id))


def _judged(one: Answered) -> Answered:
    """
    Renew a refused token and ask again, where the vendor has tokens that are renewed.

    Not while the vendor refuses everybody: nobody would be asked to reconnect, and a token would be spent on it.
    """
    if not one.needs_judgment or not isinstance(one.answer, AuthenticationFailed):
        return one
    if vendor_state(one.provider).incident_class == one.answer.name:
        return one
    answer, asked_at = health.judged(one.integration, one.answer, started=one.asked_at)
    checked = health.checked_of(answer, started=one.asked_at, finished=clock.now())
    return replace(one, answer=answer, asked_at=asked_at, checked=checked)


def _was_replaced(integration: Integration, since: datetime) -> bool:
    credential = integration.current_credential
    return credential is None or credential.created_at > since


def _note(answers: Sequence[Answered]) -> None:
    """Tell the watch for vendors' incidents which links fail now, and with what."""
    by_class: dict[str, list[UUID]] = {}
    for one in answers:
        by_class.setdefault(one.checked.error.name if one.checked.error else "", []).append(one.link.id)
    for error_class, ids in by_class.items():
        if error_class:
            note_failure(ids, error_class)
        else:
            breakers.checked(ids)
