"""MercadoPago: payments by card, PIX and boleto, plans, hosted pages and webhooks of one seller's account."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar

from billing.contract import (
    AnyState,
    CheckoutRequest,
    CheckoutState,
    HostsCheckout,
    Installment,
    ListsPaymentMethods,
    Method,
    ObjectKind,
    PaymentMethod,
    PaymentRequest,
    PaymentState,
    Price,
    QuotesInstallments,
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
    _mercadopago_check,
    _mercadopago_oauth,
    _mercadopago_plans,
    _mercadopago_requests,
    _mercadopago_states,
    _mercadopago_webhook,
)
from billing.providers._mercadopago_api import TEST_TOKEN, MercadoPagoApi, read_error
from billing.providers._mercadopago_json import amount_minor, amount_number, items, number_text, required, segment, text
from billing.providers._mercadopago_spec import CURRENCIES, SPEC
from core import clock
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
    RefreshesTokens,
    RequestRejected,
    SharesCallback,
    TokenSet,
    VendorError,
)

_STATES = {
    "payment": _mercadopago_states.payment_states,
    "preapproval": _mercadopago_states.subscription_states,
    "authorized_payment": _mercadopago_states.invoice_states,
    "chargeback": _mercadopago_states.dispute_states,
    "merchant_order": _mercadopago_states.order_states,
}  # fmt: skip
"""Kind of a fetched object -> what it says; of other kinds nothing is kept."""

_TOPIC_OF = {
    ObjectKind.PAYMENT: "payment",
    ObjectKind.SUBSCRIPTION: "subscription_preapproval",
    ObjectKind.INVOICE: "subscription_authorized_payment",
    ObjectKind.DISPUTE: "topic_chargebacks_wh",
}
"""What can be read by its id -> the topic that says where; a refund's id alone leads nowhere."""

_BIN = re.compile("[0-9]{6,8}")


class MercadoPagoProvider(
    TakesPayments,
    ReadsBilling,
    SellsSubscriptions,
    HostsCheckout,
    ListsPaymentMethods,
    QuotesInstallments,
    ReadsPaymentEvents,
    ConnectsByOAuth,
    RefreshesTokens,
    FetchesDetails,
    SharesCallback,
    ReceivesWebhooks,
    Reconciles,
    Provider,
):
    """One seller's account, reached with its own token."""

    spec: ClassVar[ProviderSpec] = SPEC
    methods: ClassVar[frozenset[Method]] = frozenset({Method.CARD, Method.PIX, Method.BOLETO})
    currencies: ClassVar[frozenset[str]] = frozenset(CURRENCIES.values())
    needs_notification_url: ClassVar[bool] = True

    @cached_property
    def api(self) -> MercadoPagoApi:
        """The calls of this account."""
        return MercadoPagoApi(self.integration, self.outbound)

    def check(self) -> CheckResult:
        """
        Prove token, account and country: two free calls.

        :raises ProviderError: naming the field that is to blame
        """
        return _mercadopago_check.run_check(self.api)

    def probe(self) -> Account | None:
        """Read the token's own user; ask for the whole check where it is another or not well."""
        return _mercadopago_check.run_probe(self.api)

    @classmethod
    def validate(cls, settings: Mapping[str, Any], secrets: Secrets) -> Mapping[str, Sequence[str]]:
        """Refuse a public key of the other environment."""
        token, public = secrets.get("access_token"), secrets.get("public_key")
        if token is None or public is None:
            return {}
        if token.reveal().startswith(TEST_TOKEN) == public.reveal().startswith(TEST_TOKEN):
            return {}
        return {"public_key": ["The public key and the access token must both be test or both be live."]}

    @classmethod
    def read_error(cls, response: OutboundResponse) -> VendorError:
        """Read an error of any of the vendor's four forms, or of none."""
        return read_error(response)

    @classmethod
    def verify(cls, request: InboundRequest, secrets: Sequence[Secret]) -> None:
        """
        Check x-signature, and that the body, which it does not cover, names the signed id.

        :raises SignatureRefused: missing, malformed, wrong, or too old
        """
        _mercadopago_webhook.verify_signature(request, secrets)

    @classmethod
    def parse(cls, request: InboundRequest) -> Sequence[InboundEvent]:
        """
        Turn one notification into one thin event; what it says of the object is not believed.

        Shape: {id, type, action, user_id, live_mode, date_created, data: {id}}; orders have no id.

        :raises UnexpectedResponse: the body is not of the documented shape
        """
        return _mercadopago_webhook.read_events(request)

    @classmethod
    def split(cls, request: InboundRequest) -> Mapping[str, InboundRequest]:
        """Name the seller of a notification of the platform's application; each is about one seller."""
        return {event.account_key: request for event in _mercadopago_webhook.read_events(request)}

    def fetch(self, event: InboundEvent) -> InboundEvent:
        """
        Read what a notification is about and compare its seller; the key then names the object's state.

        :raises NotFound: there is none, or it is another seller's
        """
        return _mercadopago_webhook.fetch_event(self.api, event)

    @classmethod
    def read_states(cls, event: InboundEvent) -> Sequence[AnyState]:
        """Say what a fetched object says; an event that was not fetched says nothing."""
        read, thing = _STATES.get(event.data["object_type"]), event.data["object"]
        if read is None or not thing or not event.data["is_fetched"]:
            return []
        return read(thing, environment=event.data["environment"])

    def list_since(self, when: datetime) -> Iterator[InboundEvent]:
        """List payments that changed since a moment, each as it is now, with the keys that fetched events have."""
        for payment in self.api.changed_payments(since=when, until=clock.now()):
            yield _mercadopago_webhook.event_of(self.api, "payment", self._own(payment))

    def check_payment(self, request: PaymentRequest) -> None:
        """Check country, currency, payer, expiry and card; no call."""
        _mercadopago_requests.check_payment(request, country=self.api.country)

    def create_payment(self, request: PaymentRequest) -> PaymentState:
        """Make a payment; a rejected card is a state `failed`. The reference travels as `external_reference`."""
        self.check_payment(request)
        body = _mercadopago_requests.payment_body(request, country=self.api.country)
        return self._payment(
            self.api.post("/v1/payments", body, operation="create_payment", key=request.idempotency_key)
        )

    def fetch_payment(self, external_id: str) -> PaymentState:
        """Read a payment of this seller."""
        path = f"/v1/payments/{segment(external_id)}"
        return self._payment(self._own(self.api.get_object(path, operation="fetch_payment")))

    def find_payment(self, request: PaymentRequest, *, since: datetime) -> PaymentState | None:
        """Look for our reference, which one payment alone has; the search may be seconds behind."""
        found = next(self.api.find_by_reference(request.reference), None)
        return None if found is None else self.fetch_payment(required(found, "id"))

    def cancel_payment(self, external_id: str, *, idempotency_key: str) -> PaymentState:
        """Cancel what is pending or in process."""
        path, body = f"/v1/payments/{segment(external_id)}", {"status": "cancelled"}
        return self._payment(self.api.put(path, body, operation="cancel_payment", key=idempotency_key))

    def refund_payment(self, request: RefundRequest) -> RefundState:
        """Give back part or all; needs the money in the account, and up to 180 days."""
        path = f"/v1/payments/{segment(request.payment)}/refunds"
        amount = amount_number(request.amount_minor, request.currency)
        body = {} if request.is_full else {"amount": amount}
        made = self.api.post(path, body, operation="refund_payment", key=request.idempotency_key)
        return _mercadopago_states.refund_state(
            made, payment=request.payment, currency=request.currency, environment="", reference=request.reference
        )

    def fetch_object(self, kind: ObjectKind, external_id: str) -> AnyState:
        """Read a payment, subscription, invoice, dispute or checkout of this seller."""
        if kind is ObjectKind.CHECKOUT:
            path = f"/checkout/preferences/{segment(external_id)}"
            return self._checkout(self._own(self.api.get_object(path, operation="fetch_object")))
        if kind not in _TOPIC_OF:
            raise RequestRejected(f"no {kind} by its id", reason="unsupported")
        topic = _TOPIC_OF[kind]
        thing = _mercadopago_webhook.fetch_thing(self.api, topic, external_id)
        states = self.read_states(_mercadopago_webhook.event_of(self.api, topic, thing))
        return next(state for state in states if state.external_id == text(thing.get("id")))

    def list_payments(self, *, since: datetime, until: datetime) -> Iterator[PaymentState]:
        """List the payments that were created or changed in a time."""
        for payment in self.api.changed_payments(since=since, until=until):
            yield self._payment(self._own(payment))

    def list_prices(self) -> Sequence[Price]:
        """List the account's plans."""
        return _mercadopago_plans.list_prices(self.api)

    def create_subscription(self, request: SubscriptionRequest) -> SubscriptionState:
        """Begin a subscription to a plan; the payer confirms it at the state's `url`."""
        return _mercadopago_plans.create(self.api, request)

    def update_subscription(self, external_id: str, change: SubscriptionChange) -> SubscriptionState:
        """Move a subscription to another plan of the same rhythm."""
        return _mercadopago_plans.update(self.api, external_id, change)

    def cancel_subscription(self, external_id: str, *, idempotency_key: str) -> SubscriptionState:
        """End a subscription now."""
        return _mercadopago_plans.cancel(self.api, external_id, key=idempotency_key)

    def create_checkout(self, request: CheckoutRequest) -> CheckoutState:
        """Make a page to pay on, with all ways to pay of the account, its balance included."""
        _mercadopago_requests.check_checkout(request, country=self.api.country)
        body = _mercadopago_requests.preference_body(request, country=self.api.country)
        return self._checkout(
            self.api.post("/checkout/preferences", body, operation="create_checkout", key=request.idempotency_key)
        )

    def list_payment_methods(self) -> Sequence[PaymentMethod]:
        """List the ways to pay that are active in the account."""
        return _mercadopago_check.list_methods(self.api)

    def quote_installments(self, *, amount_minor: int, bin: str) -> Sequence[Installment]:
        """Return the vendor's table for the first digits of a card; nothing of it is computed here."""
        if not _BIN.fullmatch(bin):
            raise RequestRejected(
                "bin", field="bin", reason="bin_invalid", next_action="Give the card's first 6 to 8 digits, no more."
            )
        currency = CURRENCIES.get(self.api.country, "")
        params = {"amount": f"{amount_number(amount_minor, currency):f}", "bin": bin}
        tables = self.api.get("/v1/payment_methods/installments", operation="quote_installments", params=params)
        costs = next((items(table.get("payer_costs")) for table in items(tables)), [])
        return [_installment(cost, currency) for cost in costs]

    @classmethod
    def authorize_url(cls, app: AppContext, attempt: Attempt) -> str:
        """Build the address of the dialog, with PKCE."""
        return _mercadopago_oauth.authorize_url(app, attempt)

    @classmethod
    def exchange_code(cls, app: AppContext, outbound: Outbound, attempt: Attempt) -> TokenSet:
        """Trade a code for tokens, which live 180 days."""
        return _mercadopago_oauth.exchange_code(app, outbound, attempt)

    @classmethod
    def list_accounts(cls, app: AppContext, outbound: Outbound, tokens: TokenSet) -> Sequence[Account]:
        """Name the one account that a token belongs to, with its country."""
        return _mercadopago_oauth.list_accounts(outbound, tokens)

    def refresh(self) -> TokenSet:
        """Spend the refresh token; the answer holds the only one that is valid from now on."""
        return _mercadopago_oauth.refresh(self.integration, self.outbound)

    def _payment(self, payment: Mapping[str, Any]) -> PaymentState:
        return _mercadopago_states.payment_state(payment, environment=self.api.environment(payment))

    def _checkout(self, preference: Mapping[str, Any]) -> CheckoutState:
        return _mercadopago_states.checkout_state(preference, environment="")

    def _own(self, thing: Mapping[str, Any]) -> Mapping[str, Any]:
        self.api.require_own(text(thing.get("collector_id")))
        return thing


def _installment(cost: Mapping[str, Any], currency: str) -> Installment:
    return Installment(
        count=int(required(cost, "installments")),
        amount_minor=amount_minor(cost.get("installment_amount"), currency),
        total_minor=amount_minor(cost.get("total_amount"), currency),
        currency=currency,
        rate_percent=number_text(cost.get("installment_rate")) or "0",
        label=text(cost.get("recommended_message")),
    )


PROVIDER = MercadoPagoProvider
