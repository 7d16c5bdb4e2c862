"""What the card page says: how a payment stands, and what to do after a card that was not taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from integrations.outbound.mapping import NOT_SENT

STATES: Mapping[str, Any] = {
    "unknown": _("There is no payment at this address. Ask the seller for a new link."),
    "expired": _("This page is no longer open. Go back to the seller and begin again; nothing was charged."),
    "paid": _("This payment is paid. There is nothing left to do."),
    "processing": _("This payment is being checked. Do not pay again: the seller will tell you how it ended."),
    "over": _("This payment is over. Go back to the seller if you still want to pay."),
}

DECLINED = _("The card was declined. Nothing was charged: try another card, or ask your bank.")

NOT_REACHED = _("The payment service could not be reached. Nothing was charged: try again in a minute.")

FORM_AGAIN = _("The card could not be used. Nothing was charged: enter it again.")

_MESSAGES: Mapping[str, Any] = {
    "cc_rejected_insufficient_amount": _("The card has not enough limit or balance. Nothing was charged: try another."),
    "cc_rejected_bad_filled_security_code": _("The security code is not right. Nothing was charged: enter it again."),
    "cc_rejected_bad_filled_date": _("The expiry date is not right. Nothing was charged: enter it again."),
    "cc_rejected_bad_filled_card_number": _("The card number is not right. Nothing was charged: enter it again."),
    "cc_rejected_bad_filled_other": _("Some of the card's data are not right. Nothing was charged: enter them again."),
    "cc_rejected_call_for_authorize": _(
        "Your bank wants you to allow this payment. Call the number on the card, then try again; nothing was charged."
    ),
    "cc_rejected_card_disabled": _("This card is not active. Nothing was charged: ask your bank, or try another card."),
    "cc_rejected_invalid_installments": _(
        "The card does not take so many installments. Nothing was charged: choose fewer."
    ),
    "cc_rejected_max_attempts": _("This card was tried too often. Nothing was charged: use another card."),
    "card_token_invalid": FORM_AGAIN,
    "tax_id_invalid": _("The document number is not known. Nothing was charged: correct it."),
    "payment_declined": DECLINED,
    NOT_SENT: NOT_REACHED,
    "rate_limited": NOT_REACHED,
}
"""The vendor's code, else our reason, of a try that ended without a charge -> what the payer does next."""


def message(error: Mapping[str, Any] | None) -> Any:
    """Return what to do after a card that was not taken; {code, reason, message} as rows keep it."""
    found = error or {}
    named = (_MESSAGES.get(str(found.get(name, ""))) for name in ("code", "reason"))
    return next((text for text in named if text is not None), FORM_AGAIN if found.get("reason") else DECLINED)
