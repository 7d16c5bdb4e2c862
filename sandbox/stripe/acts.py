"""What payers, banks and the Dashboard do: control routes that act on one object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from werkzeug.wrappers import Request, Response

from sandbox.frame import Refused, Route, json_answer, read_json
from sandbox.store import Document
from sandbox.stripe.charges import Charges
from sandbox.stripe.checkout import Checkout
from sandbox.stripe.errors import Declined
from sandbox.stripe.events import Events
from sandbox.stripe.intents import Intents
from sandbox.stripe.methods import DECLINES
from sandbox.stripe.payments import Payments
from sandbox.stripe.seed import ACCOUNT
from sandbox.stripe.state import Scope, State, shown
from sandbox.stripe.subscriptions import Subscriptions

OPEN = ("requires_payment_method", "requires_confirmation", "requires_action", "processing")
OUTCOMES = ("won", "lost", "warning_closed")


class Acts:
    """The handlers; each returns the object after the act."""

    def __init__(
        self, state: State, *, intents: Intents, payments: Payments, charges: Charges, subscriptions: Subscriptions,
        checkout: Checkout, events: Events,
    ) -> None:  # fmt: skip
        self._state = state
        self._intents = intents
        self._payments = payments
        self._charges = charges
        self._subscriptions = subscriptions
        self._checkout = checkout
        self._events = events
        self._advances: Mapping[str, Callable[[Scope, Document], object]] = {
            "renew": lambda scope, found: subscriptions.renew(found),
            "past_due": lambda scope, found: subscriptions.change(scope, found, status="past_due"),
            "unpaid": lambda scope, found: subscriptions.change(scope, found, status="unpaid"),
            "expire": lambda scope, found: subscriptions.change(scope, found, status="incomplete_expired"),
            "pause": lambda scope, found: subscriptions.pause(scope, found, why="trial_end_without_payment_method"),
            "resume": subscriptions.resume,
            "delete": lambda scope, found: subscriptions.end(scope, found, reason="payment_failed"),
            "trial_will_end": lambda scope, found: events.emit(scope, "customer.subscription.trial_will_end", found),
            "trial_end": lambda scope, found: subscriptions.renew(found),
        }

    def routes(self) -> Sequence[Route]:
        """Return the routes."""
        return (
            Route("POST", "/payments", self.pay_in_dashboard),
            Route("POST", "/payment_intents/{key}/pay", self.pay),
            Route("POST", "/payment_intents/{key}/decline", self.decline),
            Route("POST", "/payment_intents/{key}/expire", self.expire),
            Route("POST", "/payment_intents/{key}/refund", self.refund_in_dashboard),
            Route("POST", "/payment_intents/{key}/dispute", self.dispute),
            Route("POST", "/disputes/{key}/close", self.close_dispute),
            Route("POST", "/refunds/{key}/fail", self.fail_refund),
            Route("POST", "/refunds/{key}/succeed", self.succeed_refund),
            Route("POST", "/subscriptions/{key}/advance", self.advance),
            Route("POST", "/sessions/{key}/pay", self.pay_session),
            Route("POST", "/sessions/{key}/expire", self.expire_session),
            Route("POST", "/payouts", self.pay_out),
        )

    def pay_in_dashboard(self, request: Request) -> Response:
        """Make a payment that no API call made: {amount, currency?, account?, livemode?, description?, silent?}."""
        values = read_json(request)
        scope = Scope(account=str(values.get("account", ACCOUNT["id"])), livemode=bool(values.get("livemode")))
        settings = self._state.settings()
        if values.get("silent"):
            # Nobody is told: only a look at the list of events finds it.
            self._state.collection("settings").put("settings", settings | {"webhooks": "off"})
        facts = {"amount": int(values["amount"]), "currency": values.get("currency", "brl")}
        intent = self._intents.make(scope, facts | {"description": values.get("description")})
        self._payments.attempt(scope, intent, self._payments.methods.take(scope, "pm_card_visa"), present=True)
        self._state.collection("settings").put("settings", settings)
        return json_answer(self._shown("payment_intent", intent["id"]), status=201)

    def pay(self, request: Request, key: str) -> Response:
        """Let the payer pay: {method?: pm_card_visa|pix|…}; a PIX, boleto or 3DS that waits goes through."""
        intent = self._open(key)
        scope, method = self._state.scope_of(intent), read_json(request).get("method", "pm_card_visa")
        if intent["status"] == "requires_action":
            self._payments.succeed(scope, intent)
        else:
            found = (
                self._payments.methods.make(scope, {"type": "pix"})
                if method == "pix"
                else self._payments.methods.take(scope, method)
            )
            self._payments.tried(scope, intent, found, present=True)
        return json_answer(self._shown("payment_intent", key))

    def decline(self, request: Request, key: str) -> Response:
        """Let the payment be refused: {decline_code?}."""
        intent, code = self._open(key), read_json(request).get("decline_code", "generic_decline")
        self._payments.decline(self._state.scope_of(intent), intent, DECLINES[code])
        return json_answer(self._shown("payment_intent", key))

    def expire(self, request: Request, key: str) -> Response:
        """Let the PIX or boleto run out."""
        intent = self._open(key)
        self._payments.run_out(self._state.scope_of(intent), intent)
        return json_answer(self._shown("payment_intent", key))

    def refund_in_dashboard(self, request: Request, key: str) -> Response:
        """Refund without an API call: {amount?}."""
        charge = self._charge(key)
        refund = self._charges.refund(
            self._state.scope_of(charge), charge, amount=read_json(request).get("amount"), values={}
        )
        return json_answer(shown(refund), status=201)

    def dispute(self, request: Request, key: str) -> Response:
        """Let the payer's bank dispute the charge: {reason?}."""
        charge = self._charge(key)
        reason = read_json(request).get("reason", "fraudulent")
        return json_answer(shown(self._charges.dispute(self._state.scope_of(charge), charge, reason)), status=201)

    def close_dispute(self, request: Request, key: str) -> Response:
        """End a dispute: {outcome: won|lost|warning_closed}."""
        outcome = read_json(request).get("outcome")
        if outcome not in OUTCOMES:
            raise Refused(400, {"error": f"outcome must be one of {', '.join(OUTCOMES)}"})
        return json_answer(shown(self._charges.close_dispute(self._found("dispute", key), outcome)))

    def fail_refund(self, request: Request, key: str) -> Response:
        """Let a refund fail, also one that had succeeded: {reason?}."""
        reason = read_json(request).get("reason", "expired_or_canceled_card")
        return json_answer(shown(self._charges.settle_refund(self._found("refund", key), reason=reason)))

    def succeed_refund(self, request: Request, key: str) -> Response:
        """Let a pending refund succeed now."""
        return json_answer(shown(self._charges.settle_refund(self._found("refund", key), reason=None)))

    def advance(self, request: Request, key: str) -> Response:
        """Let time pass for a subscription: {to: renew|past_due|unpaid|pause|resume|delete|expire|trial_will_end|…}."""
        found, act = self._found("subscription", key), self._advances.get(read_json(request).get("to", ""))
        if act is None:
            raise Refused(400, {"error": f"to must be one of {', '.join(self._advances)}"})
        act(self._state.scope_of(found), found)
        return json_answer(self._shown("subscription", key))

    def pay_session(self, request: Request, key: str) -> Response:
        """Do what the payer does on the page: {method?: pm_card_visa|pm_card_chargeDeclined|pix}."""
        session = self._found("checkout.session", key)
        try:
            self._checkout.pay(session, method=read_json(request).get("method", "pm_card_visa"))
        except Declined:
            return json_answer(self._shown("checkout.session", key))
        return json_answer(self._shown("checkout.session", key))

    def expire_session(self, request: Request, key: str) -> Response:
        """End a session whose time is over."""
        return json_answer(shown(self._checkout.expire(self._found("checkout.session", key))))

    def pay_out(self, request: Request) -> Response:
        """Send money to the account's bank: {amount, currency?, status?, account?, livemode?}."""
        values = read_json(request)
        scope = Scope(account=str(values.get("account", ACCOUNT["id"])), livemode=bool(values.get("livemode")))
        status = values.get("status", "paid")
        payout = self._charges.pay_out(
            scope, amount=int(values["amount"]), currency=values.get("currency", "brl"), status=status
        )
        return json_answer(shown(payout), status=201)

    def _found(self, kind: str, key: str) -> Document:
        found = self._state.collection(kind).get(key)
        if found is None:
            raise KeyError(key)
        return found

    def _shown(self, kind: str, key: str) -> Document:
        body: Document = shown(self._found(kind, key))
        return body

    def _open(self, key: str) -> Document:
        intent = self._found("payment_intent", key)
        if intent["status"] not in OPEN:
            raise KeyError(f"{key} is {intent['status']}")
        return intent

    def _charge(self, key: str) -> Document:
        """Return the charge with this id, or the latest of the payment intent with it."""
        if key.startswith("ch_"):
            return self._found("charge", key)
        return self._found("charge", self._found("payment_intent", key)["latest_charge"] or "")
