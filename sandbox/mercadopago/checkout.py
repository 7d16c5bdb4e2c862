"""What a buyer does on the page of Checkout Pro."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from sandbox.mercadopago.cards import OUTCOMES
from sandbox.mercadopago.ledger import Ledger
from sandbox.mercadopago.preferences import Preferences, total_minor
from sandbox.mercadopago.sites import METHODS, Method
from sandbox.mercadopago.state import Caller, State
from sandbox.mercadopago.times import money_text, read_date
from sandbox.mercadopago.views import NewPayment, ticket_url
from sandbox.store import Document

# the button: (payment types it takes, status, status_detail)
WAYS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "card": (("credit_card",), *OUTCOMES["APRO"]),
    "decline": (("credit_card",), *OUTCOMES["FUND"]),
    "pix": (("bank_transfer",), "pending", "pending_waiting_transfer"),
    "account_money": (("account_money",), "approved", "accredited"),
}
# status: which address of the shop the buyer gets back to
BACK = {"approved": "success", "pending": "pending", "in_process": "pending"}
PIX_LIFE_S = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Where the buyer goes next."""

    status: str
    address: str = ""
    ticket: str = ""
    returns: bool = False


class Checkout:
    """Buyers' choices on the pages of all preferences."""

    def __init__(self, state: State, *, ledger: Ledger, preferences: Preferences) -> None:
        self._state = state
        self._ledger = ledger
        self._preferences = preferences

    def is_open(self, preference: Document) -> bool:
        """Say whether the preference's period is not over."""
        if not preference["expires"]:
            return True
        begin, end = (read_date(preference[name]) for name in ("expiration_date_from", "expiration_date_to"))
        return (begin or 0.0) <= self._state.frame.now() <= (end or float("inf"))

    def total(self, preference: Document) -> str:
        """Return what all items cost, as text."""
        return money_text(total_minor(preference))

    def ways(self, preference: Document) -> list[str]:
        """Return the buttons that the preference and the country leave."""
        return [way for way in WAYS if self._method(preference, way) is not None]

    def choose(self, preference: Document, way: str) -> Outcome:
        """Pay in this way, or go back."""
        method = self._method(preference, way) if way in WAYS else None
        if method is None or not self.is_open(preference):
            return Outcome(status="null", address=self.address(preference, None), returns=True)
        _, status, detail = WAYS[way]
        order = self._preferences.open_order(preference)
        body = {
            "description": preference["items"][0]["title"], "notification_url": preference["notification_url"],
            "external_reference": preference["external_reference"] or None, "metadata": preference["metadata"],
            "payer": {"email": preference["payer"]["email"] or "buyer@testuser.com"},
        }  # fmt: skip
        pix = method.id == "pix"
        new = NewPayment(
            amount_minor=total_minor(preference), method=method, status=status, status_detail=detail, body=body,
            expires_at=self._state.frame.now() + PIX_LIFE_S if pix else None,
            order={"id": order["id"], "type": "mercadopago", "preference_id": preference["id"]},
        )  # fmt: skip
        view = self._ledger.create(new, caller=self._caller(preference))["view"]
        returns = bool(preference["auto_return"]) and (status == "approved" or preference["auto_return"] == "all")
        ticket = ticket_url(self._state.base_url, view["id"]) if pix else ""
        return Outcome(status=status, address=self.address(preference, view), ticket=ticket, returns=returns)

    def address(self, preference: Document, view: Document | None) -> str:
        """Return the address of the shop with what the vendor adds to it; empty when the shop gave none."""
        status = view["status"] if view else "null"
        url: str = preference["back_urls"][BACK.get(status, "failure")]
        if not url:
            return ""
        payment_id = str(view["id"]) if view else "null"
        values = {
            "collection_id": payment_id, "collection_status": status, "payment_id": payment_id, "status": status,
            "external_reference": preference["external_reference"] or "null",
            "payment_type": view["payment_type_id"] if view else "null",
            "merchant_order_id": str(view["order"]["id"]) if view else "null", "preference_id": preference["id"],
            "site_id": preference["site_id"], "processing_mode": "aggregator", "merchant_account_id": "null",
        }  # fmt: skip
        return f"{url}{'&' if '?' in url else '?'}{urlencode(values)}"

    def _method(self, preference: Document, way: str) -> Method | None:
        limits = preference["payment_methods"]
        types = [entry["id"] for entry in limits["excluded_payment_types"]]
        names = [entry["id"] for entry in limits["excluded_payment_methods"]]
        has_key = bool(self._state.seller(preference["collector_id"])["pix_key"])
        return next(
            (
                method
                for method in METHODS[preference["site_id"]]
                if method.kind in WAYS[way][0] and method.kind not in types and method.id not in names
                and (method.id != "pix" or has_key)
            ),
            None,
        )  # fmt: skip

    def _caller(self, preference: Document) -> Caller:
        seller = self._state.seller(preference["collector_id"])
        return Caller(seller=seller, app_id=preference["client_id"], live_mode=preference["live_mode"])
