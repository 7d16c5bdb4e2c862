"""Static BR Codes with their pictures. Nobody tells whether one was paid, so none is ever kept as a payment."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from billing import brcode
from billing.contract import MakesStaticCodes, StaticCodeRequest
from billing.pix_keys import read_key
from billing.services.readiness import instance_now, refusing
from integrations.models import Integration


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnCode:
    """A code to copy and its picture: PNG, in base64."""

    brcode: str
    qr_code_base64: str


def make_static_code(
    *,
    key: str,
    merchant_name: str,
    merchant_city: str,
    key_type: str = "",
    amount_minor: int | None = None,
    txid: str = "",
    description: str = "",
) -> DrawnCode:
    """
    Make a code from a PIX key; nothing is asked of anybody and nothing is kept.

    :param key_type: needed where a key could be two things: cpf, cnpj, phone, email, random
    :raises ValidationFailed: a part cannot be used; the text says what to do
    """
    text = brcode.build_static(
        read_key(key, key_type or None),
        merchant_name=merchant_name,
        merchant_city=merchant_city,
        amount_minor=amount_minor,
        txid=txid or None,
        description=description or None,
    )
    return drawn(text)


def make_code_of(
    integration: Integration, *, amount_minor: int | None = None, txid: str = "", description: str = ""
) -> DrawnCode:
    """
    Make a code from an integration's own key.

    :raises ValidationFailed: a part cannot be used, or this provider makes no codes
    """
    provider = instance_now(integration, MakesStaticCodes)
    with refusing():
        made = provider.make_static_code(
            StaticCodeRequest(amount_minor=amount_minor, txid=txid, description=description)
        )
    return drawn(made.brcode)


def drawn(text: str) -> DrawnCode:
    """Draw a code that is known."""
    return DrawnCode(brcode=text, qr_code_base64=base64.b64encode(brcode.qr_png(text)).decode())
