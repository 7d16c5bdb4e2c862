"""
The loops of the workers: claim what is due, work it off, give back what was not begun.

Deliveries cost processor time and are worked off one after the other, but for those whose facts must be fetched from
the vendor: threads wait for these. Entries of the outbox wait for vendors, so a
process has a crew of threads for them, claims what its free threads can take, and claims again when one is free. A
thread enters the organization itself and holds no connection while it waits (`tenants.context.release_connection`).
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import connections

from core import clock
from dispatch.claims import Claim, claim_deliveries, claim_outbox, give_back_deliveries, give_back_outbox
from dispatch.models import WebhookDelivery
from dispatch.waker import wake
from integrations.services.deliveries import process
from integrations.services.due import is_open
from integrations.services.outbox import work_entry
from tenants.context import in_organization

log = structlog.get_logger(__name__)

WORK_FOR = timedelta(seconds=50)
"""A call may take 20 s: with it a claim is done well inside its lease of 120 s and the task's limit of 90 s."""

DELIVERIES = 25
"""Claimed at once: about a tenth of a second of work, which is how long a new delivery waits for its turn."""

NO_THREAD_FREE = timedelta(seconds=1)
"""When a delivery looks again for a thread that fetches."""

LOOK_AT_CLOSED = timedelta(hours=1)
"""Work of an organization that is suspended waits for it, without being tried."""

KEPT_FREE = 4
"""One of so many threads is kept from whoever fills the others: a slow vendor never has them all."""

LOOK_AGAIN_S = 1.0
"""While calls are under way the table is looked at this often, besides at each wake-up and each end of a call."""

TELL_OTHERS_S = 1.0
"""How often a full crew wakes the other processes."""


class Crew:
    """
    The threads of one process that wait for others, made when first needed: a fork takes none with it.

    `changes` counts what may matter to whoever feeds the crew: threads that ended, and calls of `notify`.
    """

    def __init__(self, size: int, *, name: str) -> None:
        self.size = size
        self.changes = 0
        self._name = name
        self._pool: ThreadPoolExecutor | None = None
        self._busy: Counter[str] = Counter()
        self._changed = threading.Condition()

    @property
    def free(self) -> int:
        """How many threads have nothing to do."""
        with self._changed:
            return self.size - self._busy.total()

    @property
    def crowded(self) -> frozenset[str]:
        """Return who is waited for by as many threads as one may have."""
        most = max(1, self.size - self.size // KEPT_FREE)
        with self._changed:
            return frozenset(name for name, count in self._busy.items() if count >= most)

    def take(self, work: Callable[[Claim], None], claim: Claim) -> None:
        """Begin work in a free thread; its connections are closed when it ends, whatever happens."""
        with self._changed:
            self._busy[claim.waits_for] += 1
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.size, thread_name_prefix=self._name)
        self._pool.submit(self._run, work, claim)

    def wait(self, timeout_s: float, *, until: Callable[[], bool]) -> bool:
        """Wait until something is so, looking at each change; return whether it came to that."""
        with self._changed:
            return self._changed.wait_for(until, timeout_s)

    def notify(self) -> None:
        """Let those who wait look again."""
        with self._changed:
            self.changes += 1
            self._changed.notify_all()

    def _run(self, work: Callable[[Claim], None], claim: Claim) -> None:
        try:
            work(claim)
        except Exception:
            log.exception("crew.work_crashed", claim=str(claim.id))  # its lease ends, and it is claimed again
        finally:
            connections.close_all()
            with self._changed:
                self._busy[claim.waits_for] -= 1
                self.notify()


class Outbound:
    """Feeds the crew of one process from the outbox, in a thread that ends when nothing is due or under way."""

    def __init__(self, size: int) -> None:
        self.crew = Crew(size, name="outbound")
        self.begun = 0
        self._feeder: threading.Thread | None = None
        self._lock = threading.Lock()
        self._is_stopping = False
        self._others_told_at = 0.0
        self._suspect: Claim | None = None
        self._is_alone = False

    def rouse(self, *, room_within_s: float = 0.0) -> None:
        """
        Look at the outbox now; returns at once, or after a while if every thread is busy.

        A task that stays while this process is full leaves the next wake-up to another process.
        """
        with self._lock:
            self.crew.notify()
            if self._feeder is None and not self._is_stopping:
                self._feeder = threading.Thread(target=self._feed, name="outbound-feeder", daemon=True)
                self._feeder.start()
        self.crew.wait(room_within_s, until=lambda: self.crew.free > 0)

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Wait until nothing is due or under way; return whether it came to that."""
        return self.crew.wait(timeout_s, until=lambda: self._feeder is None and self.crew.free == self.crew.size)

    def stop(self, *, within_s: float) -> bool:
        """Begin nothing more and wait for what is under way; return whether all of it ended."""
        self._is_stopping = True
        self.crew.notify()
        return self.wait_until_idle(within_s)

    def _feed(self) -> None:
        try:
            while True:
                seen = self.crew.changes
                self._fill()
                if self._is_over(seen):
                    return
                self.crew.wait(LOOK_AGAIN_S, until=functools.partial(self._has_changed, seen))
        except Exception:
            log.exception("outbox.feeder_failed")  # the next wake-up, or the sweep, begins another
        finally:
            self._let_go()
            self._feeder = None
            connections.close_all()
            self.crew.notify()

    def _has_changed(self, seen: int) -> bool:
        return self.crew.changes != seen

    def _fill(self) -> None:
        """Claim what the free threads can take, and let them begin."""
        while not self._is_stopping and not self._is_kept_alone() and (free := self.crew.free):
            claims = claim_outbox(batch=free, passed_over=self.crew.crowded)
            connections.close_all()  # back to the pool, for the threads
            if any(claim.crashes for claim in claims):
                self._suspect, *others = sorted(claims, key=lambda claim: claim.crashes == 0)
                give_back_outbox(others)
                continue
            surplus = [claim for claim in claims if not self._begin(claim)]
            self.begun += len(claims) - len(surplus)
            if len(claims) == free:
                self._tell_others()
            if not surplus:
                return
            give_back_outbox(surplus)  # and look for those whom they pushed aside

    def _is_kept_alone(self) -> bool:
        """
        Let an entry that a worker died of be worked by itself: should this one die, too, no other entry is blamed.

        It waits until the crew has nothing to do, and the crew takes nothing else until it is over.
        """
        is_idle = self.crew.free == self.crew.size
        if self._suspect is None:
            self._is_alone = self._is_alone and not is_idle
        elif is_idle:
            self.crew.take(work_claim, self._suspect)
            self.begun += 1
            self._suspect, self._is_alone = None, True
        return self._is_alone or self._suspect is not None

    def _let_go(self) -> None:
        """Give back an entry that still waited to be alone."""
        if self._suspect is not None:
            give_back_outbox([self._suspect])
            self._suspect = None

    def _begin(self, claim: Claim) -> bool:
        if claim.waits_for in self.crew.crowded:
            return False
        self.crew.take(work_claim, claim)
        return True

    def _is_over(self, seen: int) -> bool:
        with self._lock:
            is_idle = self.crew.free == self.crew.size and self.crew.changes == seen and self._suspect is None
            if is_idle or self._is_stopping:
                self._feeder = None
                return True
            return False

    def _tell_others(self) -> None:
        if time.monotonic() - self._others_told_at > TELL_OTHERS_S:
            self._others_told_at = time.monotonic()
            wake("outbound")


_outbound: dict[int, Outbound] = {}


def outbound() -> Outbound:
    """Return what feeds this process's crew; each process that was forked has its own."""
    return _outbound.setdefault(os.getpid(), Outbound(settings.OUTBOUND_THREADS))


def work_outbox() -> int:
    """
    Work off what is due for at most `WORK_FOR`; return how many entries were begun.

    Without threads (OUTBOUND_THREADS=0, as tests have it) the caller works. What is left of a claim is given back, for
    its lease ends and a worker that died would be suspected.
    """
    if settings.OUTBOUND_THREADS:
        ours = outbound()
        before = ours.begun
        ours.rouse()
        ours.wait_until_idle(WORK_FOR.total_seconds())
        return ours.begun - before
    started = clock.now()
    claims = claim_outbox()
    for place, claim in enumerate(claims):
        if clock.now() - started > WORK_FOR:
            give_back_outbox(claims[place:])
            return place
        work_claim(claim)
    return len(claims)


def work_claim(claim: Claim) -> None:
    """Work off one claimed entry in its organization, or let it wait for one that is closed."""
    if claim.organization_schema and is_open(claim.organization_schema):
        with in_organization(claim.organization_schema):
            work_entry(claim)
    else:
        give_back_outbox([claim], due_at=clock.now() + LOOK_AT_CLOSED)


def work_deliveries() -> int:
    """
    Claim what is due and process it for at most `WORK_FOR`, link by link; return how many were begun.

    What is left of the claim is given back, for its lease ends and a worker that died would be suspected.
    """
    started = clock.now()
    together: dict[object, list[Claim]] = {}
    for claim in _without_suspects(claim_deliveries(batch=DELIVERIES)):
        together.setdefault(claim.link_id or claim.id, []).append(claim)
    waiting, begun = sorted(together.values(), key=len), 0  # one that came alone does not wait for five of another link
    while waiting and clock.now() - started <= WORK_FOR:
        claims = waiting.pop(0)
        process(*claims, fetch_elsewhere=_fetch_elsewhere if settings.OUTBOUND_THREADS else None)
        begun += len(claims)
    give_back_deliveries([claim for claims in waiting for claim in claims])
    return begun


def _without_suspects(claims: Sequence[Claim]) -> Sequence[Claim]:
    """
    Keep all claims, or the first alone that a worker died of: should this one die, too, no other row is blamed.

    The others are given back, as neither tried nor crashed.
    """
    suspects = [claim for claim in claims if claim.crashes]
    if not suspects:
        return claims
    give_back_deliveries([claim for claim in claims if claim is not suspects[0]])
    return suspects[:1]


_fetching: dict[int, Crew] = {}


def fetching() -> Crew:
    """Return the threads of this process that fetch what thin deliveries are about."""
    return _fetching.setdefault(os.getpid(), Crew(settings.OUTBOUND_THREADS, name="fetch"))


def finish(*, within_s: float) -> None:
    """Let the calls of this process end and begin no other; what does not end in time is claimed again."""
    outbound().stop(within_s=within_s)
    fetching().wait(within_s, until=lambda: fetching().free == fetching().size)


def _fetch_elsewhere(delivery: WebhookDelivery) -> None:
    """Let a thread wait for the vendor, or the delivery for a thread: those behind it are not held up."""
    crew = fetching()
    claim = Claim(
        delivery.id, delivery.organization_schema, delivery.link_id, delivery.lease_id or delivery.id, delivery.provider
    )
    if crew.free == 0 or delivery.provider in crew.crowded:
        give_back_deliveries([claim], due_at=clock.now() + NO_THREAD_FREE)
    else:
        crew.take(_fetch, claim)


def _fetch(claim: Claim) -> None:
    process(claim)
    wake("inbound")  # five of its link were in work at most: the next may begin
