"""Vendors that limit, fail, refuse, hang and answer nonsense (RELIABILITY section 6), over the wire."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.faults.installation import SCALE, Installation, eventually, within
from tests.faults.traffic import Business

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("faults-2")]

DEADLINE_S = 20.0
"""What a call to WhatsApp may take in all; a vendor's deadline is its own and never shortened."""

LOOKED_FOR_S = 300
"""How long a status is waited for that tells what became of a message, before it is failed."""

ASKED_S = 4
TOO_MANY = {"message": "(#130429) Rate limit hit", "type": "OAuthException", "code": 130429, "fbtrace_id": "Atest1"}

BROKEN = {"message": "(#131000) Something went wrong", "type": "OAuthException", "code": 131000, "fbtrace_id": "Atest2"}
BROKEN_WAIT_S = 2
"""What Meta asks to wait after this code, growing fourfold; like every wait of a vendor it is never shortened."""

NONSENSE = ("malformed", "html", "empty", "redirect", "gzip_bomb", "custom", "reset", "cut", "garbage")
"""What the sandbox or the proxy makes of an answer; `custom` is six megabytes of JSON."""

LATE_S = 3.0
"""Longer than a look at every business takes."""

BY_THE_PROXY = {"reset", "cut", "garbage", "drip", "swallow", "blackhole"}
TYPED = {"Unavailable", "UnexpectedResponse", "ProviderOutage"}


def connected(product: Installation, count: int) -> list[Business]:
    """Connect some businesses, one for each way to go wrong."""
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(lambda _number: Business(product).connect(), range(count)))


@pytest.fixture
def late_statuses(product: Installation) -> Iterator[None]:
    """Let statuses come late: they mend an unknown outcome faster than its error can be looked at."""
    in_time = {name: product.control("GET", "settings")[name] for name in ("sent_after_s", "delivered_after_s")}
    product.control("POST", "settings", **dict.fromkeys(in_time, LATE_S))
    yield
    product.control("POST", "settings", **in_time)


def calls_of(business: Business) -> list[float]:
    """Return the moments at which the vendor was asked to send."""
    calls = business.product.control("GET", "calls?vendor=whatsapp")["calls"]
    return sorted(call["at"] for call in calls if call["path"].startswith(business.path))


FAILURES = 5
"""In a row, that open a breaker; as many calls of one integration may be in work at once."""


def durations(business: Business) -> list[float]:
    """Return the seconds that each call to send took, as the product keeps them."""
    return [float(row) / 1000 for row in business.read("duration_ms", "public.meter_call", _sends_of(business))]


def _sends_of(business: Business) -> str:
    return f"link_id = '{business.integration}' AND operation = 'send'"


def send_and_watch(businesses: list[Business], *, within_s: float) -> list[set[str]]:
    """Send one message each and wait until all are settled; return the classes of error that showed on the way."""
    seen: list[set[str]] = [set() for _ in businesses]

    def is_over() -> bool:
        for errors, business in zip(seen, businesses, strict=True):
            errors.update(entry["error_class"] for entry in business.entries() if entry["kind"] == "message.send")
        return all(business.sent and not business.unsettled() for business in businesses)

    with ThreadPoolExecutor(2) as pool:
        sending = [pool.submit(business.send) for business in businesses]
        eventually(is_over, within_s=within_s, what="every message to be sent or failed")
        assert all(sent.result().is_taken for sent in sending)
    # An error that is mended at once may have come and gone between two looks: the calls keep it.
    return [(errors | of_calls(business)) - {""} for errors, business in zip(seen, businesses, strict=True)]


def of_calls(business: Business) -> set[str]:
    """Return the classes of error of the calls, which end and are noted though a status settled the message earlier."""
    noted = functools.partial(business.read, "error_class || '.'", "public.meter_call", _sends_of(business))
    eventually(noted, within_s=within(0, more_s=DEADLINE_S), what="the end of a call")
    return {line.removesuffix(".") for line in noted()}


def spoil(business: Business, kind: str) -> None:
    """Let the next answer be spoiled, by whoever can."""
    if kind in BY_THE_PROXY:
        business.product.proxy.spoil(business.path, kind)
    else:
        more = {"body": {"filler": "x" * 6_000_000}, "status": 200} if kind == "custom" else {}
        business.spoil(kind, moment="after", **more)


class TestLimits:
    @pytest.mark.parametrize("form", ["seconds", "date"])
    def test_429_makes_the_whole_integration_wait_as_long_as_the_vendor_says(
        self, business: Business, form: str
    ) -> None:
        other = business.new_customer()
        asked = str(ASKED_S)
        if form == "date":
            asked = format_datetime(datetime.now(UTC) + timedelta(seconds=ASKED_S + 1), usegmt=True)
        business.spoil("custom", status=429, headers={"Retry-After": asked}, body={"error": TOO_MANY})

        business.send()
        eventually(lambda: len(calls_of(business)) == 1, within_s=within(60), what="the refused call")
        eventually(lambda: business.link()["not_before"], within_s=within(60), what="the pause of the integration")
        business.send(to=other)

        business.settle(within_s=within(0, more_s=ASKED_S * 2))
        first, second, *_rest = calls_of(business)
        assert second - first >= ASKED_S - 1  # a date has no fractions
        business.assert_nothing_lost_or_doubled()
        assert sum(business.arrived().values()) == 2


class TestFailures:
    def test_5xx_is_tried_again_and_sent_once(self, business: Business) -> None:
        business.spoil("custom", status=500, body={"error": BROKEN})

        business.send()

        business.settle(within_s=within(0, more_s=2 * BROKEN_WAIT_S))
        business.assert_nothing_lost_or_doubled()
        assert sum(business.arrived().values()) == 1
        assert len(calls_of(business)) == 2

    def test_refused_connections_are_tried_again_and_sent_once(self, business: Business) -> None:
        with business.product.proxy.refusing():
            business.send()
            eventually(lambda: durations(business), within_s=within(60), what="a refused call")
            assert business.unsettled()

        business.settle(within_s=within(60))

        # At this pace the tries may be over before it listens again: then it failed, and says so.
        business.assert_nothing_lost_or_doubled()

    def test_five_failures_open_the_breaker_which_closes_by_itself(self, business: Business) -> None:
        people = [business.customer, *(business.new_customer() for _ in range(5))]
        # More than five: a call that is well, made beside the last that fails, would else be noted before it.
        business.spoil("custom", status=500, body={"error": BROKEN}, times=2 * FAILURES)

        for person in people:
            business.send(to=person)

        eventually(lambda: business.link()["breaker"] == "open", within_s=within(60), what="the breaker to open")
        business.product.control("DELETE", "faults")
        assert business.link()["breaker_reason"]
        business.settle(within_s=within(2 * 60 + 60, more_s=5 * BROKEN_WAIT_S))
        business.assert_nothing_lost_or_doubled()
        assert sum(business.arrived().values()) == len(people)
        calls = calls_of(business)
        longest = max(later - earlier for earlier, later in itertools.pairwise(calls))
        assert longest >= 60 / SCALE - 0.5
        eventually(lambda: business.link()["breaker"] == "closed", within_s=within(60), what="the breaker to close")


class TestSlowness:
    def test_every_call_ends_at_its_deadline_and_nothing_is_sent_twice(self, product: Installation) -> None:
        ways = ("drip", "swallow", "blackhole", "hang")
        by_way = dict(zip(ways, connected(product, len(ways)), strict=True))
        for way, business in by_way.items():
            spoil(business, way)

        errors = send_and_watch(list(by_way.values()), within_s=within(LOOKED_FOR_S, more_s=DEADLINE_S + 10))
        assert all(found <= TYPED | {"OutcomeUnknown"} for found in errors), dict(zip(ways, errors, strict=True))
        for way, business in by_way.items():
            business.assert_nothing_lost_or_doubled()
            assert max(durations(business)) < DEADLINE_S + 1.5, way
        arrived = {way: sum(business.arrived().values()) for way, business in by_way.items()}
        assert arrived == {"drip": 1, "swallow": 1, "blackhole": 0, "hang": 1}


class TestNonsense:
    @pytest.mark.usefixtures("late_statuses")
    def test_every_kind_ends_in_a_typed_error_and_at_most_one_message(self, product: Installation) -> None:
        by_kind = dict(zip(NONSENSE, connected(product, len(NONSENSE)), strict=True))
        for kind, business in by_kind.items():
            spoil(business, kind)

        errors = send_and_watch(list(by_kind.values()), within_s=within(LOOKED_FOR_S, more_s=LOOKED_FOR_S / SCALE))
        for (kind, business), found in zip(by_kind.items(), errors, strict=True):
            assert found, kind
            assert found <= TYPED, (kind, found)
            business.assert_nothing_lost_or_doubled()
            assert sum(business.arrived().values()) == 1, kind
