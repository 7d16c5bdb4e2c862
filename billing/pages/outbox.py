"""The outside work of card pages, which stays inside: a page that nobody used in its time ends its payment."""

from __future__ import annotations

from audit.services import Actor
from billing.contract import PaymentStatus
from billing.models import Payment
from billing.services import card_pages
from dispatch.models import OutboxEntry
from integrations.contract import ProviderError
from integrations.models import Integration


class ExpirePage:
    """End a payment whose page is over; one that is being charged or was paid is left as it is."""

    def call(self, entry: OutboxEntry, integration: Integration | None) -> None:
        """Ask nobody: the vendor knows nothing of such a payment."""

    def settle(self, entry: OutboxEntry, integration: Integration | None, result: None) -> None:
        """Write that it expired, unless it no longer waits."""
        payment = Payment.objects.filter(pk=entry.object_id).first()
        if payment is not None and not card_pages.is_open(payment):
            card_pages.close(payment, status=PaymentStatus.EXPIRED, actor=Actor.system("card page"))

    def give_up(self, entry: OutboxEntry, integration: Integration | None, error: ProviderError) -> None:
        """Nothing is called, so that nothing can fail; the page itself is over by its time."""


EXPIRE = ExpirePage()
