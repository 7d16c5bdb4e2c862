"""Webhooks of the bank: one address per key, a list of payments in each call, no signature."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from http import HTTPStatus

from werkzeug.wrappers import Request, Response

from sandbox.callbacks import Unreachable, call_back
from sandbox.fields import record, url
from sandbox.frame import json_answer
from sandbox.pix.charges import checked
from sandbox.pix.listing import page
from sandbox.pix.problems import problem
from sandbox.pix.state import State, moment, stamp
from sandbox.store import Document

DELIVERIES_KEPT = 1000


class Webhooks:
    """Addresses, and what is sent to them."""

    def __init__(self, state: State) -> None:
        self._state = state

    def put(self, request: Request, client: Document, chave: str) -> Response:
        """Answer PUT /webhook/{chave} {webhookUrl}."""
        self._require_key(client, chave)
        root = "WebhookOperacaoInvalida"
        body = checked(request, record({"webhookUrl": url(most=140)}), refusal=root, root="webhook")
        known = self._state.webhooks.get(chave) or {"criacao": stamp(self._state.frame.now())}
        webhook = {"webhookUrl": body["webhookUrl"], "chave": chave, "criacao": known["criacao"]}
        self._state.webhooks.put(chave, webhook, owner=client["id"])
        return json_answer(webhook)

    def show(self, request: Request, client: Document, chave: str) -> Response:
        """Answer GET /webhook/{chave}."""
        return json_answer(self._owned(client, chave))

    def delete(self, request: Request, client: Document, chave: str) -> Response:
        """Answer DELETE /webhook/{chave}."""
        self._owned(client, chave)
        self._state.webhooks.delete(chave)
        return Response(status=204)

    def list(self, request: Request, client: Document) -> Response:
        """Answer GET /webhook?inicio&fim."""
        rows = [(moment(entry["criacao"]), entry) for entry in self._state.webhooks.all(owner=client["id"])]
        return json_answer(page(request, rows, name="webhooks", refusal="WebhookConsultaInvalida", filters={}))

    def send(self, payments: Sequence[Document], *, chave: str, repeat: int = 1) -> int:
        """Call the address of the key with these payments, in this order; return how many calls are on their way."""
        webhook = self._state.webhooks.get(chave)
        if webhook is None or not payments:
            return 0
        suffix = "/pix" if self._state.settings.append_pix else ""
        body = json.dumps({"pix": list(payments)}, ensure_ascii=False)
        for _ in range(repeat):
            delivery = {"id": secrets.token_hex(8), "url": webhook["webhookUrl"].rstrip("/") + suffix, "body": body,
                        "attempts": 0, "last": "", "done": False}  # fmt: skip
            if not suffix:
                delivery["url"] = webhook["webhookUrl"]
            with self._state.frame.store.transaction():
                self._state.deliveries.put(delivery["id"], delivery)
                self._state.deliveries.keep_last(DELIVERIES_KEPT)
            self._state.frame.runner.schedule(vendor="pix", name="deliver", body={"delivery": delivery["id"]})
        return repeat

    def deliver(self, job: Document, attempts: int) -> float | None:
        """Make one call; return the seconds until the next try, or None when it is over."""
        delivery = self._state.deliveries.get(job["delivery"])
        if delivery is None:
            return None
        settings = self._state.frame.settings
        try:
            answer = call_back(
                delivery["url"], method="POST", body=delivery["body"].encode(),
                headers={"Content-Type": "application/json"}, timeout_s=settings.callback_timeout_s,
            )  # fmt: skip
            outcome, done = str(answer.status), HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES
        except Unreachable as error:
            outcome, done = str(error), False
        self._state.deliveries.change(delivery["id"], attempts=attempts + 1, last=outcome, done=done)
        if done or attempts + 1 >= settings.retry_tries:
            return None
        return min(settings.retry_first_s * settings.retry_factor**attempts, settings.retry_longest_s)

    def _require_key(self, client: Document, chave: str) -> None:
        if chave not in client["keys"]:
            reason = "A chave não pertence a este usuário recebedor."
            raise problem("WebhookOperacaoInvalida", reason, field="webhook.chave")

    def _owned(self, client: Document, chave: str) -> Document:
        found = self._state.webhooks.get(chave) if chave in client["keys"] else None
        if found is None:
            raise problem("WebhookNaoEncontrado", "Não há webhook para esta chave.")
        return found
