"""
Fairness: what one noisy organization costs a quiet one, by the claim rule of DESIGN section 3.

The quiet one marks a message as read every 0.3 s, which is one call to a vendor that answers in 100 ms; first alone,
then beside an organization with 2,000 calls waiting. The same for webhooks that come in. One worker as the product
starts it; PostgreSQL, Redis, the vendor and the worker share the machine's cores. Alone and beside alternate, so that
the ratio compares neighbors in time. BENCH_ROUNDS sets the rounds (1; with LONG=1 5).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import UUID

from benchmarks import installation, machine, workers
from benchmarks.load import LOOPBACK
from benchmarks.report import Bar, Outcome, Spread, Table

ROUNDS = int(os.environ.get("BENCH_ROUNDS") or (5 if os.environ.get("LONG") else 1))
SAMPLES = 40
EVERY_S = 0.3
WAITING = 2_000
WAITING_INBOUND = 8_000
"""Webhooks are worked off faster: so many last as long as the quiet organization is watched."""

VENDOR_S = 0.1
MOST_RATIO = 1.2
DONE_WITHIN_S = 60.0
MARK_READ = "message.read"


@dataclass(slots=True, kw_only=True)
class Found:
    """Milliseconds at the 95th percentile of each round, alone and beside the noisy organization."""

    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> Spread:
        """How much longer it takes beside."""
        return Spread(tuple(beside / alone for alone, beside in zip(self.alone, self.beside, strict=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """An organization with an integration and one message that may be marked as read again and again."""

    link: workers.Connected
    message_id: UUID


class _Vendor(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or head and body, two writes, are 40 ms apart on a kept connection

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        time.sleep(VENDOR_S)
        body = b'{"success": true}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def measure() -> Outcome:
    """Measure both ways on one installation."""
    outward, inward, probes = Found(), Found(), []
    with installation.installed() as data_dir, _vendor() as url:
        quiet, noisy = (_organization(prefix) for prefix in ("quiet", "noisy"))
        with workers.working(data_dir, PROVIDER_URL_WHATSAPP=url, EGRESS_ALLOW=f"{LOOPBACK}:*"):
            for _ in range(ROUNDS):
                probes.append(machine.probe_ms())
                _round(outward, lambda: _p95(_send, quiet), lambda: _add(noisy, WAITING), _forget_outbox)
                _round(inward, lambda: _p95(_receive, quiet), lambda: _store(noisy, WAITING_INBOUND), _forget_inbox)
    return _outcome(outward, inward, probes)


@contextmanager
def _vendor() -> Iterator[str]:
    server = ThreadingHTTPServer((LOOPBACK, 0), _Vendor)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://{LOOPBACK}:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def _organization(prefix: str) -> Organization:
    from channels_app.models import Message
    from integrations.services.crew import work_deliveries
    from tenants.context import in_organization

    link = workers.connect(
        workers.organizations(1, prefix=prefix)[0], secrets={"access_token": "test-token", "app_secret": "test-secret"}
    )
    (delivery,) = workers.deliveries(link, range(1, 2))
    delivery.save(force_insert=True)
    work_deliveries()
    with in_organization(link.schema):
        return Organization(link=link, message_id=Message.objects.get().id)


def _round(
    found: Found, measure: Callable[[], float], make_noise: Callable[[], None], forget: Callable[[], None]
) -> None:
    found.alone.append(measure())
    make_noise()
    found.beside.append(measure())
    forget()


def _p95(begin: Callable[[Organization, int], Callable[[], float | None]], quiet: Organization) -> float:
    """Begin one piece of work after the other; return the 95th percentile of what they took, in milliseconds."""
    asked = []
    for number in range(SAMPLES):
        asked.append(begin(quiet, number))
        time.sleep(EVERY_S)
    end = time.monotonic() + DONE_WITHIN_S
    while any(ask() is None for ask in asked):
        if time.monotonic() > end:
            raise RuntimeError("the quiet organization's work is not done")
        time.sleep(0.2)
    taken = sorted(took for ask in asked if (took := ask()) is not None)
    return taken[int(0.95 * len(taken))]


def _add(organization: Organization, count: int) -> None:
    from dispatch import outbox
    from tenants.context import in_organization

    with in_organization(organization.link.schema):
        for _ in range(count):
            outbox.add(MARK_READ, link_id=organization.link.link_id, object_id=str(organization.message_id))


def _send(organization: Organization, number: int) -> Callable[[], float | None]:
    from dispatch import outbox
    from dispatch.models import OutboxEntry
    from tenants.context import in_organization

    with in_organization(organization.link.schema):
        entry = outbox.add(MARK_READ, link_id=organization.link.link_id, object_id=str(organization.message_id))

    def took() -> float | None:
        row = OutboxEntry.objects.get(pk=entry.pk)
        if row.status not in {"waiting", "working", "done"}:
            raise RuntimeError(f"{row.status}: {row.error_class} {row.error_text}")
        return 1000 * (row.done_at - row.created_at).total_seconds() if row.done_at else None

    return took


_numbers = iter(range(1_000_000, 1_000_000_000))


def _store(organization: Organization, count: int) -> None:
    from dispatch.models import WebhookDelivery
    from dispatch.waker import wake

    first = next(_numbers) * 10_000
    WebhookDelivery.objects.bulk_create(workers.deliveries(organization.link, range(first, first + count)))
    wake("inbound")


def _receive(organization: Organization, number: int) -> Callable[[], float | None]:
    from dispatch.models import WebhookDelivery
    from dispatch.waker import wake

    first = next(_numbers) * 10_000
    (delivery,) = workers.deliveries(organization.link, range(first, first + 1))
    delivery.save(force_insert=True)
    wake("inbound")

    def took() -> float | None:
        row = WebhookDelivery.objects.get(pk=delivery.pk)
        return 1000 * (row.processed_at - row.received_at).total_seconds() if row.processed_at else None

    return took


def _forget_outbox() -> None:
    from dispatch.models import OutboxEntry

    OutboxEntry.objects.all().delete()


def _forget_inbox() -> None:
    from dispatch.models import WebhookDelivery

    WebhookDelivery.objects.all().delete()


def _outcome(outward: Found, inward: Found, probes: Sequence[float]) -> Outcome:
    found = {"out, accepted to done": outward, "in, received to processed": inward}
    rows = [
        [name, Spread(tuple(one.alone)).text(), Spread(tuple(one.beside)).text(), one.ratio.text(2)]
        for name, one in found.items()
    ]
    return Outcome(
        tables=[
            Table(
                title=f"A quiet organization's p95 in ms, beside {WAITING:,} calls or {WAITING_INBOUND:,} webhooks",
                columns=["way", "alone", "beside", "ratio"],
                rows=rows,
            )
        ],
        bars=[
            Bar(
                name=f"p95 beside / alone: {name}",
                wanted=f"<= {MOST_RATIO}",
                measured=one.ratio.text(2),
                is_met=one.ratio.median <= MOST_RATIO,
            )
            for name, one in found.items()
        ],
        notes=[
            f"The vendor answers in {1000 * VENDOR_S:.0f} ms; {SAMPLES} samples, one every {EVERY_S} s.",
            f"Noise: a fixed piece of work took {Spread(tuple(probes)).text()} ms, about 30 on a quiet machine.",
        ],
        figures={
            name: {
                "alone_ms": Spread(tuple(one.alone)).figures(),
                "beside_ms": Spread(tuple(one.beside)).figures(),
                "ratio": one.ratio.figures(),
            }
            for name, one in found.items()
        },
    )
