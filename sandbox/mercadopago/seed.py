"""The first data: the platform's application and sellers of three countries, one without a pix key."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.mercadopago.catalogue import new_seller
from sandbox.mercadopago.state import SCOPES, State, fake_secret
from sandbox.store import Document

PLATFORM_APP_ID = "7304118852094167"
PLATFORM_REDIRECT = "http://127.0.0.1:8000/oauth/mercadopago/callback/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """One invented seller with an application of its own."""

    seller_id: int
    app_id: str
    site_id: str
    name: str
    city: str
    pix_key: str | None = None


SHOPS = (
    Shop(seller_id=512308774, app_id="5120664183307291", site_id="MLB", name="Padaria Aurora", city="São Paulo",
         pix_key="3f8b6a52-7c1d-4e90-9a44-0d52b7c6e811"),
    Shop(seller_id=618845202, app_id="6188027745516403", site_id="MLB", name="Brechó Lua Nova", city="Recife"),
    Shop(seller_id=704519336, app_id="7045930126684517", site_id="MLA", name="Kiosco del Puerto", city="Rosario"),
    Shop(seller_id=829960415, app_id="8299147703352680", site_id="MLM", name="Taquería La Esquina", city="Puebla"),
)  # fmt: skip


def seed(state: State) -> None:
    """Write the first data; the same at every first start."""
    add_app(state, PLATFORM_APP_ID, owner=None, name="Platform (sandbox)", redirect_uris=[PLATFORM_REDIRECT], pkce=True)
    for shop in SHOPS:
        add_shop(state, shop)


def add_shop(state: State, shop: Shop) -> Document:
    """Write a seller with an application, a production token and a test token down."""
    seller = new_seller(shop.site_id, name=shop.name, seller_id=shop.seller_id, pix_key=shop.pix_key, city=shop.city)
    state.sellers.put(str(seller["id"]), seller)
    add_app(state, shop.app_id, owner=shop.seller_id, name=shop.name, redirect_uris=[], pkce=True)
    for live_mode in (True, False):
        state.add_token(
            seller_id=shop.seller_id, app_id=shop.app_id, live_mode=live_mode,
            text=fake_token(shop.app_id, shop.seller_id, live_mode=live_mode),
        )  # fmt: skip
    return seller


def add_app(
    state: State, app_id: str, *, owner: int | None, name: str, redirect_uris: list[str], pkce: bool
) -> Document:
    """Write an application down; `owner` is the seller whose own it is."""
    app: Document = {
        "id": app_id, "owner": owner, "name": name, "client_secret": fake_secret(app_id)[:32], "scopes": SCOPES,
        "redirect_uris": redirect_uris, "pkce": pkce,
        "webhook": {"url": "", "secret": fake_secret(f"webhook of {app_id}"), "topics": None},
    }  # fmt: skip
    return state.apps.put(app_id, app)


def fake_token(app_id: str, seller_id: int, *, live_mode: bool) -> str:
    """Return an access token of the right shape, the same at every start."""
    prefix = "APP_USR" if live_mode else "TEST"
    return f"{prefix}-{app_id}-sandbox{fake_secret(f'{prefix} {seller_id}')[:25]}-{seller_id}"
