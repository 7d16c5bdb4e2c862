"""
Texts of billing's services that the pages show in the person's language, listed so that makemessages collects them.

A text that is missing here, or that holds a value, is shown as it was written: in English.
"""

from __future__ import annotations

from django.utils.translation import gettext_noop as _

LADDER = (
    _("by webhook"),
    _("in the answer to our request"),
    _("as we asked for it"),
    _("in the vendor's list"),
    _("the delivery's signature was verified"),
    _("the vendor's own answer, over its certificate"),
    _("nobody has signed this"),
    _("it does not say whose the money is"),
    _("the account of this integration"),
    _("read from the vendor with our own credential"),
    _("the signature covers all that it says"),
    _("its body is not signed and the vendor was not asked"),
    _("no money is said to have come"),
    _("older than what is known"),
    _("of the same moment as what is known, and behind it"),
)

REFUSALS = (
    _("Give an amount above zero."),
    _("This amount is too large."),
    _("Give a valid e-mail address."),
    _("Give the payer's e-mail address, or a customer who has one."),
    _("The provider has not confirmed this payment yet. Ask again shortly."),
    _("The provider has not confirmed this subscription yet. Ask again shortly."),
    _("Nothing of this payment is left to refund."),
    _("Some fields need another value."),
    _("This integration cannot be used now. Its credential is no longer accepted: reconnect the account."),
    _("This integration cannot be used now. It is disabled: enable it first."),
    _("This integration cannot be used now. It is disconnected: connect the account again."),
    _("This day has not begun: choose an earlier one."),
    _("The account was connected after this day: days before it are not compared."),
    _("Connect the Pix API of the key's bank (mode bank): static codes report nothing."),
)
