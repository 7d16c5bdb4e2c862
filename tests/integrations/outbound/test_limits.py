"""Token buckets in a real Redis: exact under concurrency, fair between organizations, strict without Redis."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest
import redis
from django.conf import settings
from structlog.testing import capture_logs

from integrations.contract import LimitReading, RateLimit, Scope
from integrations.outbound.buckets import PART
from integrations.outbound.limits import (
    Ask,
    Brake,
    Bucket,
    Limiter,
    Limits,
    Place,
    brake_of,
    rate_and_burst,
)
from tests.integrations.outbound.conftest import SPEC


class Clock:
    """How far Redis's clock is moved."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return self.ahead_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(settings.REDIS_URL)
    yield client
    client.close()


@pytest.fixture
def name(client: redis.Redis) -> Iterator[str]:
    """A first part of keys of this test's own; what begins with it is gone afterwards."""
    name = f"org_{uuid4().hex}"
    yield name
    for key in client.scan_iter(f"*{name}*"):
        client.delete(key)


@pytest.fixture
def limiter(client: redis.Redis, clock: Clock) -> Limiter:
    return Limiter(client, ahead_s=clock)


@pytest.fixture
def bucket(name: str) -> Bucket:
    """Ten at once, and ten a second."""
    return Bucket(key=f"{name}:limit:a", scope=Scope.ACCOUNT, rate_per_s=10.0, burst=10.0)


def only(*buckets: Bucket, brakes: tuple[Brake, ...] = (), member: str = "") -> Ask:
    return Ask(member=member, brakes=brakes, buckets=buckets)


def taken(limiter: Limiter, ask: Ask, tries: int) -> int:
    """Count how many of so many tries were let through."""
    return sum(limiter.take(ask).wait_s == 0 for _ in range(tries))


class TestBuckets:
    def test_let_a_burst_through_and_name_the_wait(self, limiter: Limiter, bucket: Bucket) -> None:
        ask = only(bucket)

        assert taken(limiter, ask, 10) == 10
        grant = limiter.take(ask)

        assert 0.0 < grant.wait_s <= 0.1
        assert grant.scope is Scope.ACCOUNT

    def test_refill_with_time_and_no_further_than_the_burst(
        self, limiter: Limiter, bucket: Bucket, clock: Clock
    ) -> None:
        taken(limiter, only(bucket), 10)

        clock.ahead_s += 0.5
        after_half_a_second = taken(limiter, only(bucket), 20)
        clock.ahead_s += 3600
        after_an_hour = taken(limiter, only(bucket), 20)

        assert after_half_a_second in (5, 6)
        assert after_an_hour in (10, 11)

    def test_take_from_all_or_from_none(self, limiter: Limiter, bucket: Bucket, name: str) -> None:
        small = replace(bucket, key=f"{name}:limit:small", burst=3.0, rate_per_s=0.001, scope=Scope.RECIPIENT)

        assert taken(limiter, only(bucket, small), 8) == 3
        refused = limiter.take(only(bucket, small))

        assert refused.scope is Scope.RECIPIENT
        assert taken(limiter, only(bucket), 20) in (7, 8)

    def test_are_exact_for_fifty_threads(self, client: redis.Redis, name: str) -> None:
        ask = only(Bucket(key=f"{name}:limit:a", scope=Scope.ACCOUNT, rate_per_s=0.001, burst=500.0))
        start = threading.Barrier(50)
        limiter = Limiter(client)

        def take(_number: int) -> int:
            start.wait()
            return taken(limiter, ask, 20)

        with ThreadPoolExecutor(50) as pool:
            total = sum(pool.map(take, range(50)))

        assert total == 500

    def test_end_by_themselves(self, limiter: Limiter, bucket: Bucket, client: redis.Redis, name: str) -> None:
        shared = replace(bucket, key=f"vendor:{name}", shares=f"vendor:{name}:members", own_share=f"{name}:share")
        limiter.learn(f"{name}:brake", LimitReading(used=0.9))
        brake = Brake(key=f"{name}:brake", scope=Scope.APP, is_declared=False)
        limiter.take(only(bucket, brakes=(brake,)))
        assert taken(limiter, only(shared, member=name), 10) == 8

        keys = list(client.scan_iter(f"*{name}*"))

        assert len(keys) == 5
        assert all(client.pttl(key) > 0 for key in keys)

    def test_are_full_again_in_a_redis_that_was_flushed(
        self, limiter: Limiter, bucket: Bucket, client: redis.Redis
    ) -> None:
        taken(limiter, only(bucket), 10)

        client.delete(bucket.key)
        client.script_flush()

        assert taken(limiter, only(bucket), 12) in (10, 11)

    def test_a_clock_that_goes_back_gives_nothing(self, limiter: Limiter, bucket: Bucket, clock: Clock) -> None:
        taken(limiter, only(bucket), 10)

        clock.ahead_s -= 3600

        assert limiter.take(only(bucket)).wait_s > 0


class TestBrakes:
    @pytest.fixture
    def brake(self, name: str) -> Brake:
        return Brake(key=f"{name}:limit:brake", scope=Scope.ACCOUNT, is_declared=True)

    def test_close_until_the_vendor_said(self, limiter: Limiter, bucket: Bucket, brake: Brake, clock: Clock) -> None:
        ask = only(bucket, brakes=(brake,))

        limiter.learn(brake.key, LimitReading(wait_s=30.0))
        held = limiter.take(ask)
        clock.ahead_s += 31

        assert 29.0 < held.wait_s <= 30.0
        assert (held.scope, held.is_braked) == (Scope.ACCOUNT, True)
        assert limiter.take(ask).wait_s == 0

    def test_keep_the_longer_wait_when_answers_cross(self, limiter: Limiter, brake: Brake) -> None:
        limiter.learn(brake.key, LimitReading(wait_s=60.0))
        limiter.learn(brake.key, LimitReading(wait_s=5.0))

        assert limiter.take(only(brakes=(brake,))).wait_s > 50

    @pytest.mark.parametrize(("used", "calls"), [(0.79, 10), (0.9, 5), (0.95, 2)])
    def test_slow_a_bucket_in_proportion(self, client: redis.Redis, bucket: Bucket, used: float, calls: int) -> None:
        later = Clock()
        later.ahead_s = 1.0
        brake = Brake(key=f"{bucket.key}:brake", scope=Scope.ACCOUNT, is_declared=True)
        taken(Limiter(client), only(bucket), 10)
        Limiter(client).learn(brake.key, LimitReading(used=used, reset_s=60.0))

        assert taken(Limiter(client, ahead_s=later), only(bucket, brakes=(brake,)), 20) in (calls, calls + 1)

    def test_space_calls_where_no_limit_is_declared(self, limiter: Limiter, name: str, clock: Clock) -> None:
        brake = Brake(key=f"{name}:brake", scope=Scope.APP, is_declared=False)
        limiter.learn(brake.key, LimitReading(scope=Scope.APP, used=0.9, reset_s=60.0))

        waits = [limiter.take(only(brakes=(brake,))).wait_s for _ in range(2)]
        clock.ahead_s += 0.2

        assert waits[0] == 0.0
        assert 0.15 < waits[1] <= 0.2
        assert limiter.take(only(brakes=(brake,))).wait_s == 0.0

    def test_are_released_by_an_answer_that_has_room(self, limiter: Limiter, bucket: Bucket, brake: Brake) -> None:
        limiter.learn(brake.key, LimitReading(used=0.9, reset_s=3600.0))

        limiter.learn(brake.key, LimitReading(used=0.1, reset_s=3600.0))

        assert not limiter.take(only(bucket, brakes=(brake,))).is_braked


class TestSharing:
    """A bucket of one vendor app: 10 a second, 100 at once."""

    @pytest.fixture
    def ask_of(self, name: str) -> Callable[[str], Ask]:
        def make(organization: str) -> Ask:
            shared = Bucket(
                key=f"vendor:{name}", scope=Scope.APP, rate_per_s=10.0, burst=100.0, shares=f"vendor:{name}:members",
                own_share=f"{name}:{organization}:share",
            )  # fmt: skip
            return only(shared, member=organization)

        return make

    def test_above_half_anybody_may_take(self, limiter: Limiter, ask_of: Callable[[str], Ask]) -> None:
        assert taken(limiter, ask_of("noisy"), 50) == 50

    def test_one_alone_cannot_empty_it(self, limiter: Limiter, ask_of: Callable[[str], Ask], clock: Clock) -> None:
        total = taken(limiter, ask_of("noisy"), 300)
        for _second in range(60):
            clock.ahead_s += 1.0
            total += taken(limiter, ask_of("noisy"), 20)

        assert 600 <= total <= 50 + 30 + 600 + 60  # the test itself takes some seconds
        assert taken(limiter, ask_of("newcomer"), 3) == 3

    def test_the_quiet_is_never_refused_beside_the_noisy(
        self, limiter: Limiter, ask_of: Callable[[str], Ask], clock: Clock
    ) -> None:
        quiet: list[float] = []
        noisy = 0
        for tick in range(600):  # a minute of tenths; the quiet one asks for 4 of its 5 a second
            clock.ahead_s += 0.1
            noisy += taken(limiter, ask_of("noisy"), 5)
            if tick % 5 in (1, 3):
                quiet.append(limiter.take(ask_of("quiet")).wait_s)

        assert len(quiet) == 240
        assert quiet == [0.0] * 240
        assert 60 * 4 <= noisy <= 50 + 30 + 60 * 10 - 240 + 100

    def test_newcomers_find_their_part_however_many_come(
        self, limiter: Limiter, ask_of: Callable[[str], Ask], clock: Clock
    ) -> None:
        refused = 0
        for number in range(12):
            clock.ahead_s += 0.1
            refused += limiter.take(ask_of(f"newcomer{number}")).wait_s > 0
            for other in range(number + 1):
                taken(limiter, ask_of(f"newcomer{other}"), 60)

        assert refused == 0


class Refusing:
    """A client whose server is gone."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_gone = True

    def register_script(self, script: str) -> Callable[..., list[int]]:
        def run(**_call: object) -> list[int]:
            self.asked += 1
            if self.is_gone:
                raise redis.ConnectionError("refused")
            return [0, 0, 0]

        return run


class TestWithoutRedis:
    def test_a_server_that_is_down_makes_it_stricter(self, bucket: Bucket) -> None:
        nowhere = redis.Redis(host="127.0.0.1", port=1, socket_connect_timeout=0.2)
        limiter = Limiter(nowhere)

        with capture_logs() as logs:
            let_through = taken(limiter, only(bucket), 50)

        assert let_through == int(10 * PART)
        assert [line["event"] for line in logs] == ["limits.redis_away"]

    def test_refills_at_a_quarter_of_the_rate(self, bucket: Bucket, clock: Clock) -> None:
        limiter = Limiter(None, ahead_s=clock)
        taken(limiter, only(bucket), 10)

        clock.ahead_s += 0.8

        assert taken(limiter, only(bucket), 10) == int(0.8 * 10 * PART)

    def test_still_learns(self, bucket: Bucket, clock: Clock, name: str) -> None:
        limiter = Limiter(None, ahead_s=clock)
        brake = Brake(key=f"{name}:brake", scope=Scope.ACCOUNT, is_declared=True)

        limiter.learn(brake.key, LimitReading(wait_s=30.0))

        assert limiter.take(only(bucket, brakes=(brake,))).wait_s == pytest.approx(30.0, abs=0.5)
        clock.ahead_s += 31
        assert limiter.take(only(bucket, brakes=(brake,))).wait_s == 0

    def test_asks_once_a_second_and_says_so_once_per_outage(
        self, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gone = Refusing()
        limiter = Limiter(gone)  # type: ignore[arg-type]  # what a client does is all that is asked of it
        moment = [time.monotonic()]
        monkeypatch.setattr("integrations.outbound.limits.time.monotonic", lambda: moment[0])

        with capture_logs() as logs:
            for _try in range(30):
                limiter.take(only(bucket))
                moment[0] += 0.1
            gone.is_gone = False
            moment[0] += 2
            limiter.take(only(bucket))
            asked_when_back = gone.asked
            limiter.take(only(bucket))

        assert asked_when_back in (4, 5)
        assert gone.asked == asked_when_back + 1
        assert len(logs) == 1


class TestPlaces:
    @pytest.fixture
    def place(self) -> Place:
        return Place(
            schema="org_a", integration_id="int_1", digest_key=b"test", owners={Scope.APP: "app_1"},
            shared=frozenset({Scope.APP}),
        )  # fmt: skip

    def limits(self, place: Place, *limits: RateLimit) -> Limits:
        return Limits(replace(SPEC, limits=limits), place)

    def test_a_limit_counts_for_its_operations_alone(self, place: Place) -> None:
        limits = self.limits(place, RateLimit(scope=Scope.ACCOUNT, count=80, per_s=1.0, operations=("send",)))

        assert [bucket.key for bucket in limits.ask("send").buckets] == ["org_a:limit:int_1:account:0"]
        assert limits.ask("read").buckets == ()

    def test_a_recipient_is_a_digest_and_only_where_one_is_named(self, place: Place) -> None:
        limits = self.limits(place, RateLimit(scope=Scope.RECIPIENT, count=10, per_s=60.0, burst=45))

        first, second = (limits.ask("send", subject).buckets[0].key for subject in ("5550100", "5550101"))

        assert limits.ask("send").buckets == ()
        assert first != second
        assert first.startswith("org_a:limit:int_1:recipient:")
        assert "5550100" not in first

    def test_a_shared_app_is_the_vendors_and_its_brake_stays_ones_own(self, place: Place) -> None:
        limits = self.limits(place, RateLimit(scope=Scope.APP, count=100, per_s=1.0))
        ours, theirs = (self_limits.ask("x") for self_limits in (
            limits, self.limits(replace(place, schema="org_b", integration_id="int_2"), *limits._spec.limits)
        ))  # fmt: skip

        assert ours.buckets[0].key == theirs.buckets[0].key
        assert ours.buckets[0].key.startswith("vendor:parcel:")
        assert ours.buckets[0].own_share.startswith("org_a:share:vendor:parcel:")
        assert {brake.key for brake in ours.brakes}.isdisjoint(brake.key for brake in theirs.brakes)

    def test_a_trusted_app_shares_its_brake(self, place: Place) -> None:
        ours = self.limits(replace(place, trusted=frozenset({Scope.APP})))
        theirs = self.limits(replace(place, trusted=frozenset({Scope.APP}), schema="org_b"))

        assert ours.brake_key(Scope.APP) == theirs.brake_key(Scope.APP)
        assert ours.brake_key(Scope.ACCOUNT) != theirs.brake_key(Scope.ACCOUNT)


@pytest.mark.parametrize(
    ("limit", "rate_per_s", "burst"),
    [
        (RateLimit(scope=Scope.ACCOUNT, count=80, per_s=1.0), 72.0, 8.0),
        (RateLimit(scope=Scope.RECIPIENT, count=10, per_s=60.0, burst=45), 1 / 6, 45.0),
        (RateLimit(scope=Scope.ACCOUNT, count=3600, per_s=3600.0), 0.9, 360.0),
        (RateLimit(scope=Scope.ACCOUNT, count=1, per_s=10.0), 0.01, 1.0),
    ],
)
def test_no_window_sees_more_than_the_count(limit: RateLimit, rate_per_s: float, burst: float) -> None:
    assert rate_and_burst(limit) == pytest.approx((rate_per_s, burst))


@pytest.mark.parametrize(
    ("reading", "closed_s", "factor", "lasts_s"),
    [
        (LimitReading(used=0.5, reset_s=10.0), 0.0, 1.0, 0.0),
        (LimitReading(used=0.9, reset_s=10.0), 0.0, 0.5, 10.0),
        (LimitReading(used=0.9), 0.0, 0.5, 60.0),
        (LimitReading(used=0.9999, reset_s=10.0), 0.0, 0.01, 10.0),
        (LimitReading(used=1.0, reset_s=10.0), 10.0, 1.0, 0.0),
        (LimitReading(used=1.2), 60.0, 1.0, 0.0),
        (LimitReading(wait_s=7.0), 7.0, 1.0, 0.0),
        (LimitReading(wait_s=90_000.0), 3600.0, 1.0, 0.0),
        (LimitReading(used=1.0, reset_s=90_000.0), 3600.0, 1.0, 0.0),
    ],
)
def test_a_reading_becomes_a_brake(reading: LimitReading, closed_s: float, factor: float, lasts_s: float) -> None:
    assert brake_of(reading) == pytest.approx((closed_s, factor, lasts_s))
