"""Run the work that is due: webhooks to send, statuses that follow, reviews that end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from sandbox.store import Document, Job, Store

# A handler gets the body and the number of earlier tries; it returns the seconds until the next try, or None when done.
Handler = Callable[[Document, int], float | None]

# Meta calls in parallel and an answer may take seconds: a slow receiver must not hold up the others.
THREADS = 4
LONGEST_NAP_S = 5.0

log = logging.getLogger("sandbox")


class Runner:
    """Threads that take due jobs from the store, oldest first."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._handlers: dict[tuple[str, str], Handler] = {}
        self._wake = threading.Condition()
        self._stopping = False
        self._scheduled = 0
        self._threads = [threading.Thread(target=self._work, daemon=True, name=f"job-{n}") for n in range(THREADS)]

    def handle(self, *, vendor: str, name: str, handler: Handler) -> None:
        """Say who does the jobs of this name."""
        self._handlers[vendor, name] = handler

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let the threads finish what they do and end; jobs not done stay in the store."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        for thread in self._threads:
            thread.join(timeout=2)

    def schedule(self, *, vendor: str, name: str, body: Document, after_s: float = 0.0) -> None:
        """Write a job down and wake a thread."""
        self._store.add_job(vendor=vendor, name=name, body=body, due_at=time.time() + after_s)
        with self._wake:
            self._scheduled += 1
            self._wake.notify()

    def _work(self) -> None:
        while not self._stopping:
            seen = self._scheduled
            job = self._store.take_job(now=time.time())
            if job is None:
                self._nap(seen)
            else:
                self._do(job)

    def _do(self, job: Job) -> None:
        try:
            again_after_s = self._handlers[job.vendor, job.name](job.body, job.attempts)
        except Exception:
            log.exception("a job of the sandbox failed and is dropped")
            again_after_s = None
        if again_after_s is None:
            self._store.finish_job(job)
        else:
            self._store.postpone_job(job, due_at=time.time() + again_after_s)

    def _nap(self, seen: int) -> None:
        # The store is asked before the condition is entered: schedule() may be called by a holder of the store's lock.
        due_at = self._store.next_due_at()
        nap_s = LONGEST_NAP_S if due_at is None else min(max(due_at - time.time(), 0.0), LONGEST_NAP_S)
        with self._wake:
            if nap_s and self._scheduled == seen and not self._stopping:
                self._wake.wait(nap_s)
