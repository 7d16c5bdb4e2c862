"""
The verbs of the payments category, one mixin each.

A verb raises a ProviderError: RequestRejected with reason `payment_declined` for a declined card, Unavailable with a
reason of `strategies.NOT_CALLED` when nothing was sent, and Unavailable or UnexpectedResponse without one when the
vendor may have acted: the service then keeps the payment as processing and finds out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import ClassVar

from billing.contract.requests import (
    CheckoutRequest,
    CustomerRequest,
    Method,
    PaymentRequest,
    RefundRequest,
    StaticCodeRequest,
    SubscriptionChange,
    SubscriptionRequest,
)
from billing.contract.states import (
    AnyState,
    CheckoutState,
    CustomerState,
    Installment,
    ObjectKind,
    PaymentMethod,
    PaymentState,
    Price,
    RefundState,
    StaticCode,
    SubscriptionState,
)
from integrations.contract import Account, AppContext, Outbound


class TakesPayments(ABC):
    """Payments are made, read, cancelled and given back."""

    methods: ClassVar[frozenset[Method]]
    currencies: ClassVar[frozenset[str]] = frozenset()
    """ISO codes that it charges in; empty: every one of `core.money`."""

    needs_notification_url: ClassVar[bool] = False

    @abstractmethod
    def check_payment(self, request: PaymentRequest) -> None:
        """
        Check a request against the vendor's rules, without a call; asked before a payment is stored.

        :raises RequestRejected: with the field of the public contract, the reason and what to do
        """

    @abstractmethod
    def create_payment(self, request: PaymentRequest) -> PaymentState:
        """
        Make one payment, once for an idempotency key. A declined card is a state `failed` with its problem.

        :raises ProviderError: see this module
        """

    @abstractmethod
    def fetch_payment(self, external_id: str) -> PaymentState:
        """
        Read a payment as it is now.

        :raises NotFound: this account has no such payment
        """

    @abstractmethod
    def find_payment(self, request: PaymentRequest, *, since: datetime) -> PaymentState | None:
        """Look for the payment of a request whose answer was lost; None when the vendor has none."""

    @abstractmethod
    def cancel_payment(self, external_id: str, *, idempotency_key: str) -> PaymentState:
        """
        Cancel a payment that nobody has paid.

        :raises RequestRejected: it is too late
        """

    @abstractmethod
    def refund_payment(self, request: RefundRequest) -> RefundState:
        """Give back part or all, once for an idempotency key, however often it is asked."""


class ReadsBilling(ABC):
    """Objects are read as they are now, and listed: the repair of what webhooks missed."""

    @abstractmethod
    def fetch_object(self, kind: ObjectKind, external_id: str) -> AnyState:
        """
        Read one object as it is now.

        :raises NotFound: this account has none
        :raises RequestRejected: this vendor has no such kind; reason `unsupported`
        """

    @abstractmethod
    def list_payments(self, *, since: datetime, until: datetime) -> Iterable[PaymentState]:
        """List the payments created or changed in a time, each as it is now, any order, page by page."""


class KeepsCustomers(ABC):
    """The vendor keeps customers, who may be charged again."""

    @abstractmethod
    def create_customer(self, request: CustomerRequest) -> CustomerState:
        """Make one customer, once for an idempotency key."""


class SellsSubscriptions(ABC):
    """Payments repeat."""

    @abstractmethod
    def list_prices(self) -> Sequence[Price]:
        """List what may be subscribed to."""

    @abstractmethod
    def create_subscription(self, request: SubscriptionRequest) -> SubscriptionState:
        """Begin one, once for an idempotency key; nothing is charged before the payer confirms."""

    @abstractmethod
    def update_subscription(self, external_id: str, change: SubscriptionChange) -> SubscriptionState:
        """Change one."""

    @abstractmethod
    def cancel_subscription(self, external_id: str, *, idempotency_key: str) -> SubscriptionState:
        """End one now."""


class HostsCheckout(ABC):
    """The vendor has a page to pay on."""

    @abstractmethod
    def create_checkout(self, request: CheckoutRequest) -> CheckoutState:
        """Make a page, once for an idempotency key."""


class HostsPortal(ABC):
    """The vendor has a page where a customer mends their own subscriptions."""

    @abstractmethod
    def create_portal(self, *, customer: str, return_url: str, idempotency_key: str) -> str:
        """Return the page's address; it lives shortly and is made anew for each visit."""


class ListsPaymentMethods(ABC):
    """What the account accepts can be asked."""

    @abstractmethod
    def list_payment_methods(self) -> Sequence[PaymentMethod]:
        """List the ways to pay that are active now."""


class QuotesInstallments(ABC):
    """The vendor says what an amount costs in installments; nobody computes that here."""

    @abstractmethod
    def quote_installments(self, *, amount_minor: int, bin: str) -> Sequence[Installment]:
        """
        Return the vendor's table for a card.

        :param bin: the first 6 to 8 digits of a card
        """


class MakesStaticCodes(ABC):
    """Codes that anybody can pay any time; nobody tells whether they were."""

    @abstractmethod
    def make_static_code(self, request: StaticCodeRequest) -> StaticCode:
        """Make a code from this integration's key, without a call."""


class OpensAccounts(ABC):
    """The platform opens accounts at the vendor for organizations and sends them there to complete them."""

    @classmethod
    @abstractmethod
    def open_account(
        cls, app: AppContext, outbound: Outbound, *, country: str, email: str, reference: str, idempotency_key: str
    ) -> Account:
        """
        Open an account under the platform's app, once for an idempotency key.

        Its `settings` are what reaches it from now on. It can charge once its owner has completed it.

        :param country: ISO 3166, two letters
        :param reference: our id, kept at the vendor with the account
        :raises ProviderError: the vendor refuses, or the app lacks its key
        """

    @abstractmethod
    def create_account_link(self, *, refresh_url: str, return_url: str, idempotency_key: str) -> tuple[str, datetime]:
        """Return a single-use address where the account's owner completes it, and when it ends."""
