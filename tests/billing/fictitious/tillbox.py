"""
Tillbox, a payment vendor that does not exist: it does all that the contract knows, by plain JSON.

The provider is registered for one test; its vendor is `tests.billing.fictitious.vendor.Till`, behind the real guard.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from billing.contract import (
    ActionKind,
    AnyState,
    CheckoutRequest,
    CheckoutState,
    CustomerRequest,
    CustomerState,
    HostsCheckout,
    HostsPortal,
    Installment,
    KeepsCustomers,
    ListsPaymentMethods,
    MakesStaticCodes,
    Method,
    NextAction,
    ObjectKind,
    OpensAccounts,
    PaymentMethod,
    PaymentRequest,
    PaymentState,
    PaymentStatus,
    Price,
    Problem,
    QuotesInstallments,
    ReadsBilling,
    RefundRequest,
    RefundState,
    RefundStatus,
    SellsSubscriptions,
    StaticCode,
    StaticCodeRequest,
    SubscriptionChange,
    SubscriptionRequest,
    SubscriptionState,
    SubscriptionStatus,
    TakesPayments,
)
from core.secret import Secret
from integrations.contract import (
    Account,
    AccountKey,
    ApiKeyAuth,
    AppContext,
    AuthenticationFailed,
    Category,
    CheckResult,
    DataFlow,
    ErrorRule,
    Field,
    FieldKind,
    NotFound,
    Outbound,
    OutboundResponse,
    Priority,
    Provider,
    ProviderSpec,
    RequestRejected,
    UsageUnit,
    VendorError,
    Verdict,
    read_json_object,
)

SMALLEST_MINOR = 50

SPEC = ProviderSpec(
    key="tillbox",
    label="Tillbox",
    category=Category.PAYMENTS,
    priority=Priority.SPECIAL,
    docs_url="https://docs.tillbox.example",
    api_version="2026-11",
    auth=ApiKeyAuth(field="api_key"),
    credentials=(
        Field(name="api_key", label="API key", kind=FieldKind.SECRET, required=True, pattern=r"tk_test_\w+",
              help="Settings > API.", example="tk_test_1"),
    ),
    hosts={"api": "https://api.tillbox.example/v1"},
    errors=(
        ErrorRule(error=AuthenticationFailed, statuses=(401,)),
        ErrorRule(error=RequestRejected, codes=("declined",), reason="payment_declined"),
        ErrorRule(error=NotFound, statuses=(404,)),
    ),
    usage=(UsageUnit(name="payments", label="Payments"),),
    data=(
        DataFlow(data="payer's name", subjects="payers", purpose="to charge", country="Nowhere",
                 mechanism="standard contractual clauses"),
    ),
)  # fmt: skip


class TillboxProvider(
    TakesPayments,
    ReadsBilling,
    KeepsCustomers,
    SellsSubscriptions,
    HostsCheckout,
    HostsPortal,
    ListsPaymentMethods,
    QuotesInstallments,
    MakesStaticCodes,
    OpensAccounts,
    Provider,
):
    """One merchant of Tillbox."""

    spec: ClassVar[ProviderSpec] = SPEC
    methods: ClassVar[frozenset[Method]] = frozenset({Method.AUTOMATIC, Method.CARD, Method.PIX})
    currencies: ClassVar[frozenset[str]] = frozenset({"BRL", "JPY", "KWD"})

    def check(self) -> CheckResult:
        """Show whose key it is."""
        merchant = self._call("GET", "/me", "check")["merchant"]
        return CheckResult(
            account=Account(external_id=merchant, label=merchant),
            account_keys=(AccountKey(value=f"merchant:{merchant}"),),
            verdicts=(Verdict(capability="takes_payments", ok=True),),
            environment="test",
        )

    @classmethod
    def read_error(cls, response: OutboundResponse) -> VendorError:
        """Read `code` and `text`."""
        facts = read_json_object(response.body)
        return VendorError(status=response.status, code=facts.get("code"), detail=str(facts.get("text", "")))

    def check_payment(self, request: PaymentRequest) -> None:
        """Tillbox takes no small change, and names of cards only as tokens."""
        if request.amount_minor < SMALLEST_MINOR:
            raise RequestRejected("small", field="amount_minor", next_action="Charge 50 minor units at least.")
        if request.method is Method.CARD and request.card is None:
            raise RequestRejected("no token", field="card.token", next_action="Give the card's token.")

    def create_payment(self, request: PaymentRequest) -> PaymentState:
        """Make a payment."""
        body = {
            "amount": request.amount_minor,
            "currency": request.currency,
            "method": request.method.value,
            "reference": request.reference,
            "token": request.card.token.reveal() if request.card else None,
            "customer": request.customer,
            "ends_at": request.expires_at.isoformat() if request.expires_at else None,
        }
        return _payment(self._call("POST", "/payments", "create_payment", body, key=request.idempotency_key))

    def fetch_payment(self, external_id: str) -> PaymentState:
        """Read a payment."""
        return _payment(self._call("GET", f"/payments/{external_id}", "fetch_payment"))

    def find_payment(self, request: PaymentRequest, *, since: datetime) -> PaymentState | None:
        """Find a payment by our reference."""
        found = self._call("GET", "/payments", "find_payment", params={"reference": request.reference})["data"]
        return _payment(found[0]) if found else None

    def cancel_payment(self, external_id: str, *, idempotency_key: str) -> PaymentState:
        """Cancel a payment."""
        return _payment(self._call("POST", f"/payments/{external_id}/cancel", "cancel_payment", key=idempotency_key))

    def refund_payment(self, request: RefundRequest) -> RefundState:
        """Give back."""
        body = {"payment": request.payment, "amount": request.amount_minor, "reference": request.reference}
        return _refund(self._call("POST", "/refunds", "refund_payment", body, key=request.idempotency_key))

    def fetch_object(self, kind: ObjectKind, external_id: str) -> AnyState:
        """Read an object."""
        found = self._call("GET", f"/{_PLURAL[kind]}/{external_id}", "fetch_object")
        return _READERS[kind](found)

    def list_payments(self, *, since: datetime, until: datetime) -> Iterable[PaymentState]:
        """List all payments."""
        return [_payment(found) for found in self._call("GET", "/payments", "list_payments")["data"]]

    def create_customer(self, request: CustomerRequest) -> CustomerState:
        """Make a customer."""
        body = {"email": request.email, "name": request.name, "reference": request.reference}
        return _customer(self._call("POST", "/customers", "create_customer", body, key=request.idempotency_key))

    def list_prices(self) -> Sequence[Price]:
        """List one price."""
        return [Price(external_id="price_1", label="Monthly", amount_minor=1990, currency="BRL", interval="month")]

    def create_subscription(self, request: SubscriptionRequest) -> SubscriptionState:
        """Begin a subscription."""
        body = {"price": request.price, "customer": request.customer, "quantity": request.quantity,
                "reference": request.reference}  # fmt: skip
        made = self._call("POST", "/subscriptions", "create_subscription", body, key=request.idempotency_key)
        return _subscription(made, secret=True)

    def update_subscription(self, external_id: str, change: SubscriptionChange) -> SubscriptionState:
        """Change a subscription."""
        body = {"quantity": change.quantity, "ends": change.cancel_at_period_end}
        path = f"/subscriptions/{external_id}"
        return _subscription(self._call("POST", path, "update_subscription", body, key=change.idempotency_key))

    def cancel_subscription(self, external_id: str, *, idempotency_key: str) -> SubscriptionState:
        """End a subscription."""
        path = f"/subscriptions/{external_id}/cancel"
        return _subscription(self._call("POST", path, "cancel_subscription", key=idempotency_key))

    def create_checkout(self, request: CheckoutRequest) -> CheckoutState:
        """Make a page."""
        body = {"mode": request.mode, "lines": len(request.line_items), "reference": request.reference}
        return _checkout(self._call("POST", "/checkouts", "create_checkout", body, key=request.idempotency_key))

    def create_portal(self, *, customer: str, return_url: str, idempotency_key: str) -> str:
        """Make an address."""
        made = self._call("POST", "/portals", "create_portal", {"customer": customer}, key=idempotency_key)
        return str(made["url"])

    def list_payment_methods(self) -> Sequence[PaymentMethod]:
        """List two."""
        return [PaymentMethod(id="visa", kind="card", label="Visa"), PaymentMethod(id="pix", kind="pix", label="PIX")]

    def quote_installments(self, *, amount_minor: int, bin: str) -> Sequence[Installment]:
        """Quote two."""
        return [
            Installment(count=count, amount_minor=amount_minor // count, total_minor=amount_minor, currency="BRL",
                        rate_percent="0")
            for count in (1, 2)
        ]  # fmt: skip

    def make_static_code(self, request: StaticCodeRequest) -> StaticCode:
        """Make a text that is no BR Code."""
        return StaticCode(brcode=f"TILL{request.amount_minor or 0}")

    @classmethod
    def open_account(
        cls, app: AppContext, outbound: Outbound, *, country: str, email: str, reference: str, idempotency_key: str
    ) -> Account:
        """Open a merchant under an app."""
        answer = outbound.request(
            "POST", "/merchants", operation="open_account", bearer=app.secrets["platform_key"],
            headers={"Idempotency-Key": idempotency_key}, json={"country": country, "reference": reference},
        )  # fmt: skip
        made = str(read_json_object(answer.body)["id"])
        return Account(external_id=made, label=email, settings={"merchant": made})

    def create_account_link(self, *, refresh_url: str, return_url: str, idempotency_key: str) -> tuple[str, datetime]:
        """Make an address."""
        made = self._call("POST", "/account-links", "create_account_link", {"return": return_url}, key=idempotency_key)
        return str(made["url"]), datetime(2026, 12, 1, tzinfo=UTC)

    def _call(
        self, method: str, path: str, operation: str, body: Any = None, *, key: str = "",
        params: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        headers = {"Idempotency-Key": key} if key else {}
        answer = self.outbound.request(
            method, path, operation=operation, bearer=self.integration.secrets["api_key"], headers=headers,
            json=(body or {}) if method == "POST" else None, params=params,
        )  # fmt: skip
        return dict(read_json_object(answer.body))


def _payment(found: Mapping[str, Any]) -> PaymentState:
    problem = found.get("problem")
    return PaymentState(
        **_common(found),
        status=PaymentStatus(found["status"]),
        amount_minor=found["amount"],
        currency=found["currency"],
        amount_received_minor=found["received"],
        amount_refunded_minor=found["refunded"],
        next_action=_action(found),
        problem=Problem(code=problem, reason="payment_declined", message="The bank says no.") if problem else None,
        expires_at=datetime.fromisoformat(found["ends_at"]) if found["ends_at"] else None,
    )


def _action(found: Mapping[str, Any]) -> NextAction | None:
    if found["method"] == "pix":
        pix = {"qr_code": "000201till", "qr_code_base64": "aGk=", "ticket_url": None, "expires_at": found["ends_at"]}
        return NextAction(kind=ActionKind.PIX_QR, details=pix)
    if found["status"] == "requires_action":
        return NextAction(kind=ActionKind.CLIENT_SECRET, client_secret=Secret(f"{found['id']}_secret_sandbox"))
    return None


def _refund(found: Mapping[str, Any]) -> RefundState:
    return RefundState(
        **_common(found), status=RefundStatus(found["status"]), payment=found["payment"],
        amount_minor=found["amount"], currency=found["currency"],
    )  # fmt: skip


def _customer(found: Mapping[str, Any]) -> CustomerState:
    return CustomerState(**_common(found), email=found["email"], name=found["name"])


def _subscription(found: Mapping[str, Any], *, secret: bool = False) -> SubscriptionState:
    begun = datetime(2026, 11, 1, tzinfo=UTC)
    return SubscriptionState(
        **_common(found),
        status=SubscriptionStatus(found["status"]),
        customer=found["customer"],
        price=found["price"],
        quantity=found["quantity"],
        current_period_start=begun,
        current_period_end=begun + timedelta(days=30),
        cancel_at_period_end=bool(found.get("ends")),
        client_secret=Secret(f"{found['id']}_secret_sandbox") if secret else None,
    )


def _checkout(found: Mapping[str, Any]) -> CheckoutState:
    return CheckoutState(**_common(found), url=found["url"], mode=found["mode"])


def _common(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "external_id": found["id"],
        "vendor_status": str(found.get("status", "")),
        "vendor_at": datetime.fromisoformat(found["at"]),
        "reference": found.get("reference") or "",
        "environment": "test",
        "object": {name: value for name, value in found.items() if name != "secret"},
    }


_PLURAL = {
    ObjectKind.PAYMENT: "payments", ObjectKind.REFUND: "refunds", ObjectKind.CUSTOMER: "customers",
    ObjectKind.SUBSCRIPTION: "subscriptions", ObjectKind.CHECKOUT: "checkouts",
}  # fmt: skip
_READERS: Mapping[ObjectKind, Any] = {
    ObjectKind.PAYMENT: _payment, ObjectKind.REFUND: _refund, ObjectKind.CUSTOMER: _customer,
    ObjectKind.SUBSCRIPTION: _subscription, ObjectKind.CHECKOUT: _checkout,
}  # fmt: skip

PROVIDER = TillboxProvider
