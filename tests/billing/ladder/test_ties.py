"""Claims that bear one stamp, or an older one: vendors stamp by the second, so the vendor is asked what is now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from billing.contract import PaymentStatus
from billing.models import Payment, Source
from billing.services.applying import apply_state
from billing.services.reading import READ
from core import clock
from dispatch.models import OutboxEntry
from integrations.models import Integration
from tests.billing.ladder.test_orders import AMOUNT, PART, PAYMENT, paid

SOON = timedelta(seconds=1)


def seen(integration: Integration) -> tuple[str, int]:
    """Return how the payment stands: its state and what went back."""
    payment = Payment.objects.get(integration=integration, external_id=PAYMENT)
    return payment.status, payment.amount_refunded_minor


def questions() -> int:
    """Count the questions that wait."""
    return OutboxEntry.objects.filter(kind=READ).count()


@contextmanager
def asking(count: int) -> Iterator[None]:
    """Require that so many questions come of what is done."""
    before = questions()
    yield
    assert questions() - before == count


def told(integration: Integration, state: Any) -> None:
    """Apply what a webhook says."""
    apply_state(integration, state, source=Source.WEBHOOK, source_id="evt_test_tie", is_signed=True)


def answered(integration: Integration, state: Any, *, asked_at: Any) -> None:
    """Apply what the vendor answered to a question of a time."""
    apply_state(integration, state, source=Source.QUERY, is_fetched=True, asked_at=asked_at)


@pytest.mark.django_db
class TestTie:
    def test_between_webhooks_keeps_the_higher_and_asks_once(self, integration):
        told(integration, paid(5, PaymentStatus.PROCESSING))

        with asking(1):
            told(integration, paid(5, PaymentStatus.REQUIRES_ACTION))
            told(integration, paid(5, PaymentStatus.PENDING))

        assert seen(integration) == ("processing", 0)

    def test_cannot_make_money_never_have_come(self, integration):
        told(integration, paid(5, PaymentStatus.SUCCEEDED))

        with asking(0):
            told(integration, paid(5, PaymentStatus.PROCESSING))

        assert seen(integration) == ("succeeded", 0)

    def test_goes_to_the_answer_of_now_though_money_came_back(self, integration):
        told(integration, paid(5, PaymentStatus.SUCCEEDED, refunded=PART))
        assert seen(integration) == ("partially_refunded", PART)

        with asking(0):
            answered(integration, paid(5, PaymentStatus.SUCCEEDED, refunded=0), asked_at=clock.now() + SOON)

        assert seen(integration) == ("succeeded", 0)

    def test_does_not_go_to_an_answer_that_the_row_overtook(self, integration):
        told(integration, paid(5, PaymentStatus.SUCCEEDED))
        asked_at = clock.now()
        told(integration, paid(5, PaymentStatus.SUCCEEDED, refunded=AMOUNT))

        waiting = questions()
        OutboxEntry.objects.filter(kind=READ).delete()
        answered(integration, paid(5, PaymentStatus.SUCCEEDED, refunded=0), asked_at=asked_at)

        assert seen(integration) == ("refunded", AMOUNT)
        assert (waiting, questions()) == (1, 1)

    def test_with_equal_words_asks_nobody(self, integration):
        told(integration, paid(5, PaymentStatus.SUCCEEDED, refunded=0))

        with asking(0):
            told(integration, paid(5, PaymentStatus.SUCCEEDED, refunded=0))


@pytest.mark.django_db
class TestOlderClaim:
    def test_of_money_is_asked_for_and_not_believed(self, integration):
        told(integration, paid(5, PaymentStatus.PROCESSING))

        with asking(1):
            told(integration, paid(4, PaymentStatus.SUCCEEDED))

        assert seen(integration) == ("processing", 0)

    def test_of_money_counts_when_the_vendor_confirms_it_now(self, integration):
        told(integration, paid(5, PaymentStatus.PROCESSING))

        with asking(0):
            answered(integration, paid(4, PaymentStatus.SUCCEEDED), asked_at=clock.now() + SOON)

        assert seen(integration) == ("succeeded", 0)
