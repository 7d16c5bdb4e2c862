"""Which script of a vendor's makes card tokens, and what of the vendor's our page may load for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from billing.services.card_pages import FIELDS, SCRIPT


@dataclass(frozen=True, slots=True, kw_only=True)
class CardScript:
    """The vendor's script at the host of the role `script`, ours that speaks to it, and roles that it calls."""

    path: str
    ours: str
    calls: tuple[str, ...]


SCRIPTS: Mapping[str, CardScript] = {
    "mercadopago": CardScript(
        path="/js/v2", ours="billing_pages/mercadopago.js", calls=(FIELDS, "fields_reserve", "api")
    ),
}
"""By provider. MercadoPago's script reads the page of its frames before it shows it, hence `fields` among its calls."""


def policy(script: CardScript, bases: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the content security policy of the page, as django-csp takes it: nothing inline, nobody else."""
    return {
        "default-src": ["'none'"],
        "script-src": ["'self'", script_address(script, bases)],
        "style-src": ["'self'"],
        "img-src": ["'self'"],
        "frame-src": [_folder(bases[FIELDS])],
        "connect-src": ["'self'", *(_folder(bases[role]) for role in script.calls)],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    }


def script_address(script: CardScript, bases: Mapping[str, str]) -> str:
    """Return where the vendor's script is."""
    return bases[SCRIPT].rstrip("/") + script.path


def _folder(base: str) -> str:
    return base.rstrip("/") + "/"
