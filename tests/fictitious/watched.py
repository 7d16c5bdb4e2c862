"""Parcelbox as it would be if it registered webhooks by API and listed what changed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from core.secret import Secrets
from integrations.contract import InboundEvent, Reconciles, RegisteredWebhook, RegistersWebhook, WebhookState
from tests.fictitious.parcelbox import ParcelboxProvider, _thin
from tests.fictitious.vendor import VERBS, Answer, Merchant, Parcelbox

CALLBACKS = "/v1/callbacks"
CHANGES = "/v1/changes"


class Watched(Reconciles, RegistersWebhook, ParcelboxProvider):
    """A merchant whose webhook can be inspected and whose changes can be listed."""

    def register_webhook(self, url: str) -> RegisteredWebhook:
        """Set the address and take the key."""
        made = self._post("/callbacks", operation="register_webhook", data={"url": url})
        return RegisteredWebhook(url=made["url"], secrets=Secrets({"app_key": made["key"]}))

    def unregister_webhook(self) -> None:
        """Set no address."""
        self._post("/callbacks", operation="unregister_webhook", data={"url": ""})

    def inspect_webhook(self) -> WebhookState:
        """Say where the vendor posts; nowhere is not registered."""
        url = self._post("/callbacks", operation="inspect_webhook", data={}).get("url", "")
        return WebhookState(registered=bool(url), url=url, detail="" if url else "It posts nowhere.")

    def list_since(self, when: datetime) -> Iterable[InboundEvent]:
        """List changes as thin events, in the vendor's order."""
        answer = self._post("/changes", operation="list_changes", data={"since": int(when.timestamp())})
        for change in answer["changes"]:
            moment = datetime.fromtimestamp(change["changed_at"], UTC)
            yield replace(_thin(f"charge,{change['id']},{change['merchant']}"), occurred_at=moment)


def changes(vendor: Parcelbox, owner: Merchant, form: dict[str, str]) -> Answer:
    """List the merchant's objects that changed since a second, newest first."""
    found = [one for one in vendor.objects.values() if one["merchant"] == owner.id]
    found = [one for one in found if one["changed_at"] >= int(form["since"])]
    return "changes__ok", {"changes": json.dumps(sorted(found, key=lambda one: -one["changed_at"]))}


VERBS[CHANGES] = changes
PROVIDER = Watched
