"""New people beyond the messaging limit wait: over all numbers of a portfolio, and whatever becomes of Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db import connections
from django.db.models import Q

from channels_app.contract import MessageType
from channels_app.models import Contact, Conversation, Direction, Message, Template
from channels_app.services import messaging_limits, send_message
from channels_app.services.messaging_limits import MessagingLimitReached, take_place
from channels_app.services.statuses import SEND
from core import clock
from dispatch import outbox
from dispatch.models import LEASE, LinkStatus, OutboxEntry, OutboxStatus
from integrations.contract import RateLimited
from integrations.models import Integration, Issue
from integrations.services import links
from notifications.models import Notification
from tests.channels_app.conftest import PHONE, connected
from tests.channels_app.test_races import _clean

pytestmark = pytest.mark.xdist_group("messaging_limit")  # all workers share one Redis

MESSAGES = "/v26.0/100000000000001/messages"
DAY_S = 86_400.0
TEMPLATE = {"name": "order_update", "language": "pt_BR"}
PORTFOLIO = "700000000000001"


def stranger(number: int) -> str:
    """The phone of somebody who never wrote."""
    return f"+1555010{number:04}"


def forget() -> None:
    """Let Redis lose what the tests' organizations sent."""
    client = messaging_limits._redis(0)
    if keys := list(client.scan_iter("*:people:*")):
        client.delete(*keys)


def limit_to(integration: Any, people: str) -> None:
    """Let the check have told of a limit."""
    integration.facts = {"people_per_day": people, "portfolio": PORTFOLIO}
    integration.save()


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """Redis remembers what the database of a test rolls back."""
    forget()
    yield
    forget()


@pytest.fixture
def send(integration: Any, vendor: Any, actor: Any) -> Callable[..., Message]:
    """Send a template, or a text, to somebody; the vendor accepts everything."""
    vendor.answer("POST", MESSAGES, "send__ok")
    Template.objects.create(
        integration=integration, name="order_update", language="pt_BR", category="utility", status="approved"
    )
    limit_to(integration, "2")

    def run(to: str, *, text: str = "") -> Message:
        content: Any = {"body": text} if text else TEMPLATE
        kind = "text" if text else "template"
        return send_message(integration=integration, to=to, type=kind, content=content, actor=actor)

    return run


def states(*messages: Message) -> list[str]:
    """How far messages have come."""
    for message in messages:
        message.refresh_from_db()
    return [message.status for message in messages]


def entry_of(message: Message) -> OutboxEntry:
    """The work that sends a message."""
    return OutboxEntry.objects.get(kind=SEND, object_id=str(message.id))


def one_by_one(send: Callable[..., Message], work: Callable[[], int], *people: str) -> list[Message]:
    """Send a template to each, and let each go out before the next."""
    messages = []
    for to in people:
        messages.append(send(to))
        work()
    return messages


@pytest.mark.django_db
class TestNewPeople:
    def test_who_ask_at_once_share_what_is_left(self, send, work, later):
        messages = [send(stranger(number)) for number in range(5)]

        work()
        assert not Issue.objects.exists()  # each counted the others, of whom nobody had been written to
        later(LEASE + timedelta(seconds=5))
        work()

        assert sorted(states(*messages)) == ["queued"] * 3 + ["sent"] * 2

    def test_beyond_the_limit_wait_with_reason_and_remedy(self, send, work):
        messages = one_by_one(send, work, *map(stranger, range(3)))

        assert states(*messages) == ["sent", "sent", "queued"]
        entry = entry_of(messages[2])
        assert (entry.status, entry.attempts, entry.error_class) == ("waiting", 0, "MessagingLimitReached")
        assert "have the limit raised" in entry.error_text
        assert entry.not_before > clock.now() + timedelta(minutes=14)
        issue = Issue.objects.get()
        assert (issue.cause, issue.who, issue.details) == ("messaging_limit", "user", {"people": "2"})

    def test_go_out_when_the_day_has_passed(self, send, work, later):
        messages = one_by_one(send, work, *map(stranger, range(3)))

        later(timedelta(hours=24))
        work()
        assert states(messages[2]) == ["queued"]
        later(timedelta(minutes=20))
        work()

        assert states(messages[2]) == ["sent"]
        assert not Issue.objects.filter(resolved_at=None).exists()

    def test_who_were_written_to_today_are_not_new(self, send, work):
        messages = [send(stranger(number)) for number in (0, 1, 0, 1)]

        work()

        assert states(*messages) == ["sent"] * 4

    def test_who_write_themselves_do_not_count(self, send, work, written):
        written()
        messages = [send(PHONE), send(stranger(1)), send(stranger(2)), send(PHONE, text="Hi")]

        work()

        assert states(*messages) == ["sent"] * 4

    def test_who_write_while_they_wait_are_answered_in_order(self, send, work, written, vendor):
        messages = one_by_one(send, work, stranger(1), stranger(2), PHONE)
        assert states(messages[2]) == ["queued"]
        written()

        answer = send(PHONE, text="Here I am")
        work()

        assert states(messages[2], answer) == ["sent", "sent"]
        assert [call.json["type"] for call in vendor.calls][-2:] == ["template", "text"]

    @pytest.mark.parametrize("people", ["unlimited", ""])
    def test_are_not_counted_where_no_limit_is_known(self, send, work, integration, people):
        limit_to(integration, people)
        messages = [send(stranger(number)) for number in range(4)]

        work()

        assert states(*messages) == ["sent"] * 4

    def test_of_another_organization_have_a_limit_of_their_own(self, send, work, other_organization):
        from tenants.context import in_organization

        for number in range(3):
            send(stranger(number))
        work()

        with in_organization(other_organization):
            other = second_number()
            limit_to(other, "2")
            take_place(to_stranger(other, 5), window_s=DAY_S)


@pytest.mark.django_db
class TestPortfolio:
    def test_counts_over_its_numbers(self, send, work, integration):
        second = second_number()
        limit_to(second, "2")
        send(stranger(1))
        work()

        take_place(to_stranger(second, 2), window_s=DAY_S)
        take_place(to_stranger(second, 1), window_s=DAY_S)
        with pytest.raises(MessagingLimitReached):
            take_place(to_stranger(second, 3), window_s=DAY_S)

    def test_the_lowest_limit_told_of_an_active_number_counts(self, send, integration):
        limit_to(integration, "unlimited")
        second, gone = second_number("2"), second_number("3")
        limit_to(second, "1")
        limit_to(gone, "0")
        Integration.objects.filter(pk=gone.pk).update(status=LinkStatus.DISCONNECTED)

        take_place(to_stranger(integration, 1), window_s=DAY_S)
        with pytest.raises(MessagingLimitReached):
            take_place(to_stranger(integration, 2), window_s=DAY_S)


@pytest.mark.django_db
class TestRedis:
    def test_that_lost_all_is_filled_from_the_messages(self, send, work, written):
        written()
        send(PHONE)  # an answer: not counted when it is filled either
        send(stranger(1))
        send(stranger(2))
        work()
        forget()

        again, third = send(stranger(1)), send(stranger(3))
        work()

        assert states(again, third) == ["sent", "queued"]

    def test_that_lost_all_counts_what_is_in_a_workers_hands(self, send, work, integration):
        send(stranger(1))
        work()
        begun = to_stranger(integration, 2)
        outbox.add(SEND, link_id=integration.id, object_id=str(begun.id))
        OutboxEntry.objects.filter(object_id=str(begun.id)).update(status=OutboxStatus.WORKING)
        forget()

        with pytest.raises(MessagingLimitReached):
            take_place(to_stranger(integration, 3), window_s=DAY_S)

    def test_that_started_again_from_an_older_state_is_not_believed(self, send, work):
        messages = [send(stranger(1)), send(stranger(2))]
        work()
        client = messaging_limits._redis(0)
        (key,) = [name for name in client.scan_iter("*:people:*") if not name.endswith(b":nonce")]
        mark = client.zrangebyscore(key, 0, 0)[0]
        client.delete(key)  # a run before this one saw nobody
        client.zadd(key, {b"0" * 40 + mark[40:]: 0})

        third = send(stranger(3))
        work()

        assert states(*messages, third) == ["sent", "sent", "queued"]

    def test_that_is_away_lets_new_people_wait_and_opens_no_issue(self, send, work, monkeypatch, vendor):
        nowhere = redis.Redis(port=1, socket_connect_timeout=0.1)
        message = send(stranger(1))

        with monkeypatch.context() as patch:
            patch.setattr(messaging_limits, "_redis", lambda pid: nowhere)
            work()

        assert (states(message), vendor.calls) == (["queued"], [])
        assert entry_of(message).error_class == "RateLimited"
        assert not Issue.objects.exists()


def second_number(last: str = "2") -> Integration:
    """Another number of the organization."""
    row = Integration.objects.create(
        provider="whatsapp", name=f"Number {last}", environment="test", account_external_id=f"10000000000000{last}"
    )
    links.mirror(row)
    return row


def to_stranger(integration: Integration, number: int) -> Message:
    """A template for somebody, about to be sent."""
    contact, _ = Contact.objects.get_or_create(integration=integration, phone=stranger(number))
    conversation, _ = Conversation.objects.get_or_create(integration=integration, contact=contact)
    return Message.objects.create(
        integration=integration, contact=contact, conversation=conversation, direction=Direction.OUTBOUND,
        type=MessageType.TEMPLATE.value, content=TEMPLATE,
    )  # fmt: skip


LIMIT, PEOPLE, THREADS = 12, 40, 6


@pytest.fixture
def two_numbers(django_db_setup: None, django_db_blocker: Any) -> Iterator[Any]:
    """Two numbers of one portfolio whose rows are committed, and deleted at the end."""
    from tenants.context import in_organization
    from tenants.models import Organization

    with django_db_blocker.unblock():
        organization = Organization.objects.get(slug="acme")
        with in_organization(organization):
            numbers = [connected(), second_number()]
            for number in numbers:
                limit_to(number, str(LIMIT))
        try:
            yield organization, numbers
        finally:
            with in_organization(organization):
                OutboxEntry.objects.filter(Q(link_id=numbers[1].id) | Q(link_id=None)).delete()
                Notification.objects.all().delete()
                Issue.objects.all().delete()
                _clean(numbers[0])
                links.Link.objects.filter(pk=numbers[1].pk).delete()
                numbers[1].delete()
            connections.close_all()


class TestAtOnce:
    """Workers of both numbers, over real connections and commits."""

    def race(self, organization: Any, messages: list[Message], *, between: Callable[[int], None]) -> int:
        """Let each message ask for a place as a worker does; return how many were sent."""
        from tenants.context import in_organization

        def run(turn: int) -> bool:
            entries = OutboxEntry.objects.filter(object_id=str(messages[turn].id))
            try:
                with in_organization(organization):
                    entries.update(status=OutboxStatus.WORKING)
                    between(turn)
                    take_place(Message.objects.get(pk=messages[turn].pk), window_s=DAY_S)
                    Message.objects.filter(pk=messages[turn].pk).update(status="sent", sent_at=clock.now())
                    entries.update(status=OutboxStatus.DONE)
                    return True
            except RateLimited:
                with in_organization(organization):
                    entries.update(status=OutboxStatus.WAITING)
                return False
            finally:
                connections.close_all()

        with ThreadPoolExecutor(THREADS) as pool:
            return sum(pool.map(run, range(len(messages))))

    @pytest.fixture
    def messages(self, two_numbers: Any) -> list[Message]:
        """One for each person, by turns from both numbers."""
        from tenants.context import in_organization

        organization, numbers = two_numbers
        with in_organization(organization):
            made = [to_stranger(numbers[turn % 2], turn) for turn in range(PEOPLE)]
            for message in made:
                outbox.add(SEND, link_id=message.integration_id, object_id=str(message.id))
        return made

    def test_exactly_the_limit_passes(self, two_numbers: Any, messages: list[Message]) -> None:
        assert self.race(two_numbers[0], messages[:1], between=lambda turn: None) == 1  # fills the set

        assert self.race(two_numbers[0], messages[1:], between=lambda turn: None) == LIMIT - 1

    def test_never_more_however_often_redis_forgets(self, two_numbers: Any, messages: list[Message]) -> None:
        passed = self.race(two_numbers[0], messages, between=lambda turn: forget() if turn % 3 == 0 else None)
        passed += self.race(two_numbers[0], messages, between=lambda turn: None) if not passed else 0

        assert 1 <= passed <= LIMIT
