"""The sandbox's control interface, spoken over HTTP: the demo knows no more of the sandbox than a person with curl."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests

TIMEOUT_S = 15


@dataclass(frozen=True, slots=True)
class SandboxAccount:
    """One business of the sandbox and what is needed to connect it."""

    name: str
    phone_number_id: str
    display_phone_number: str
    credentials: dict[str, str]
    settings: dict[str, str]


@dataclass(frozen=True, slots=True)
class SandboxSeller:
    """One seller of the sandbox's MercadoPago and what is needed to connect them."""

    credentials: dict[str, str]
    settings: dict[str, str]


class SandboxControl:
    """Plays the customers."""

    def __init__(self, url: str) -> None:
        self.url = url

    def whatsapp_accounts(self) -> list[SandboxAccount]:
        """List the businesses that wait to be connected."""
        return [_account(found) for found in self._call("GET", "accounts")["accounts"]]

    def customer_writes(self, *, phone: str, phone_number_id: str, name: str, text: str) -> None:
        """Let a customer send a text to a business."""
        body = {"phone_number_id": phone_number_id, "type": "text", "text": {"body": text}, "name": name}
        self._call("POST", f"customers/{phone}/messages", json=body)

    def customer_reads(self, *, phone: str, phone_number_id: str) -> None:
        """Let a customer open the chat, which makes the business's messages read."""
        self._call("POST", f"customers/{phone}/read", json={"phone_number_id": phone_number_id})

    def platform_app(self) -> tuple[str, str]:
        """Return id and secret of the app that stands for the platform's own."""
        found = next(app for app in self._call("GET", "apps")["apps"] if app["platform"])
        return found["id"], found["secret"]

    def set_app_webhook(self, *, app_id: str, url: str, verify_token: str) -> None:
        """Do what a person does in the App Dashboard: name the app's own callback."""
        self._call("POST", f"apps/{app_id}/webhook", json={"url": url, "verify_token": verify_token})

    def stripe_key(self) -> str:
        """Return a key of the sandbox's Stripe account that works."""
        account = self._call("GET", "accounts", vendor="stripe")["accounts"][0]
        return str(next(found["key"] for found in account["keys"] if "account" in found["rights"]))

    def add_stripe_key(self, key: str) -> None:
        """Make another key of the same account."""
        body = {"key": key, "rights": ["account", "balance", "webhook_endpoints"]}
        self._call("POST", "keys", vendor="stripe", json=body)

    def revoke_stripe_key(self, key: str) -> None:
        """Do what a person does in the Dashboard who rolls a key."""
        self._call("POST", f"keys/{key}/revoke", vendor="stripe")

    def mercadopago_seller(self) -> SandboxSeller:
        """Return the seller whose PIX key is registered, with the token that tells of its payments."""
        accounts = self._call("GET", "accounts", vendor="mercadopago")["accounts"]
        seller = next(found for found in accounts if found["pix_key"])
        token = next(found for found in seller["tokens"] if found["live_mode"])
        credentials = {
            "access_token": token["token"],
            "public_key": token["public_key"],
            "webhook_secret": seller["app"]["webhook"]["secret"],
        }
        return SandboxSeller(credentials=credentials, settings={"country": "BR"})

    def _call(self, method: str, path: str, *, vendor: str = "whatsapp", **arguments: Any) -> Any:
        answer = requests.request(method, f"{self.url}/control/{vendor}/{path}", timeout=TIMEOUT_S, **arguments)
        answer.raise_for_status()
        return answer.json() if answer.content else None


def _account(found: dict[str, str]) -> SandboxAccount:
    return SandboxAccount(
        name=found["name"],
        phone_number_id=found["phone_number_id"],
        display_phone_number=found["display_phone_number"],
        credentials={"access_token": found["access_token"], "app_secret": found["app_secret"]},
        settings={name: found[name] for name in ("phone_number_id", "waba_id", "app_id")},
    )
