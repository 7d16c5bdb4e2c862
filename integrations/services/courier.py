"""
Renewing tokens on behalf of others: claim a link, call the vendor once, store the new pair before anybody uses it.

This runs in a process that nobody's end takes along (`courier_process`): between the vendor's rotation and our commit
the new refresh token exists only here. An attempt is the Link's `refresh_…` columns; its lease outlasts the call and
the time in which storing is tried, so that a second call with a spent token needs a courier that died itself.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import OperationalError, connections, transaction
from django.db.models import F, Q, QuerySet

from audit.services import Actor, record
from core import clock
from core.fault_points import reach
from core.ids import new_id
from core.pace import scaled
from core.secret import Secrets
from dispatch.models import BreakerState, Link, LinkStatus, Vendor
from integrations.contract import ProviderError, RefreshesTokens, TokenSet
from integrations.models import Integration
from integrations.services import credentials, issues, links, refusals
from integrations.services.credentials import Purpose, audit_target
from integrations.services.providers import provider_for
from tenants.context import in_organization, release_connection

log = structlog.get_logger(__name__)

CALLS = 8
"""Refreshes at once: eight threads cost little memory, and 300 tokens that end together need less than a margin."""

CALLS_PER_PROVIDER = 5
"""Of those that are due by the clock, so that one hanging vendor leaves room for the others."""

LINGER_S = scaled(10.0)
"""A courier that has nothing to do stays this long: starting one costs over a second of a processor."""

SERVE_S = scaled(900.0)
"""Then another process goes on: one that is never idle would run the code of a release that is gone."""

POLL_S = 0.05
STORE_FOR_S = scaled(300)
"""How long a new pair is tried to be stored while the database is away: longer than it takes to start again."""

LEASE = timedelta(seconds=90 + STORE_FOR_S)
"""40 s for the call, 20 s for the check of a refusal, the rest for what is written around them; then storing."""

_CLOCKED = (LinkStatus.ACTIVE, LinkStatus.NEEDS_REAUTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One claimed attempt: until its lease ends, no other courier touches these tokens."""

    id: UUID
    link_id: UUID
    organization_schema: str
    provider: str
    until: datetime


def work(courier: UUID, *, is_stopped: threading.Event) -> None:
    """
    Renew what is due or asked for until nothing was for `LINGER_S`, for `SERVE_S` at most, or until stopped.

    The caller holds the lock that `courier` names. What has begun is ended and stored in any case. Without a database
    there is nothing to do either, apart from that.
    """
    ends_at = time.monotonic() + SERVE_S
    leaves_at = time.monotonic() + LINGER_S
    running: dict[Future[None], Errand] = {}
    _release_dead(courier)
    with ThreadPoolExecutor(CALLS, thread_name_prefix="courier") as pool:
        while running or (time.monotonic() < min(leaves_at, ends_at) and not is_stopped.is_set()):
            try:
                if time.monotonic() < ends_at and not is_stopped.is_set():
                    _fill(running, pool, courier)
            except OperationalError as error:
                log.warning("courier.no_database", error=type(error).__name__)
                release_connection()
                if not running:
                    return
            if running:
                leaves_at = time.monotonic() + LINGER_S
            time.sleep(POLL_S)
            running = {future: errand for future, errand in running.items() if not future.done()}
    release_connection()


def work_here() -> int:
    """Renew what is due or asked for in this thread, one after the other; return how many attempts were made."""
    made = 0
    while errand := claim(None):
        carry(errand, is_patient=False)
        made += 1
    return made


def is_anything_due() -> bool:
    """Whether a courier has something to do; without a database, nothing."""
    try:
        return due_links().exists()
    except OperationalError:
        return False
    finally:
        release_connection()


def due_links() -> QuerySet[Link]:
    """
    Return the links whose tokens somebody asked for or that end soon, unless an attempt is out.

    What the clock asks of a vendor with an incident or an open breaker waits for its end.
    """
    now = clock.now()
    is_open = ~Q(breaker=BreakerState.CLOSED) & Q(breaker_until__gt=now)
    troubled = Vendor.objects.filter(~Q(incident_class="") | is_open).values("provider")
    is_due = Q(next_refresh_at__lte=now, status__in=_CLOCKED) & ~Q(provider__in=troubled)
    is_wanted = Q(refresh_asked_at__isnull=False) | is_due
    return Link.objects.filter(is_wanted).filter(Q(refresh_id=None) | Q(refresh_until__lt=now))


def claim(courier: UUID | None, *, busy: Iterable[str] = ()) -> Errand | None:
    """
    Take one link under a lease, those somebody waits for first; None when there is none.

    :param busy: providers that get no more of what is due by the clock
    """
    waiting = due_links().exclude(refresh_asked_at=None, provider__in=list(busy))
    ordered = waiting.order_by(F("refresh_asked_at").asc(nulls_last=True), "next_refresh_at")
    with transaction.atomic():
        row = ordered.select_for_update(skip_locked=True).values("id", "organization_schema", "provider").first()
        if row is None:
            return None
        errand = Errand(
            id=new_id(),
            link_id=row["id"],
            organization_schema=row["organization_schema"],
            provider=row["provider"],
            until=clock.now() + LEASE,
        )
        Link.objects.filter(pk=errand.link_id).update(
            refresh_id=errand.id, refresh_until=errand.until, refresh_courier=courier
        )
        return errand


def carry(errand: Errand, *, is_patient: bool = True) -> None:
    """
    Make the one call of an attempt and write down what came of it.

    :param is_patient: try to store the new pair as long as the lease allows
    """
    try:
        with in_organization(errand.organization_schema):
            _renew(errand, is_patient=is_patient)
    except Exception:
        log.exception("token.refresh_crashed", integration=str(errand.link_id))
        refusals.note_crash(errand.id)


def _carry_in_thread(errand: Errand) -> None:
    try:
        carry(errand)
    finally:
        connections.close_all()


def _fill(running: dict[Future[None], Errand], pool: ThreadPoolExecutor, courier: UUID) -> None:
    while len(running) < CALLS:
        counted = Counter(errand.provider for errand in running.values())
        errand = claim(courier, busy=[name for name, number in counted.items() if number >= CALLS_PER_PROVIDER])
        if errand is None:
            return
        running[pool.submit(_carry_in_thread, errand)] = errand


def _release_dead(courier: UUID) -> None:
    """Give back what a courier of this machine left behind: that we hold its lock proves that it has ended."""
    left = Link.objects.filter(refresh_courier=courier).exclude(refresh_id=None)
    left.update(refresh_id=None, refresh_until=None, refresh_courier=None)


def _renew(errand: Errand, *, is_patient: bool) -> None:
    integration = Integration.objects.filter(pk=errand.link_id).first()
    if integration is None or not issubclass(integration.provider_class, RefreshesTokens):
        refusals.end(errand.id, next_refresh_at=None)
        return
    version = None
    try:
        version, secrets, call = _opened(integration)
        reach("token.before_call")
        tokens = call()
    except ProviderError as error:
        refusals.note(errand.id, integration, version, error)
        return
    reach("token.after_call")
    values = {name: secret.reveal() for name, secret in secrets.items()} | _changed(tokens)
    while not _is_stored(errand, version, values, tokens, is_patient=is_patient):
        time.sleep(1)


def _opened(integration: Integration) -> tuple[int, Secrets, Callable[[], TokenSet]]:
    """Return the version that serves, its secrets and the call that spends it; a reconnect may come at any moment."""
    while True:
        version = credentials.require_current(integration).version
        provider = provider_for(integration, Purpose.REFRESH)
        if not isinstance(provider, RefreshesTokens):
            raise TypeError("a provider lost a capability between two lines")
        if credentials.require_current(integration).version == version:
            release_connection()
            return version, provider.integration.secrets, provider.refresh


def _is_stored(errand: Errand, version: int, values: dict[str, str], tokens: TokenSet, *, is_patient: bool) -> bool:
    """Store the new pair; False asks to try again, for what is lost here nobody can ask the vendor for again."""
    try:
        reach("token.before_store")
        _store(errand, version, values, tokens)
    except Exception as error:
        if not is_patient or clock.now() > errand.until - timedelta(seconds=10):
            raise
        log.warning("token.store_failed", integration=str(errand.link_id), error=type(error).__name__)
        release_connection()
        return False
    reach("token.stored")
    return True


def _store(errand: Errand, version: int, values: dict[str, str], tokens: TokenSet) -> None:
    """Keep the new pair and forget the spent one, unless the account was reconnected while the vendor answered."""
    with transaction.atomic():
        fresh = Integration.objects.select_for_update().get(pk=errand.link_id)
        spent = fresh.current_credential
        if spent is None or spent.version != version:
            refusals.end(errand.id)
            return
        stored = credentials.store(fresh, values, expires_at=tokens.expires_at)
        credentials.destroy_version(fresh, version)
        links.schedule_refresh(fresh, tokens.expires_at)
        issues.resolve_issues(fresh, causes=[refusals.NOT_RENEWED])
        if fresh.status == LinkStatus.NEEDS_REAUTH:
            Link.objects.filter(pk=fresh.pk).update(next_check_at=clock.now())
        record(
            action="token.refreshed",
            actor=Actor.system("refresh"),
            target=audit_target(fresh),
            details={"version": stored.version, "fields": sorted(_changed(tokens))},
        )
        refusals.end(errand.id)


def _changed(tokens: TokenSet) -> dict[str, str]:
    changed = {"access_token": tokens.access_token.reveal()}
    if tokens.refresh_token is not None:
        changed["refresh_token"] = tokens.refresh_token.reveal()
    return changed
