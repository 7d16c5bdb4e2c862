"""The gate over a real server: what it holds back, what it sleeps through, what it learns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.conf import settings

from core import clock
from integrations.contract import LimitReading, OutboundResponse, RateLimit, RateLimited, Scope, Unavailable
from integrations.contract.limits import read_common_limits
from integrations.outbound.breaker import BREAKER_OPEN
from integrations.outbound.gate import HELD_BACK, LimitedGate, hardest
from integrations.outbound.guard import Guard
from integrations.outbound.limits import Limiter, Limits, Place
from tests.integrations.outbound.conftest import SPEC
from tests.transport.loopback import Loopback, Script, reply

LIMITED = replace(
    SPEC,
    limits=(
        RateLimit(scope=Scope.ACCOUNT, count=20, per_s=1.0, burst=1, operations=("send",)),
        RateLimit(scope=Scope.RECIPIENT, count=1, per_s=60.0, burst=2, operations=("tell",)),
    ),
)

Serve = Callable[[Script], Loopback]
MakeGuard = Callable[..., Guard]
MakeGate = Callable[..., LimitedGate]


class Counting(redis.Redis):
    """A client that counts what it asks."""

    asked = 0

    def execute_command(self, *args: Any, **options: Any) -> Any:
        self.asked += 1
        return super().execute_command(*args, **options)


@pytest.fixture
def client() -> Iterator[Counting]:
    client = Counting.from_url(settings.REDIS_URL)
    yield client
    client.close()


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def make_gate(client: redis.Redis, slept: list[float]) -> Iterator[MakeGate]:
    """Make gates of one integration; every gate is a process of its own that knows only what Redis knows."""
    schema = f"org_{uuid4().hex}"
    clock = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    def make(circuit: Any = None, integration_id: str = "int_1") -> LimitedGate:
        place = Place(schema=schema, integration_id=integration_id, digest_key=b"test")
        limiter = Limiter(client, ahead_s=lambda: clock[0])
        return LimitedGate(limits=Limits(LIMITED, place), limiter=limiter, circuit=circuit, sleep=sleep)

    yield make
    for key in client.scan_iter(f"*{schema}*"):
        client.delete(key)


class TestLimits:
    def test_a_short_wait_is_slept_and_taken_off_the_deadline(self, make_gate: MakeGate, slept: list[float]) -> None:
        gate = make_gate()

        waits = [gate.enter("send", deadline_s=20.0) for _ in range(3)]

        assert waits[0] == 0.0
        assert all(0.0 < wait_s <= 0.051 for wait_s in waits[1:])
        assert sum(waits) == pytest.approx(sum(slept))

    def test_a_longer_wait_is_refused_before_anything_is_sent(
        self, serve: Serve, guard: MakeGuard, make_gate: MakeGate, reports: list[Any]
    ) -> None:
        server = serve(reply())
        door = guard(server.url, gate=make_gate())
        for _ in range(2):
            door.request("POST", "/", operation="tell", subject="5550100")

        with pytest.raises(RateLimited) as caught:
            door.request("POST", "/", operation="tell", subject="5550100")
        door.request("POST", "/", operation="tell", subject="5550101")

        assert (caught.value.reason, caught.value.scope) == (HELD_BACK, "recipient")
        assert 59.0 < (caught.value.retry_after_s or 0) <= 60.0
        assert "5550100" not in str(caught.value)
        assert len(server.requests) == len(reports) == 3

    def test_a_hasty_caller_sleeps_half_its_deadline_at_most(self, make_gate: MakeGate) -> None:
        gate = make_gate()
        gate.enter("send")

        with pytest.raises(RateLimited):
            gate.enter("send", deadline_s=0.02)

    def test_another_integration_has_limits_of_its_own(self, make_gate: MakeGate, slept: list[float]) -> None:
        make_gate(integration_id="int_1").enter("send")
        make_gate(integration_id="int_2").enter("send")

        assert slept == []


class TestLearning:
    def test_a_wait_that_the_vendor_names_holds_back_every_process(
        self, serve: Serve, guard: MakeGuard, make_gate: MakeGate
    ) -> None:
        server = serve(reply(b"{}", status="429 Slow", headers=("Retry-After: 30",)))
        with pytest.raises(RateLimited):
            guard(server.url, gate=make_gate()).request("GET", "/", operation="read")

        with pytest.raises(RateLimited) as caught:
            guard(server.url, gate=make_gate()).request("GET", "/", operation="read")

        assert caught.value.reason == HELD_BACK
        assert 28.0 < (caught.value.retry_after_s or 0) <= 30.0
        assert len(server.requests) == 1

    @pytest.mark.parametrize("kind", ["requests_session", "httpx_client"])
    def test_sdks_teach_too(self, serve: Serve, guard: MakeGuard, make_gate: MakeGate, kind: str) -> None:
        headers = ("X-RateLimit-Limit: 100", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 40")
        server = serve(reply(headers=headers))
        sdk = getattr(guard(server.url, gate=make_gate()), kind)()
        assert sdk.get(server.url).status_code == 200

        with pytest.raises(RateLimited) as caught:
            sdk.get(server.url)

        assert caught.value.reason == HELD_BACK
        assert len(server.requests) == 1

    def test_a_provider_that_stumbles_over_a_header_teaches_nothing(
        self, serve: Serve, guard: MakeGuard, make_gate: MakeGate
    ) -> None:
        def stumble(response: OutboundResponse) -> list[LimitReading]:
            return [LimitReading(wait_s=float(response.headers["x-usage"]))]

        server = serve(reply(headers=("X-Usage: soon",)))
        door = guard(server.url, gate=make_gate(), read_limits=stumble)

        assert [door.request("GET", "/", operation="read").status for _ in range(2)] == [200, 200]

    def test_the_hardest_reading_of_a_scope_counts(self) -> None:
        slow, closed, free = LimitReading(used=0.9), LimitReading(wait_s=5.0), LimitReading(used=0.1)

        assert hardest([free, slow, closed]) is closed
        assert hardest([free, slow]) is slow
        assert hardest([slow, LimitReading(used=0.95)]).used == 0.95

    def test_answers_with_room_cost_nothing_until_a_brake_is_on(self, make_gate: MakeGate, client: Counting) -> None:
        gate = make_gate()
        gate.enter("read")
        before = client.asked

        gate.learn([LimitReading(used=0.2)])
        quiet = client.asked - before
        gate.learn([LimitReading(used=0.9)])
        gate.enter("read")
        gate.learn([LimitReading(used=0.2)])
        gate.enter("read")

        assert quiet == 0
        assert client.asked - before >= 4


class Scripted:
    """A circuit that says what it was told."""

    def __init__(self, *, held: str = "") -> None:
        self.held = held
        self.asked: list[str] = []

    def look(self) -> None:
        self._say("look")

    def claim(self, *, at_most: timedelta) -> None:
        self._say("claim")

    def _say(self, step: str) -> None:
        self.asked.append(step)
        if step == self.held:
            raise Unavailable("open", reason=BREAKER_OPEN, retry_after_s=9.0)


class TestOrder:
    def test_an_open_breaker_costs_no_token(self, make_gate: MakeGate, slept: list[float]) -> None:
        with pytest.raises(Unavailable):
            make_gate(Scripted(held="look")).enter("send")

        make_gate().enter("send")

        assert slept == []

    def test_a_limited_call_claims_no_try(self, make_gate: MakeGate) -> None:
        circuit = Scripted()
        gate = make_gate(circuit)
        for _ in range(2):
            gate.enter("tell", subject="a")

        with pytest.raises(RateLimited):
            gate.enter("tell", subject="a")

        assert circuit.asked == ["look", "claim", "look", "claim", "look"]

    def test_a_lost_try_is_refused(self, serve: Serve, guard: MakeGuard, make_gate: MakeGate) -> None:
        server = serve(reply())

        with pytest.raises(Unavailable) as caught:
            guard(server.url, gate=make_gate(Scripted(held="claim"))).request("GET", "/", operation="read")

        assert (caught.value.reason, caught.value.retry_after_s) == (BREAKER_OPEN, 9.0)
        assert server.requests == []


def answer(status: int = 200, **headers: str) -> OutboundResponse:
    return OutboundResponse(status=status, headers={n.replace("_", "-"): v for n, v in headers.items()}, body=b"")


def seconds(readings: Any) -> list[tuple[float | None, float | None, float | None]]:
    return [
        (reading.used and round(reading.used, 3), reading.wait_s, reading.reset_s and round(reading.reset_s, 1))
        for reading in readings
    ]


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (answer(), []),
        (answer(429, retry_after="30"), [(None, 30.0, None)]),
        (answer(503, retry_after="90000"), [(None, 3600.0, None)]),
        (answer(202, retry_after="30"), []),
        (answer(429, retry_after="soon"), []),
        (answer(x_ratelimit_limit="100", x_ratelimit_remaining="10", x_ratelimit_reset="7"), [(0.9, None, 7.0)]),
        (answer(x_ratelimit_limit="100", x_ratelimit_remaining="0", x_ratelimit_reset="1000"), [(1.0, None, 1000.0)]),
        (answer(x_ratelimit_limit="100"), []),
        (answer(x_ratelimit_limit="0", x_ratelimit_remaining="0"), []),
        (answer(x_ratelimit_limit="many", x_ratelimit_remaining="few", x_ratelimit_reset="1.2.3s"), []),
        (answer(x_ratelimit_limit="5", x_ratelimit_remaining="9"), [(0.0, None, None)]),
        (
            answer(
                x_ratelimit_limit_requests="60", x_ratelimit_remaining_requests="59", x_ratelimit_reset_requests="1s",
                x_ratelimit_limit_tokens="1000", x_ratelimit_remaining_tokens="50", x_ratelimit_reset_tokens="6m0s",
            ),
            [(0.017, None, 1.0), (0.95, None, 360.0)],
        ),
        (answer(x_ratelimit_limit="10", x_ratelimit_remaining="1", x_ratelimit_reset="120ms"), [(0.9, None, 0.1)]),
        (answer(ratelimit_limit="100, 100;w=60", ratelimit_remaining="5", ratelimit_reset="8"), [(0.95, None, 8.0)]),
        (answer(ratelimit="limit=100, remaining=50, reset=5"), [(0.5, None, 5.0)]),
        (answer(ratelimit='"default";r=10;t=30', ratelimit_policy='"default";q=100;w=60'), [(0.9, None, 30.0)]),
        (answer(ratelimit="nonsense; r=, t=x"), []),
        (answer(x_ratelimit_limit="9" * 400, x_ratelimit_remaining="1"), []),
    ],
)  # fmt: skip
def test_common_headers_are_read(response: OutboundResponse, expected: list[Any]) -> None:
    assert seconds(read_common_limits(response)) == expected


def test_a_reset_may_be_a_moment() -> None:
    at = clock.now().timestamp() + 90
    texts = (str(int(at)), str(int(at * 1000)))
    read = [read_common_limits(answer(x_ratelimit_limit="2", x_ratelimit_remaining="1", x_ratelimit_reset=text))
            for text in texts]  # fmt: skip

    assert all(85 < (readings[0].reset_s or 0) <= 90 for readings in read)
