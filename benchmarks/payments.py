"""
Payments: from an accepted Stripe webhook to the payment's row, with real processes; and what Stripe's SDK costs a web
process that does not use it.

Signed `payment_intent.succeeded` events of payments made here come at a fixed rate, whatever the answers do, to the
product's web process, once spread over five organizations, once all to one integration, which gets five of a claim
at most. One worker, as the product starts it, applies them. A payment is applied when another connection sees its row
`succeeded`, looked for every 50 ms. Web, worker, PostgreSQL, Redis and this process share the machine's cores; nothing
is called at Stripe. BENCH_SECONDS sets the length (30; with LONG=1 120), BENCH_ROUNDS the rounds (1).
"""

from __future__ import annotations

import hmac
import http.client
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from benchmarks import installation, load, machine, workers
from benchmarks.report import Bar, Outcome, Spread, Table

ROUNDS = int(os.environ.get("BENCH_ROUNDS") or 1)
SECONDS = int(os.environ.get("BENCH_SECONDS") or (120 if os.environ.get("LONG") else 30))
PER_SECOND = 50
SPREADS = {"5 organizations": 5, "1 integration": 1}
MOST_P95_MS = 2000
LOOK_EVERY_S = 0.05
SENDERS = 16
NEVER_S = 120.0
"""A payment that is not applied this long after the last event is an error, not a figure."""

SECRET = "whsec_test_bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A Stripe integration as connecting would have left it."""

    schema: str
    integration_id: UUID
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One drive; times in milliseconds, CPU in milliseconds per event."""

    accepted_p95_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    per_second: float
    web_ms: float
    worker_ms: float
    postgres_ms: float
    probe_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """A process that has loaded the product: its memory in MB before and after the SDK, and what of it was there."""

    modules: int
    before_mb: float
    after_mb: float
    import_ms: float


def measure() -> Outcome:
    """Run all rounds on a fresh installation, then look at a process that uses no Stripe."""
    numbers = itertools.count(1)
    with ExitStack() as stack:
        data_dir = stack.enter_context(installation.installed())
        shops = [_connect(schema) for schema in workers.organizations(max(SPREADS.values()), prefix="payments")]
        web_pid, port = stack.enter_context(installation.web(data_dir))
        worker_pid = stack.enter_context(workers.working(data_dir))
        pids = (web_pid, worker_pid, installation.postmaster(data_dir))
        _drive(shops, port=port, seconds=2, numbers=numbers, pids=pids)  # every process connects and prepares
        rounds: dict[str, list[Round]] = {name: [] for name in SPREADS}
        for _, (name, count) in itertools.product(range(ROUNDS), SPREADS.items()):
            rounds[name].append(_drive(shops[:count], port=port, seconds=SECONDS, numbers=numbers, pids=pids))
        idle = _idle()
    return _outcome(rounds, idle)


def _connect(schema: str) -> Shop:
    """Store an active Stripe integration with the route of its webhook; nothing is called."""
    from core.ids import new_id, new_token
    from dispatch import inbox
    from dispatch.models import Route
    from integrations.models import Integration
    from integrations.services import links
    from tenants.context import in_organization
    from vault.services import token_digest

    route_id, token = new_id(), new_token()
    sealed = inbox.seal_route_secrets(
        {"webhook_secret": SECRET}, organization_schema=schema, route_id=route_id, version=1
    )
    with in_organization(schema):
        integration = Integration.objects.create(
            provider="stripe", name="Bench", environment="test", account_external_id="acct_bench", health="healthy"
        )
        links.mirror(integration)
        Route.objects.create(
            id=route_id, organization_schema=schema, link_id=integration.pk, provider="stripe",
            token_digest=token_digest(token), secrets_version=1, sealed_secrets=sealed,
        )  # fmt: skip
    return Shop(schema=schema, integration_id=integration.pk, token=token)


def _drive(
    shops: Sequence[Shop], *, port: int, seconds: int, numbers: itertools.count[int], pids: tuple[int, int, int]
) -> Round:
    count = seconds * PER_SECOND
    names = {f"pi_3Bench{next(numbers):09}": shops[number % len(shops)] for number in range(count)}
    for shop in shops:
        _store(shop, [name for name, found in names.items() if found is shop])
    probe_ms, before = machine.probe_ms(), [machine.cpu_s(pid) for pid in pids]
    seen: dict[str, float] = {}
    watcher = threading.Thread(target=_watch, args=(names, seen))
    started = time.perf_counter()
    watcher.start()
    sent = _send(names, port=port, started=started)
    watcher.join()
    used = [1000 * (machine.cpu_s(pid) - was) / count for pid, was in zip(pids, before, strict=True)]
    if missing := names.keys() - seen.keys():
        raise load.Broken(f"{len(missing)} of {count} payments were not applied within {NEVER_S:.0f} s")
    applied = sorted(1000 * max(0.0, seen[name] - answered) for name, (_begun, answered) in sent.items())
    return Round(
        accepted_p95_ms=_percentile(sorted(1000 * (answered - begun) for begun, answered in sent.values()), 0.95),
        p50_ms=_percentile(applied, 0.50),
        p95_ms=_percentile(applied, 0.95),
        p99_ms=_percentile(applied, 0.99),
        per_second=count / (max(answered for _begun, answered in sent.values()) - started),
        web_ms=used[0],
        worker_ms=used[1],
        postgres_ms=used[2],
        probe_ms=probe_ms,
    )


def _store(shop: Shop, names: Sequence[str]) -> None:
    """Store payments that wait for their payers."""
    from billing.models import Payment
    from tenants.context import in_organization

    with in_organization(shop.schema):
        Payment.objects.bulk_create(
            Payment(
                integration_id=shop.integration_id, external_id=name, status="requires_action", amount_minor=4990,
                currency="BRL", method="card",
            )
            for name in names
        )  # fmt: skip


def _send(names: Mapping[str, Shop], *, port: int, started: float) -> dict[str, tuple[float, float]]:
    """Post one event at each of its moments; return when each was due and when it was accepted."""
    connections = threading.local()
    sent: dict[str, tuple[float, float]] = {}

    def post(number: int, name: str) -> None:
        due = started + number / PER_SECOND
        time.sleep(max(0.0, due - time.perf_counter()))
        if not hasattr(connections, "open"):
            connections.open = http.client.HTTPConnection(load.LOOPBACK, port, timeout=load.ANSWER_WITHIN_S)
        body, headers = _signed(name)
        connections.open.request("POST", f"/webhooks/stripe/{names[name].token}/", body, headers)
        answer = connections.open.getresponse()
        answer.read()
        if answer.status != 200:
            raise load.Broken(f"an event was answered {answer.status}")
        sent[name] = due, time.perf_counter()

    with ThreadPoolExecutor(SENDERS) as senders:
        for done in [senders.submit(post, number, name) for number, name in enumerate(names)]:
            done.result()
    return sent


def _signed(name: str) -> tuple[bytes, dict[str, str]]:
    """Compose the event of a payment that succeeded, in Stripe's shape, and sign it now."""
    now = int(time.time())
    intent: dict[str, Any] = {
        "id": name, "object": "payment_intent", "amount": 4990, "amount_received": 4990, "currency": "brl",
        "status": "succeeded", "livemode": False, "latest_charge": name.replace("pi_", "ch_"),
        "payment_method_types": ["card"], "metadata": {}, "created": now - 60,
    }  # fmt: skip
    event = {
        "id": name.replace("pi_", "evt_"), "object": "event", "type": "payment_intent.succeeded", "created": now,
        "api_version": "2026-10-28.endive", "livemode": False, "data": {"object": intent}, "pending_webhooks": 1,
    }  # fmt: skip
    body = json.dumps(event).encode()
    digest = hmac.digest(SECRET.encode(), f"{now}.".encode() + body, "sha256").hex()
    return body, {"Content-Type": "application/json", "Stripe-Signature": f"t={now},v1={digest}"}


def _watch(names: Mapping[str, Shop], seen: dict[str, float]) -> None:
    """Note when each payment is seen as paid, in whichever organization it is."""
    end = time.perf_counter() + SECONDS + NEVER_S
    waiting: dict[Shop, set[str]] = {}
    for name, shop in names.items():
        waiting.setdefault(shop, set()).add(name)
    while any(waiting.values()) and time.perf_counter() < end:
        for shop, wanted in waiting.items():
            found = _paid(shop, wanted)
            wanted.difference_update(found)
            seen.update(dict.fromkeys(found, time.perf_counter()))
        time.sleep(LOOK_EVERY_S)


def _paid(shop: Shop, names: set[str]) -> set[str]:
    from billing.models import Payment
    from tenants.context import in_organization

    with in_organization(shop.schema):
        paid = Payment.objects.filter(status="succeeded", external_id__in=names)
        return set(paid.values_list("external_id", flat=True))


_LOADED = """
import sys, time
import django
django.setup()
from django.urls import get_resolver
from integrations import registry
registry.load()
assert "stripe" in registry.providers()
def walk(patterns):
    for found in patterns:
        walk(getattr(found, "url_patterns", ()))
walk(get_resolver().url_patterns)
def rss_mb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1024
modules = sum(name == "stripe" or name.startswith("stripe.") for name in sys.modules)
before, started = rss_mb(), time.perf_counter()
import stripe
stripe.StripeClient("sk_test_bench").v1.payment_intents
print(modules, before, rss_mb(), 1000 * (time.perf_counter() - started))
"""


def _idle() -> Idle:
    """Load all providers and all URLs in a fresh process, look for the SDK, then import it."""
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings.base"}
    ran = subprocess.run((sys.executable, "-c", _LOADED), env=environment, capture_output=True, text=True, check=True)
    modules, before, after, took = ran.stdout.split()[-4:]
    return Idle(modules=int(modules), before_mb=float(before), after_mb=float(after), import_ms=float(took))


COLUMNS = {
    "events/s": ("per_second", 1),
    "accepted p95 ms": ("accepted_p95_ms", 0),
    "applied p50 ms": ("p50_ms", 0),
    "p95 ms": ("p95_ms", 0),
    "p99 ms": ("p99_ms", 0),
    "CPU web": ("web_ms", 2),
    "CPU worker": ("worker_ms", 2),
    "CPU postgres": ("postgres_ms", 2),
}


def _outcome(rounds: Mapping[str, Sequence[Round]], idle: Idle) -> Outcome:
    rows = [
        [spread, *(_spread(found, name).text(digits) for name, digits in COLUMNS.values())]
        for spread, found in rounds.items()
    ]
    probes = Spread(tuple(one.probe_ms for found in rounds.values() for one in found))
    return Outcome(
        tables=[
            Table(
                title=f"Signed Stripe events for {SECONDS} s, accepted to applied",
                columns=["to", *COLUMNS],
                rows=rows,
            ),
            Table(
                title="A process with all providers and URLs loaded, before and after `import stripe`",
                columns=["modules of stripe before", "RSS before, MB", "after", "import ms"],
                rows=[[str(idle.modules), f"{idle.before_mb:.1f}", f"{idle.after_mb:.1f}", f"{idle.import_ms:.0f}"]],
            ),
        ],
        bars=[
            *(_bar(spread, _spread(found, "p95_ms")) for spread, found in rounds.items()),
            Bar(
                name="modules of stripe in a process that does not use it", wanted="0", measured=str(idle.modules),
                is_met=idle.modules == 0,
            ),
        ],
        notes=[
            f"Payments are looked at every {1000 * LOOK_EVERY_S:.0f} ms, inside the times. CPU in ms per event.",
            f"Noise: the probe took {probes.text(1)} ms; it is a fixed piece of work, about 30 ms on a quiet machine.",
            f"{ROUNDS} rounds, median (lowest..highest), at {PER_SECOND} events/s whatever the answers do.",
        ],
        figures={
            **{
                spread: {name: _spread(found, name).figures() for name, _digits in COLUMNS.values()}
                for spread, found in rounds.items()
            },
            "probe_ms": probes.figures(),
            "stripe_modules": idle.modules,
            "rss_mb": {"before": round(idle.before_mb, 1), "after": round(idle.after_mb, 1)},
        },
    )  # fmt: skip


def _bar(spread: str, p95: Spread) -> Bar:
    wanted = f"< {MOST_P95_MS:,} at {PER_SECOND}/s"
    is_met = p95.median < MOST_P95_MS
    return Bar(name=f"accepted to applied, p95 ms, {spread}", wanted=wanted, measured=p95.text(), is_met=is_met)


def _spread(rounds: Sequence[Round], name: str) -> Spread:
    return Spread(tuple(getattr(found, name) for found in rounds))


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
