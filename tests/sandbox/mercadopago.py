"""Drive the MercadoPago stand-in: one seller, his tokens, his buyers' cards."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.sandbox.conftest import Receiver, Sandbox

CPF = "19119119100"
BUYER = {"email": "comprador@example.com", "identification": {"type": "CPF", "number": CPF}}
VISA = "4235647728025682"
ELO_DEBIT = "5067766783888311"


@dataclass
class Shop:
    """One seller as an integration sees him."""

    sandbox: Sandbox
    account: dict[str, Any]

    @property
    def seller_id(self) -> int:
        return int(self.account["id"])

    @property
    def app(self) -> dict[str, Any]:
        return dict(self.account["app"])

    @property
    def url(self) -> str:
        return f"{self.sandbox.url}/mercadopago"

    def token(self, *, live: bool = True) -> dict[str, Any]:
        """Return the first token of the kind."""
        return next(token for token in self.account["tokens"] if token["live_mode"] is live)

    def call(
        self, method: str, path: str, *, token: str | None = None, key: str | None = "new", **more: Any
    ) -> requests.Response:
        """Call the API; `key` is the idempotency key, a fresh one by default."""
        headers = {"Authorization": f"Bearer {token or self.token()['token']}"} | more.pop("headers", {})
        if method == "POST" and key is not None:
            headers["X-Idempotency-Key"] = str(uuid.uuid4()) if key == "new" else key
        return requests.request(method, f"{self.url}{path}", headers=headers, timeout=10, allow_redirects=False, **more)

    def pix(self, *, key: str | None = "new", token: str | None = None, **more: Any) -> requests.Response:
        """Ask for a pix of 58.80; a None leaves a field out."""
        body = {"transaction_amount": 58.8, "payment_method_id": "pix", "payer": BUYER, "description": "Bolo"} | more
        body = {name: value for name, value in body.items() if value is not None}
        return self.call("POST", "/v1/payments", json=body, key=key, token=token)

    def card_token(self, name: str = "APRO", *, number: str = VISA, live: bool = True, **more: Any) -> str:
        """Make a card token as the buyer's browser does."""
        body = {
            "card_number": number, "expiration_month": 11, "expiration_year": 2030, "security_code": "123",
            "cardholder": {"name": name, "identification": {"type": "CPF", "number": CPF}},
        } | more  # fmt: skip
        public_key = self.token(live=live)["public_key"]
        answer = requests.post(f"{self.url}/v1/card_tokens?public_key={public_key}", json=body, timeout=10)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def card(self, name: str = "APRO", **more: Any) -> requests.Response:
        """Charge a card of this holder 100.00; a None leaves a field out."""
        body = {"transaction_amount": 100, "payment_method_id": "visa", "installments": 1, "payer": BUYER}
        body |= {"token": more.pop("token", None) or self.card_token(name)} | more
        body = {field: value for field, value in body.items() if value is not None}
        return self.call("POST", "/v1/payments", json=body)

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Play buyers, banks and time."""
        return self.sandbox.control(method, f"/mercadopago{path}", body)

    def act(self, payment: dict[str, Any], verb: str, **values: Any) -> dict[str, Any]:
        """Do something to a payment."""
        return dict(self.control("POST", f"/payments/{payment['id']}/{verb}", values))

    def show(self, payment: dict[str, Any]) -> dict[str, Any]:
        """Read a payment again."""
        return dict(self.call("GET", f"/v1/payments/{payment['id']}").json())

    def listen(self, url: str, **webhook: Any) -> None:
        """Set the webhook of the seller's own application."""
        self.control("POST", f"/apps/{self.app['id']}", {"webhook": {"url": url} | webhook})


def shop_of(sandbox: Sandbox, site_id: str, *, pix: bool | None = None) -> Shop:
    """Return the first seller of a country, with or without a pix key."""
    accounts = sandbox.control("GET", "/mercadopago/accounts")["accounts"]
    found = next(
        account
        for account in accounts
        if account["site_id"] == site_id and (pix is None or bool(account["pix_key"]) is pix)
    )
    return Shop(sandbox=sandbox, account=found)


def cause_of(answer: requests.Response) -> int:
    """Return the code of the only cause of a refusal."""
    (cause,) = answer.json()["cause"]
    return int(cause["code"])


def is_signed(path: str, headers: dict[str, str], *, secret: str) -> bool:
    """Say whether the signature fits the manifest of the query, the request id and the stamp."""
    stamp, digest = (part.partition("=")[2] for part in headers["x-signature"].split(","))
    (data_id,) = parse_qs(urlsplit(path).query)["data.id"]
    manifest = f"id:{data_id};request-id:{headers['x-request-id']};ts:{stamp};"
    return hmac.new(secret.encode(), manifest.encode(), hashlib.sha256).hexdigest() == digest


@pytest.fixture
def shop(sandbox: Sandbox) -> Shop:
    """A Brazilian seller with a pix key."""
    return shop_of(sandbox, "MLB", pix=True)


@pytest.fixture
def notified(shop: Shop, receiver: Receiver) -> Shop:
    """The seller, whose application tells the receiver everything."""
    shop.listen(receiver.url)
    return shop
