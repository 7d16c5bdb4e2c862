"""Payments received and what is given back of them."""

from __future__ import annotations

import re
from decimal import Decimal

from werkzeug.wrappers import Request, Response

from sandbox.fields import choice, record, text
from sandbox.frame import json_answer
from sandbox.pix.charges import checked, original
from sandbox.pix.listing import is_true, page
from sandbox.pix.problems import problem
from sandbox.pix.state import State, moment, settlement_id, stamp
from sandbox.pix.webhooks import Webhooks
from sandbox.store import Document

REFUND_ID = re.compile(r"[a-zA-Z0-9]{1,35}")
REFUND_WITHIN_S = 90 * 86_400
REFUND = record({"valor": original}, {"natureza": choice("ORIGINAL", "RETIRADA"), "descricao": text(most=140)})
NOT_DONE = "NAO_REALIZADO"


class Payments:
    """The operations on payments, and the settlement behind them."""

    def __init__(self, state: State, webhooks: Webhooks) -> None:
        self._state = state
        self._webhooks = webhooks

    def show(self, request: Request, client: Document, e2eid: str) -> Response:
        """Answer GET /pix/{e2eid}."""
        return json_answer(self._owned(client, e2eid)["body"])

    def list(self, request: Request, client: Document) -> Response:
        """Answer GET /pix?inicio&fim."""
        entries = [entry["body"] for entry in self._state.payments.all(owner=client["id"])]
        filters = {
            "txid": lambda row, value: row.get("txid") == value,
            "txIdPresente": lambda row, value: ("txid" in row) == is_true(value),
            "devolucaoPresente": lambda row, value: ("devolucoes" in row) == is_true(value),
        }
        rows = [(moment(body["horario"]), body) for body in entries]
        return json_answer(page(request, rows, name="pix", refusal="PixConsultaInvalida", filters=filters))

    def refund(self, request: Request, client: Document, e2eid: str, refund_id: str) -> Response:
        """Answer PUT /pix/{e2eid}/devolucao/{id}; the same again answers the same return."""
        if REFUND_ID.fullmatch(refund_id) is None:
            raise _refuse("O id deve ter de 1 a 35 letras e dígitos.", field="id")
        body = checked(request, REFUND, refusal="PixDevolucaoInvalida", root="devolucao")
        with self._state.frame.store.transaction():
            payment = self._owned(client, e2eid)["body"]
            known = _refund_of(payment, refund_id)
            if known is None:
                self._require_rest(payment, Decimal(body["valor"]))
                known = self._added(payment, refund_id=refund_id, body=body, client=client)
            elif known["valor"] != body["valor"]:
                raise _refuse("Já existe uma devolução com este id e outro valor.", field="id")
        return json_answer(known, status=201)

    def show_refund(self, request: Request, client: Document, e2eid: str, refund_id: str) -> Response:
        """Answer GET /pix/{e2eid}/devolucao/{id}."""
        found = _refund_of(self._owned(client, e2eid)["body"], refund_id)
        if found is None:
            raise problem("PixDevolucaoNaoEncontrada", "Não há devolução com este id.")
        return json_answer(found)

    def pay(self, charge: Document, *, value: str, info: str = "") -> Document:
        """Let a payer pay a charge, right or not, and return the payment; nobody is told yet."""
        now, body = self._state.frame.now(), charge["body"]
        payment = {
            "endToEndId": settlement_id("E", now), "txid": body["txid"], "valor": value, "chave": body["chave"],
            "horario": stamp(now), "componentesValor": {"original": {"valor": value}},
        } | ({"infoPagador": info} if info else {})  # fmt: skip
        with self._state.frame.store.transaction():
            self._save(payment, client=charge["client"])
            charge["body"]["status"] = "CONCLUIDA"
            charge["paid"].append(payment["endToEndId"])
            self._state.save_charge(charge)
        return payment

    def pay_by_itself(self, job: Document, attempts: int) -> float | None:
        """Pay a charge that waited long enough and tell the payee; a job."""
        charge = self._state.charge(job["txid"], client=job["client"])
        if charge and charge["body"]["status"] == "ATIVA":
            payment = self.pay(charge, value=charge["body"]["valor"]["original"])
            self._webhooks.send([payment], chave=payment["chave"])
        return None

    def settle(self, job: Document, attempts: int) -> float | None:
        """End a return, well or not as the settings say, and tell the payee; a job."""
        with self._state.frame.store.transaction():
            entry = self._state.payments.get(job["payment"])
            found = _refund_of(entry["body"], job["refund"]) if entry else None
            if entry is None or found is None:
                return None
            found["status"] = NOT_DONE if self._state.settings.refund_fails else "DEVOLVIDO"
            if found["status"] == NOT_DONE:
                found["motivo"] = "Saldo insuficiente na conta do recebedor."
            else:
                found["horario"]["liquidacao"] = stamp(self._state.frame.now())
            self._save(entry["body"], client=entry["client"])
        self._webhooks.send([entry["body"]], chave=entry["body"]["chave"])
        return None

    def _added(self, payment: Document, *, refund_id: str, body: Document, client: Document) -> Document:
        now = self._state.frame.now()
        refund = {
            "id": refund_id, "rtrId": settlement_id("D", now), "valor": body["valor"], "status": "EM_PROCESSAMENTO",
            "natureza": body.get("natureza", "ORIGINAL"), "horario": {"solicitacao": stamp(now)},
        } | {name: body[name] for name in ("descricao",) if name in body}  # fmt: skip
        payment.setdefault("devolucoes", []).append(refund)
        self._save(payment, client=client["id"])
        job = {"payment": payment["endToEndId"], "refund": refund_id}
        after_s = self._state.settings.refund_after_s
        self._state.frame.runner.schedule(vendor="pix", name="settle", body=job, after_s=after_s)
        return refund

    def _require_rest(self, payment: Document, wanted: Decimal) -> None:
        given = [Decimal(entry["valor"]) for entry in payment.get("devolucoes", []) if entry["status"] != NOT_DONE]
        if sum(given, wanted) > Decimal(payment["valor"]):
            raise _refuse("A soma das devoluções ultrapassa o valor do Pix.", field="valor")
        if self._state.frame.now() - moment(payment["horario"]) > REFUND_WITHIN_S:
            raise _refuse("O prazo de 90 dias para devolução acabou.", field="valor")

    def _save(self, payment: Document, *, client: str) -> None:
        self._state.payments.put(payment["endToEndId"], {"client": client, "body": payment}, owner=client)

    def _owned(self, client: Document, e2eid: str) -> Document:
        entry = self._state.payments.get(e2eid)
        if entry is None or entry["client"] != client["id"]:
            raise problem("PixNaoEncontrado", "Não há Pix com este endToEndId.")
        return entry


def _refund_of(payment: Document, refund_id: str) -> Document | None:
    return next((entry for entry in payment.get("devolucoes", []) if entry["id"] == refund_id), None)


def _refuse(reason: str, *, field: str) -> Exception:
    return problem("PixDevolucaoInvalida", reason, field=f"devolucao.{field}")
