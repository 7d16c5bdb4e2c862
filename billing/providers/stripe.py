"""Stripe: payments, subscriptions, hosted pages, webhooks and Connect of one account."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar

from billing.contract import (
    AnyState,
    CheckoutRequest,
    CheckoutState,
    CustomerRequest,
    CustomerState,
    HostsCheckout,
    HostsPortal,
    KeepsCustomers,
    ListsPaymentMethods,
    Method,
    ObjectKind,
    OpensAccounts,
    PaymentMethod,
    PaymentRequest,
    PaymentState,
    Price,
    ReadsBilling,
    ReadsPaymentEvents,
    RefundRequest,
    RefundState,
    SellsSubscriptions,
    SubscriptionChange,
    SubscriptionRequest,
    SubscriptionState,
    TakesPayments,
)
from billing.providers import (
    _stripe_billing,
    _stripe_check,
    _stripe_connect,
    _stripe_events,
    _stripe_payments,
    _stripe_rules,
    _stripe_webhook,
)
from billing.providers._stripe_api import StripeApi, environment_of
from billing.providers._stripe_json import obj, text
from billing.providers._stripe_spec import SPEC
from core.secret import Secret, Secrets
from integrations.contract import (
    Account,
    AppContext,
    Attempt,
    CheckResult,
    ConnectsByOAuth,
    FetchesDetails,
    InboundEvent,
    InboundRequest,
    Outbound,
    OutboundResponse,
    Provider,
    ProviderSpec,
    ReceivesWebhooks,
    Reconciles,
    RegisteredWebhook,
    RegistersWebhook,
    SharesCallback,
    TokenSet,
    VendorError,
    WebhookState,
    read_json_object,
)


class StripeProvider(
    TakesPayments,
    ReadsBilling,
    KeepsCustomers,
    SellsSubscriptions,
    HostsCheckout,
    HostsPortal,
    ListsPaymentMethods,
    OpensAccounts,
    ReadsPaymentEvents,
    ConnectsByOAuth,
    RegistersWebhook,
    SharesCallback,
    FetchesDetails,
    ReceivesWebhooks,
    Reconciles,
    Provider,
):
    """One Stripe account: reached with its own key, or with the platform's key and the account's id."""

    spec: ClassVar[ProviderSpec] = SPEC
    methods: ClassVar[frozenset[Method]] = frozenset({Method.AUTOMATIC, Method.CARD, Method.PIX, Method.BOLETO})

    @cached_property
    def api(self) -> StripeApi:
        """The calls of this integration."""
        return StripeApi(self.integration, self.outbound)

    def check(self) -> CheckResult:
        """
        Read the account; a restricted key that may not is asked for the balance and reported as limited.

        :raises ProviderError: the key is dead, or may read neither
        """
        return _stripe_check.run_check(self.api)

    @classmethod
    def validate(cls, settings: Mapping[str, Any], secrets: Secrets) -> Mapping[str, Sequence[str]]:
        """Refuse a publishable key of the other environment, and a connected account that somebody typed."""
        key, public = secrets.get("secret_key"), str(settings.get("publishable_key") or "")
        if settings.get("account_id") and (key is not None or secrets.get("platform_key") is None):
            return {"account_id": ["An account is connected through Stripe Connect alone; leave account_id out."]}
        if key is None or not public or public.split("_")[1:2] == [environment_of(key)]:
            return {}
        return {"publishable_key": ["The publishable key and the secret key must both be test or both be live keys."]}

    @classmethod
    def read_error(cls, response: OutboundResponse) -> VendorError:
        """
        Read `error.code`, which Stripe fills by cause, or the error's type; its decline code as the subcode.

        Shape: {error: {type, code?, decline_code?, message}}; of the OAuth token endpoint {error: "code",
        error_description}.
        """
        try:
            body = json.loads(response.body)
        except (ValueError, RecursionError):
            return VendorError(status=response.status)
        answer = body if isinstance(body, dict) else {}
        facts = obj(answer, "error")
        return VendorError(
            status=response.status,
            code=text(facts, "code") or text(facts, "type") or text(answer, "error") or None,
            subcode=text(facts, "decline_code") or None,
            detail=text(facts, "message") or text(answer, "error_description"),
            trace_id=response.headers.get("request-id", ""),
        )

    @classmethod
    def verify(cls, request: InboundRequest, secrets: Sequence[Secret]) -> None:
        """
        Check Stripe-Signature over time and raw bytes; any v1 and any secret may match, v0 never does.

        :raises SignatureRefused: missing, malformed, wrong, stale or early
        """
        _stripe_webhook.verify(request, secrets)

    @classmethod
    def parse(cls, request: InboundRequest) -> Sequence[InboundEvent]:
        """
        Turn one delivery, which is one event, into ours: snapshots of any version, and thin events to be fetched.

        Shape: {id, object: "event", type, created, data: {object}, account?}; thin: object "v2.core.event" with
        related_object instead of data. An event without `account` belongs to the link that received it.
        Units: "created" is Unix seconds, ISO 8601 in thin events.

        :raises UnexpectedResponse: not JSON, or no event
        """
        return [_stripe_events.read_event(read_json_object(request.body))]

    @classmethod
    def split(cls, request: InboundRequest) -> Mapping[str, InboundRequest]:
        """Name the connected account of a delivery to the platform's endpoint; one delivery is one event."""
        return {event.account_key: request for event in cls.parse(request)}

    @classmethod
    def read_states(cls, event: InboundEvent) -> Sequence[AnyState]:
        """
        Return what an event's object says; the latest charge of a payment may come with it.

        :raises UnexpectedResponse: the object is not of the documented shape
        """
        return _stripe_events.read_states(event)

    def fetch(self, event: InboundEvent) -> InboundEvent:
        """
        Read what a thin event, or one of an invoice's payment, points to.

        :raises ProviderError: the vendor refuses, or the event is of another account
        """
        return _stripe_billing.fetch_event(self.api, event)

    def list_since(self, when: datetime) -> Iterator[InboundEvent]:
        """
        List the account's events since a moment, newest first; Stripe keeps them for 30 days.

        Source: docs.stripe.com/api/events/list, 2026-11.

        :raises UnexpectedResponse: a page is no list of events
        """
        listed = self.api.pages(
            "list_events",
            lambda client, params, options: client.v1.events.list(params, options),
            {"created": {"gte": int(when.timestamp())}},
        )
        return (_stripe_events.read_event(row) for _answer, row in listed)

    def register_webhook(self, url: str) -> RegisteredWebhook:
        """Make an endpoint of our own in our API version; a customer's own endpoint is left alone."""
        return _stripe_webhook.register(self.api, url)

    def unregister_webhook(self) -> None:
        """Remove the endpoint that we made."""
        _stripe_webhook.unregister(self.api)

    def inspect_webhook(self) -> WebhookState:
        """Ask whether an enabled endpoint in our version posts to our URL."""
        return _stripe_webhook.inspect(self.api)

    @classmethod
    def authorize_url(cls, app: AppContext, attempt: Attempt) -> str:
        """Build the address of Stripe Connect's dialog."""
        return _stripe_connect.authorize_url(app, attempt)

    @classmethod
    def exchange_code(cls, app: AppContext, outbound: Outbound, attempt: Attempt) -> TokenSet:
        """Trade the code of a returned attempt; the account's id is what is kept of it."""
        return _stripe_connect.exchange_code(app, outbound, attempt)

    @classmethod
    def list_accounts(cls, app: AppContext, outbound: Outbound, tokens: TokenSet) -> Sequence[Account]:
        """Read the account of a grant with the platform's key."""
        return _stripe_connect.list_accounts(app, outbound, tokens)

    @classmethod
    def open_account(
        cls, app: AppContext, outbound: Outbound, *, country: str, email: str, reference: str, idempotency_key: str
    ) -> Account:
        """Open an account for an organization under the platform; it can charge once its owner completed it."""
        return _stripe_connect.open_account(
            app, outbound, country=country, email=email, reference=reference, idempotency_key=idempotency_key
        )

    def create_account_link(self, *, refresh_url: str, return_url: str, idempotency_key: str) -> tuple[str, datetime]:
        """Return the single-use address where the connected account's owner completes it, and when it ends."""
        return _stripe_connect.create_account_link(
            self.api, refresh_url=refresh_url, return_url=return_url, idempotency_key=idempotency_key
        )

    def check_payment(self, request: PaymentRequest) -> None:
        """
        Check amount, payer, time and metadata against Stripe's rules.

        :raises RequestRejected: with the field, the reason and what to do
        """
        _stripe_rules.check_payment(request)

    def create_payment(self, request: PaymentRequest) -> PaymentState:
        """Make a payment intent; PIX and boleto come with their code, cards with a client secret."""
        return _stripe_payments.create(self.api, request)

    def fetch_payment(self, external_id: str) -> PaymentState:
        """Read a payment with its latest charge."""
        return _stripe_payments.fetch(self.api, external_id)

    def find_payment(self, request: PaymentRequest, *, since: datetime) -> PaymentState | None:
        """Look through the list of payments for our reference."""
        return _stripe_payments.find(self.api, request, since=since)

    def cancel_payment(self, external_id: str, *, idempotency_key: str) -> PaymentState:
        """Cancel a payment that nobody has paid."""
        return _stripe_payments.cancel(self.api, external_id, idempotency_key=idempotency_key)

    def refund_payment(self, request: RefundRequest) -> RefundState:
        """Give back part or all."""
        return _stripe_payments.refund(self.api, request)

    def fetch_object(self, kind: ObjectKind, external_id: str) -> AnyState:
        """Read one object of any kind as it is now."""
        return _stripe_billing.fetch_object(self.api, kind, external_id)

    def list_payments(self, *, since: datetime, until: datetime) -> Iterable[PaymentState]:
        """List payments created in a time, then those that events say changed in it."""
        return _stripe_payments.list_changed(self.api, since=since, until=until)

    def create_customer(self, request: CustomerRequest) -> CustomerState:
        """Make one customer."""
        return _stripe_billing.create_customer(self.api, request)

    def list_prices(self) -> Sequence[Price]:
        """List the account's active prices."""
        return _stripe_billing.list_prices(self.api)

    def create_subscription(self, request: SubscriptionRequest) -> SubscriptionState:
        """Begin a subscription as default_incomplete; the client secret confirms its first payment."""
        return _stripe_billing.create_subscription(self.api, request)

    def update_subscription(self, external_id: str, change: SubscriptionChange) -> SubscriptionState:
        """Change price, quantity, end or metadata."""
        return _stripe_billing.update_subscription(self.api, external_id, change)

    def cancel_subscription(self, external_id: str, *, idempotency_key: str) -> SubscriptionState:
        """End a subscription now."""
        return _stripe_billing.cancel_subscription(self.api, external_id, idempotency_key=idempotency_key)

    def create_checkout(self, request: CheckoutRequest) -> CheckoutState:
        """Make a page to pay on."""
        return _stripe_billing.create_checkout(self.api, request)

    def create_portal(self, *, customer: str, return_url: str, idempotency_key: str) -> str:
        """Make a page where a customer mends their subscriptions, for one visit."""
        return _stripe_billing.create_portal(
            self.api, customer=customer, return_url=return_url, idempotency_key=idempotency_key
        )

    def list_payment_methods(self) -> Sequence[PaymentMethod]:
        """List card, PIX and boleto as far as the account has them."""
        return _stripe_check.list_methods(self.api)


PROVIDER = StripeProvider
