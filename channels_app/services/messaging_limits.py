"""
The messaging limit: how many new people one portfolio may write to first within 24 hours, over all its numbers.

Redis keeps who was written to and when, in one sorted set per portfolio, and one script looks and takes: of many
workers exactly the limit pass. The truth is in the messages. A set that is gone, or that a restart may have put back to
an earlier moment, is filled from them before anybody passes; what is in any worker's hands then counts as sent. While
Redis is away new people wait. So losing Redis makes the limit slower or stricter, never wider. Replies within the
channel's window never count.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import redis
import structlog
from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_noop
from redis.backoff import NoBackoff
from redis.retry import Retry

from channels_app.models import OUTCOME_UNKNOWN, Conversation, Direction, Message
from channels_app.services.statuses import SEND, order_key
from core import clock
from core.ids import new_id
from dispatch.models import LEASE, LinkStatus, OutboxEntry, OutboxStatus
from integrations.contract import RateLimited, Scope
from integrations.contract.strategies import HELD_BACK
from integrations.models import Integration
from integrations.services import issues
from integrations.services.entries import PARK_FOR
from tenants.context import require_organization

log = structlog.get_logger(__name__)

SPAN = timedelta(hours=24, minutes=1)
"""The vendor's rolling day, and a minute for the way of a message to it and for its clock."""

CAUSE = "messaging_limit"
"""The cause of the issue that is open while people wait."""

REACHED = gettext_noop(
    "The messaging limit is reached: %(people)s new people were written to in 24 hours, and more must wait."
)
REMEDY = gettext_noop(
    "Nothing is lost: messages wait up to three days and go out as the day passes. To write to more people, have the"
    " limit raised at the provider, or wait until they write first."
)

CLEAR_BELOW = 0.9
"""The issue is resolved when a tenth of the limit is free again; at the limit itself it would come and go."""

AGAIN_S = 10.0
"""How soon to come back where Redis was away, or lost the set once more while it was filled."""

REDIS_ANSWERS_WITHIN_S = 2.0
"""Filling a set of 100,000 people takes Redis a part of a second."""

FILLS = 3
"""A fill that Redis forgot meanwhile is made again, so often."""

UNREACHABLE = (redis.RedisError, OSError)

_MARK = """
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local mark = run .. ':' .. (redis.call('GET', KEYS[2]) or '')
"""
"""A mark that changes when Redis forgets: by its restart, which gives a new run id, and with all its other keys."""

TAKE = (
    _MARK
    + """
-- KEYS: the set of people, its nonce, those in workers' hands at its filling.
-- ARGV: now (ms), span (ms), limit, person, lease (ms).
-- A member with score 0 is the mark under which the set was filled. Answers {wait (ms), people}; {-1, 0} when it
-- is not; {-1, 1} when a place may be free, because what was in a worker's hands then has ended since.
if not redis.call('ZSCORE', KEYS[1], mark) then return {-1, 0} end
local now, span, most, lease = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[5])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(0', now - span)
local people = redis.call('ZCARD', KEYS[1]) - 1
if not redis.call('ZSCORE', KEYS[1], ARGV[4]) then
  local begun = redis.call('ZCARD', KEYS[3])
  if redis.call('ZSCORE', KEYS[3], ARGV[4]) then begun = begun - 1 end
  if people + begun >= most then
    if redis.call('ZCOUNT', KEYS[3], '-inf', now - lease) > 0 then return {-1, 1} end
    local rank = people + begun - most + 1
    local leaves = redis.call('ZRANGE', KEYS[1], rank, rank, 'WITHSCORES')
    local wait = tonumber(leaves[2] or now) + span - now
    if begun > 0 then wait = math.min(wait, lease) end
    return {math.max(1, wait), people}
  end
  people = people + 1
end
redis.call('ZADD', KEYS[1], now, ARGV[4])
redis.call('ZREM', KEYS[3], ARGV[4])
redis.call('PEXPIRE', KEYS[1], span)
redis.call('PEXPIRE', KEYS[2], span)
return {0, people}
"""
)

BEGIN = (
    """
-- KEYS: the set of people, its nonce. ARGV: span (ms), a nonce for where there is none. Answers the mark.
redis.call('SET', KEYS[2], ARGV[2], 'NX')
redis.call('PEXPIRE', KEYS[2], ARGV[1])
"""
    + _MARK
    + "return mark"
)

FILL = (
    _MARK
    + """
-- KEYS: as TAKE's. ARGV: span (ms), the mark from before the messages were read, now (ms), how many people were written
-- to, time and person of each; then the people of whom a message is in a worker's hands.
-- Whom another worker let pass meanwhile is not taken out.
if mark ~= ARGV[2] then return 0 end
redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, 0)
redis.call('DEL', KEYS[3])
local last = 4 + 2 * tonumber(ARGV[4])
for i = 5, last, 2 do redis.call('ZADD', KEYS[1], 'GT', ARGV[i], ARGV[i + 1]) end
for i = last + 1, #ARGV do
  if not redis.call('ZSCORE', KEYS[1], ARGV[i]) then redis.call('ZADD', KEYS[3], ARGV[3], ARGV[i]) end
end
redis.call('ZADD', KEYS[1], 0, mark)
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[3], ARGV[1])
return 1
"""
)


class MessagingLimitReached(RateLimited):
    """A message to a new person must wait until fewer were written to within the last day."""

    message = (
        "The messaging limit is reached: too many new people were written to in 24 hours. The message waits for a"
        " place, up to three days; to write to more people, have the limit raised at the provider."
    )
    if_given_up = "Have the messaging limit raised at the provider, or send it when fewer people are written to."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Portfolio:
    """The numbers that share a limit; `most` people a day. `window_s` is how long a person's message opens a chat."""

    name: str
    provider: str
    numbers: tuple[UUID, ...]
    most: int
    window_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """What came of asking for a place: none to wait for, and how many people have one."""

    wait_s: float
    people: int


def take_place(message: Message, *, window_s: float) -> None:
    """
    Take the place of a message's person among those that may be written to first; taking it again changes nothing.

    Runs outside any transaction, right before the message is sent; costs nothing where no limit is known.

    :param window_s: how long after a person wrote a message to them counts as an answer
    :raises MessagingLimitReached: no place is free; `retry_after_s` says when one will be
    """
    contact, integration = message.contact, message.integration
    portfolio = _portfolio_of(integration, window_s=window_s)
    if contact is None or portfolio is None:
        return
    place = _take(portfolio, _digest(contact.phone or contact.bsuid), message)
    if place is None:
        raise RateLimited(
            "the counts are not at hand; nothing was sent",
            reason=HELD_BACK, retry_after_s=AGAIN_S, scope=str(Scope.RECIPIENT),
        )  # fmt: skip
    if place.wait_s > 0:
        details = {"people": str(portfolio.most)}
        if place.people >= portfolio.most:  # else others are asking, and a moment will tell
            issues.open_issue(integration, cause=CAUSE, text=REACHED, who="user", next_action=REMEDY, details=details)
        raise MessagingLimitReached(
            f"{place.people} people of {portfolio.most}; nothing was sent",
            reason=HELD_BACK,
            retry_after_s=place.wait_s,
            scope=str(Scope.RECIPIENT),
        )
    is_clear = place.people <= CLEAR_BELOW * portfolio.most
    if is_clear and integration.issues.filter(cause=CAUSE, resolved_at=None).exists():
        issues.resolve_issues(integration, causes=[CAUSE])


def let_go_on(conversation: Conversation) -> None:
    """Let what waits for a place go on, because the person wrote and it counts no longer."""
    OutboxEntry.objects.filter(
        link_id=conversation.integration_id,
        object_key=order_key(conversation.id),
        status=OutboxStatus.WAITING,
        error_class=MessagingLimitReached.__name__,
    ).update(not_before=None)


def _portfolio_of(integration: Integration, *, window_s: float) -> _Portfolio | None:
    """
    Return the portfolio with all numbers of this organization; None where no limit is known or there is none.

    Numbers of which the portfolio was not told are counted together. Of limits that were told at different times the
    lowest of the active numbers counts.
    """
    name = str(integration.facts.get("portfolio") or "")
    siblings = Integration.objects.filter(provider=integration.provider)
    siblings = siblings.filter(facts__portfolio=name) if name else siblings.exclude(facts__has_key="portfolio")
    rows = list(siblings.values_list("pk", "status", "facts__people_per_day"))
    told = [str(limit) for pk, status, limit in rows if status == LinkStatus.ACTIVE or pk == integration.pk]
    limits = [int(limit) for limit in told if limit.isdecimal()]
    if not limits:
        return None
    return _Portfolio(
        name=name, provider=integration.provider, numbers=tuple(pk for pk, _, _ in rows), most=min(limits),
        window_s=window_s,
    )  # fmt: skip


def _take(portfolio: _Portfolio, person: str, message: Message) -> _Place | None:
    """Ask Redis, which is filled first where it lost the set; None when it is away."""
    key = f"{require_organization()}:people:{portfolio.provider}:{_digest(portfolio.name)}"
    client, keys = _redis(os.getpid()), [key, f"{key}:nonce", f"{key}:begun"]
    take = client.register_script(TAKE)
    try:
        for _ in range(1 + FILLS):
            arguments: list[int | str] = [_ms(clock.now()), _ms_of(SPAN), portfolio.most, person, _ms_of(LEASE)]
            wait_ms, people = take(keys=keys, args=arguments)
            if wait_ms >= 0:
                return _Place(wait_s=wait_ms / 1000, people=people)
            _fill(client, keys, portfolio, but=message, settles=bool(people))
    except UNREACHABLE as error:
        log.warning("messaging_limit.redis_away", error=type(error).__name__)
    return None


def _fill(client: redis.Redis, keys: list[str], portfolio: _Portfolio, *, but: Message, settles: bool) -> None:
    """
    Fill the set from the messages; without effect when Redis forgot anything since they were read.

    Somebody in a worker's hands takes up a place, but has not got it: that worker may be about to ask.

    :param settles: it is filled, and whoever had a place before is known by now, unless nobody knows what was sent
    """
    mark = client.register_script(BEGIN)(keys=keys, args=[_ms_of(SPAN), str(new_id())])
    # In this order: what is settled meanwhile is found among what was sent.
    begun = _people(_in_work(portfolio, but=but, is_surely_begun=settles))
    sent = _people(_sent(portfolio, types=but.type))
    pairs = [part for person, at in sent.items() for part in (at, person)]
    arguments = [_ms_of(SPAN), mark, _ms(clock.now()), len(sent), *pairs, *begun]
    client.register_script(FILL)(keys=keys, args=arguments)


def _sent(portfolio: _Portfolio, *, types: str) -> QuerySet[Any]:
    """Return what was sent, or may have been, within the day, outside a window that its person opened."""
    since, window = clock.now() - SPAN, timedelta(seconds=portfolio.window_s)
    wrote = Message.objects.filter(
        conversation=OuterRef("conversation"),
        direction=Direction.INBOUND,
        occurred_at__lte=OuterRef("at"),
        occurred_at__gte=OuterRef("at") - window,
    )
    is_sent = Q(sent_at__gte=since) | Q(failed_at__gte=since, error__reason=OUTCOME_UNKNOWN)
    # What was accepted earlier than it may wait cannot have been sent within the day: lets the index on it work.
    rows = _outbound(portfolio, types=types).filter(is_sent, created_at__gte=since - PARK_FOR)
    return rows.annotate(at=Coalesce("sent_at", "failed_at")).exclude(Exists(wrote))


def _in_work(portfolio: _Portfolio, *, but: Message, is_surely_begun: bool) -> QuerySet[Any]:
    """Return what is in a worker's hands, or may be at the vendor, though no row says yet that it was sent."""
    is_open = Q(status__in=[OutboxStatus.WORKING, OutboxStatus.WAITING], intent_at__isnull=False)
    begun = is_open if is_surely_begun else is_open | Q(status=OutboxStatus.WORKING)
    sends = OutboxEntry.objects.filter(begun, link_id__in=portfolio.numbers, kind=SEND)
    ids = [UUID(object_id) for object_id in sends.values_list("object_id", flat=True)]
    opened = clock.now() - timedelta(seconds=portfolio.window_s)
    is_closed = Q(conversation__last_inbound_at=None) | Q(conversation__last_inbound_at__lt=opened)
    rows = _outbound(portfolio, types=but.type).filter(is_closed, pk__in=ids).exclude(pk=but.pk)
    return rows.annotate(at=Coalesce("sent_at", "created_at"))


def _outbound(portfolio: _Portfolio, *, types: str) -> QuerySet[Any]:
    return Message.objects.filter(
        integration__in=portfolio.numbers, direction=Direction.OUTBOUND, type=types, contact__isnull=False
    )


def _people(rows: QuerySet[Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for phone, bsuid, at in rows.values_list("contact__phone", "contact__bsuid", "at").order_by("at"):
        found[_digest(phone or bsuid)] = _ms(at)
    return found


def _digest(text: str) -> str:
    """Name a person, the same at every number of the portfolio, without writing phones into Redis."""
    return hmac.new(_key(), text.encode(), hashlib.sha256).hexdigest()[:32]


@cache
def _key() -> bytes:
    return hashlib.sha256(f"messaging limits:{settings.SECRET_KEY}".encode()).digest()


@cache
def _redis(pid: int) -> redis.Redis:
    """Return this process's client: sockets do not survive a fork."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=REDIS_ANSWERS_WITHIN_S,
        socket_connect_timeout=REDIS_ANSWERS_WITHIN_S,
        retry=Retry(NoBackoff(), 0),
    )


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _ms_of(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)
