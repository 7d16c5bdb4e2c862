"""What the stand-in knows: sellers, applications, tokens, payments and all the rest, and who a caller is."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass

from werkzeug.wrappers import Request

from sandbox.frame import Frame
from sandbox.mercadopago.errors import coded, dead_token, no_token
from sandbox.mercadopago.habits import Habits, read_habits
from sandbox.mercadopago.sites import SITES, Site
from sandbox.mercadopago.times import written
from sandbox.store import Collection, Document

KEY = "mercadopago"
TOKEN_SHAPE = re.compile(r"(TEST|APP_USR)-[A-Za-z0-9_-]{10,200}")
TOKEN_LIFE_S = 15_552_000  # 180 days
SCOPES = ["offline_access", "read", "write"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whose token or public key a call carries."""

    seller: Document
    app_id: str
    live_mode: bool

    @property
    def seller_id(self) -> int:
        """Return the seller's user id."""
        return int(self.seller["id"])

    @property
    def site(self) -> Site:
        """Return the seller's country."""
        return SITES[self.seller["site_id"]]


class State:
    """Collections of the stand-in and the questions that several parts ask them."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.sellers = self._collection("seller")
        self.apps = self._collection("application")
        self.tokens = self._collection("token")
        self.public_keys = self._collection("public_key")
        self.refresh_tokens = self._collection("refresh_token")
        self.codes = self._collection("code")
        self.card_tokens = self._collection("card_token")
        self.payments = self._collection("payment")
        self.refunds = self._collection("refund")
        self.chargebacks = self._collection("chargeback")
        self.preferences = self._collection("preference")
        self.merchant_orders = self._collection("merchant_order")
        self.plans = self._collection("plan")
        self.preapprovals = self._collection("preapproval")
        self.authorized_payments = self._collection("authorized_payment")
        self.orders = self._collection("order")
        self.answers = self._collection("answer")
        self.deliveries = self._collection("delivery")
        self.settings = self._collection("settings")

    @property
    def habits(self) -> Habits:
        """Return the habits in force."""
        return read_habits(self.settings)

    @property
    def base_url(self) -> str:
        """Return the address of this vendor, without a slash at the end."""
        return f"{self.frame.base_url}/{KEY}"

    def now(self) -> str:
        """Return the present time as the vendor writes it."""
        return written(self.frame.now())

    def caller(self, request: Request, *, scope: str) -> Caller:
        """Return who calls; :raises Refused: no usable Bearer token, a dead one, or one without the scope."""
        if "access_token" in request.args:
            raise coded(401, "unauthorized", "access_token as a query parameter is not accepted")
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not TOKEN_SHAPE.fullmatch(text):
            raise no_token()
        token = self.tokens.get(text)
        if token is None or token["revoked"] or not 0 <= self.frame.now() < token["expires_at"]:
            raise dead_token()
        if scope not in token["scopes"]:
            raise coded(403, "forbidden", f"the token does not have the scope {scope}")
        return self._caller(token)

    def browser(self, request: Request) -> Caller:
        """Return whose public key the query carries, or else whose token the header."""
        text = request.args.get("public_key")
        if text is None:
            return self.caller(request, scope="read")
        found = self.public_keys.get(text)
        if found is None:
            raise coded(401, "unauthorized", "invalid public_key")
        return self._caller(found)

    def seller(self, seller_id: object) -> Document:
        """Return a seller; :raises KeyError: nobody has this id."""
        found = self.sellers.get(str(seller_id))
        if found is None:
            raise KeyError(seller_id)
        return found

    def add_token(
        self, *, seller_id: int, app_id: str, live_mode: bool, text: str = "", scopes: list[str] | None = None
    ) -> Document:
        """Write an access token and its public key down."""
        prefix = "APP_USR" if live_mode else "TEST"
        made = text or f"{prefix}-{app_id}-{secrets.token_hex(16)}-{seller_id}"
        about = {"seller_id": seller_id, "app_id": app_id, "live_mode": live_mode}
        public_key = fake_public_key(prefix, f"{app_id}:{seller_id}")
        self.public_keys.put(public_key, about, owner=str(seller_id))
        return self.tokens.put(
            made,
            about | {
                "token": made, "public_key": public_key, "revoked": False, "scopes": scopes or SCOPES,
                "expires_at": self.frame.now() + TOKEN_LIFE_S,
            },
            owner=grant_key(app_id, seller_id),
        )  # fmt: skip

    def revoke_grant(self, app_id: str, seller_id: int) -> int:
        """Kill every token of an application for a seller; return how many access tokens died."""
        owner, count = grant_key(app_id, seller_id), 0
        with self.frame.store.transaction():
            for token in self.tokens.all(owner=owner):
                count += not token["revoked"]
                self.tokens.change(token["token"], revoked=True)
            for token in self.refresh_tokens.all(owner=owner):
                self.refresh_tokens.change(token["token"], used=True)
        return count

    def _caller(self, about: Document) -> Caller:
        return Caller(
            seller=self.seller(about["seller_id"]), app_id=about["app_id"], live_mode=bool(about["live_mode"])
        )

    def _collection(self, kind: str) -> Collection:
        return self.frame.store.collection(KEY, kind)


def grant_key(app_id: str, seller_id: int) -> str:
    """Return the key of what a seller allowed an application."""
    return f"{app_id}:{seller_id}"


def new_id(digits: int) -> int:
    """Return a number of so many digits."""
    least = 10 ** (digits - 1)
    return secrets.randbelow(9 * least) + least


def fake_public_key(prefix: str, name: str) -> str:
    """Return a public key of the right shape, the same at every start."""
    digits = hashlib.sha256(f"sandbox test public key {prefix} {name}".encode()).hexdigest()
    return f"{prefix}-{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:32]}"


def fake_secret(name: str) -> str:
    """Return a secret of an application, the same at every start."""
    return hashlib.sha256(f"sandbox test secret {name}".encode()).hexdigest()
