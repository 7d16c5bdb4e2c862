"""Control of the bank: who may call, who pays what, what the callbacks say."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from werkzeug.wrappers import Request, Response

from sandbox.frame import Refused, Route, json_answer, read_json
from sandbox.pix.certificates import Authority
from sandbox.pix.charges import VALUE
from sandbox.pix.payments import Payments
from sandbox.pix.state import State, moment, settlement_id, stamp
from sandbox.pix.webhooks import Webhooks
from sandbox.store import Document

DEFAULT_DAYS = 365.0
MOST_AT_ONCE = 100


class Control:
    """The handlers under /control/pix."""

    def __init__(self, state: State, *, authority: Authority, payments: Payments, webhooks: Webhooks) -> None:
        self._state = state
        self._authority = authority
        self._payments = payments
        self._webhooks = webhooks

    def routes(self) -> Sequence[Route]:
        """Return the routes."""
        return (
            Route("GET", "/accounts", self.list_accounts),
            Route("GET", "/settings", self.show_settings),
            Route("POST", "/settings", self.change_settings),
            Route("POST", "/clients/{client_id}/certificate", self.hand_out),
            Route("POST", "/clients/{client_id}/scopes", self.change_scopes),
            Route("POST", "/charges/{txid}/pay", self.pay),
            Route("POST", "/charges/{txid}/expire", self.expire),
            Route("POST", "/charges/{txid}/remove", self.remove),
            Route("POST", "/callbacks", self.call_back),
            Route("POST", "/callbacks/forged", self.forge),
            Route("GET", "/deliveries", self.list_deliveries),
        )

    def list_accounts(self, request: Request) -> Response:
        """List what the product needs to connect each business."""
        base = f"{self._state.frame.base_url}/pix"
        names = ("id", "secret", "name", "city", "cnpj", "keys", "scopes")
        accounts = [
            {name: client[name] for name in names} | {"base_url": base, "token_url": f"{base}/oauth/token"}
            for client in self._state.clients.all()
        ]
        return json_answer({"accounts": accounts})

    def show_settings(self, request: Request) -> Response:
        """Show the settings in force."""
        return json_answer(asdict(self._state.settings))

    def change_settings(self, request: Request) -> Response:
        """Change some settings."""
        try:
            return json_answer(asdict(self._state.change_settings(read_json(request))))
        except ValueError as error:
            raise _bad(str(error)) from error

    def hand_out(self, request: Request, client_id: str) -> Response:
        """Make a client certificate: {days?}; opens the TLS port. Below zero days it is expired."""
        values = _values(request, "days")
        client = self._client(client_id)
        made = self._authority.hand_out(client["id"], days=float(values.get("days", DEFAULT_DAYS)))
        urls = {"base_url": f"{made['url']}/pix", "token_url": f"{made['url']}/pix/oauth/token"}
        return json_answer(made | urls, status=201)

    def change_scopes(self, request: Request, client_id: str) -> Response:
        """Set what the bank allows a client: {scopes}; tokens that live keep theirs."""
        scopes = list(_values(request, "scopes").get("scopes", []))
        return json_answer(self._state.clients.change(self._client(client_id)["id"], scopes=scopes))

    def pay(self, request: Request, txid: str) -> Response:
        """
        Pay a charge: {valor?, times?, repeat?, notify?, info?, force?}.

        `times` payments go into one callback, which is sent `repeat` times; with `notify` false nobody is told. A
        charge that is not active or is expired is paid only by `force`.
        """
        values = _values(request, "valor", "times", "repeat", "notify", "info", "force")
        charge = self._charge(txid)
        value = values.get("valor", charge["body"]["valor"]["original"])
        if not re.fullmatch(VALUE, str(value)):
            raise _bad('valor must look like "58.80"')
        if not values.get("force") and not self._is_payable(charge):
            raise Refused(409, {"error": "the charge is paid, removed or expired; force pays it nevertheless"})
        times, repeat = _count(values, "times"), _count(values, "repeat")
        paid = [self._payments.pay(charge, value=value, info=str(values.get("info", ""))) for _ in range(times)]
        told = values.get("notify", True)
        calls = self._webhooks.send(paid, chave=charge["body"]["chave"], repeat=repeat) if told else 0
        return json_answer({"pix": paid, "callbacks": calls}, status=201)

    def expire(self, request: Request, txid: str) -> Response:
        """
        Let a charge's time be over now; its creation and the bank's status (ATIVA) stay.

        A time has whole seconds, one at least: who ends a charge in its first second waits for the rest of that.
        """
        charge = self._charge(txid)
        calendar = charge["body"]["calendario"]
        if "expiracao" in calendar:
            age_s = max(self._state.frame.now() - moment(calendar["criacao"]), 0.0)
            time.sleep(max(1.0 - age_s, 0.0))
            calendar["expiracao"] = min(calendar["expiracao"], max(int(age_s), 1))
        else:
            calendar |= {"dataDeVencimento": "2020-01-31", "validadeAposVencimento": 0}
        return json_answer(self._state.save_charge(charge)["body"])

    def remove(self, request: Request, txid: str) -> Response:
        """Let the bank remove a charge: REMOVIDA_PELO_PSP."""
        charge = self._charge(txid)
        charge["body"]["status"] = "REMOVIDA_PELO_PSP"
        return json_answer(self._state.save_charge(charge)["body"])

    def call_back(self, request: Request) -> Response:
        """
        Tell of payments (again, late, or in disorder): {pix: [endToEndId…], repeat?, together?}.

        In the order given: in one call, or with `together` false in a call each.
        """
        values = _values(request, "pix", "repeat", "together")
        found = [self._payment(e2eid) for e2eid in values.get("pix", [])]
        if not found:
            raise _bad("pix must list endToEndIds")
        groups = [found] if values.get("together", True) else [[entry] for entry in found]
        repeat = _count(values, "repeat")
        sent = sum(self._webhooks.send(group, chave=group[0]["chave"], repeat=repeat) for group in groups)
        return json_answer({"callbacks": sent}, status=201)

    def forge(self, request: Request) -> Response:
        """
        Call the address of `to` (a key) with payments that no bank knows: {to, pix: [{…}]}.

        Missing fields are filled in; `chave` may name somebody else's key.
        """
        values = _values(request, "to", "pix")
        to, now = str(values.get("to", "")), self._state.frame.now()
        usual = {"valor": "1.00", "chave": to, "horario": stamp(now), "txid": "forged" + "0" * 26}
        forged = [usual | {"endToEndId": settlement_id("E", now)} | dict(entry) for entry in values.get("pix", [{}])]
        return json_answer({"callbacks": self._webhooks.send(forged, chave=to), "pix": forged}, status=201)

    def list_deliveries(self, request: Request) -> Response:
        """List the latest callbacks with their outcome."""
        return json_answer({"deliveries": self._state.deliveries.all(last=MOST_AT_ONCE)})

    def _is_payable(self, charge: Document) -> bool:
        calendar = charge["body"]["calendario"]
        if charge["body"]["status"] != "ATIVA":
            return False
        if "expiracao" in calendar:
            return moment(calendar["criacao"]) + float(calendar["expiracao"]) > self._state.frame.now()
        last_s = moment(f"{calendar['dataDeVencimento']}T23:59:59-03:00")
        return last_s + float(calendar["validadeAposVencimento"]) * 86_400 > self._state.frame.now()

    def _client(self, client_id: str) -> Document:
        return _found(self._state.clients.get(client_id), "client")

    def _charge(self, txid: str) -> Document:
        return _found(self._state.charge(txid), "charge")

    def _payment(self, e2eid: str) -> Document:
        payment: Document = _found(self._state.payments.get(e2eid), "payment")["body"]
        return payment


def _values(request: Request, *names: str) -> dict[str, Any]:
    values = read_json(request)
    if unknown := set(values) - set(names):
        raise _bad(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(names)}")
    return values


def _count(values: dict[str, Any], name: str) -> int:
    count = values.get(name, 1)
    if not isinstance(count, int) or not 1 <= count <= MOST_AT_ONCE:
        raise _bad(f"{name} must be 1 to {MOST_AT_ONCE}")
    return count


def _found(document: Document | None, what: str) -> Document:
    if document is None:
        raise Refused(404, {"error": f"no such {what}"})
    return document


def _bad(reason: str) -> Refused:
    return Refused(400, {"error": reason})
