"""Charges: cob (pay now) and cobv (pay until a day), and the locations that their codes point to."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from werkzeug.wrappers import Request, Response

from sandbox.fields import FieldProblem, Rule, choice, listed, number, record, text
from sandbox.frame import Refused, json_answer
from sandbox.pix.brcode import dynamic_code
from sandbox.pix.documents import cnpj, cpf
from sandbox.pix.listing import is_true, page
from sandbox.pix.problems import Problem, problem, wrong_field
from sandbox.pix.state import State, moment, stamp
from sandbox.store import Document

TXID = re.compile(r"[a-zA-Z0-9]{26,35}")
VALUE = r"\d{1,10}\.\d{2}"
REMOVED = "REMOVIDA_PELO_USUARIO_RECEBEDOR"
DEFAULT_EXPIRY_S, DEFAULT_DAYS_AFTER = 86_400, 30
LOCATION_HOST = "pix.sandbox.example.com/qr/v2"
Handler = Callable[..., Response]


def whole(*, least: int, most: int) -> Rule:
    """Accept an integer of the range."""
    plain = number(least=least, most=most)

    def rule(value: object, path: str) -> None:
        plain(value, path)
        if not isinstance(value, int):
            raise FieldProblem("invalid", path, "not an integer")

    return rule


def day(value: object, path: str) -> None:
    """Accept a date as 2026-11-23, today or later."""
    try:
        found = date.fromisoformat(str(value))
    except ValueError as error:
        raise FieldProblem("invalid", path, "no date") from error
    if len(str(value)) != len("2026-11-23") or found < datetime.now(UTC).date():
        raise FieldProblem("invalid", path, "no date, or a past one")


def original(value: object, path: str) -> None:
    """Accept an amount such as 58.80, above zero."""
    text(pattern=VALUE)(value, path)
    if not str(value).strip("0."):
        raise FieldProblem("invalid", path, "zero")


def penalty(kinds: int) -> Rule:
    """Accept {modalidade, valorPerc}."""
    return record({"modalidade": whole(least=1, most=kinds), "valorPerc": text(pattern=VALUE)})


DISCOUNT = record(
    {"modalidade": whole(least=1, most=6)},
    {
        "valorPerc": text(pattern=VALUE),
        "descontoDataFixa": listed(record({"data": day, "valorPerc": text(pattern=VALUE)}), least=1, most=3),
    },
    one_of=("valorPerc", "descontoDataFixa"),
)
ADDRESS = {"email": text(most=77), "logradouro": text(most=200), "cidade": text(most=200), "uf": text(least=2, most=2),
           "cep": text(least=8, most=9)}  # fmt: skip
PERSON = {"cpf": cpf, "cnpj": cnpj}
INFORMATION: dict[str, Rule] = {
    "loc": record({"id": whole(least=1, most=2**31)}),
    "solicitacaoPagador": text(least=0, most=140),
    "infoAdicionais": listed(record({"nome": text(most=50), "valor": text(most=200)}), most=50),
}
COB: dict[str, Rule] = {
    "calendario": record({}, {"expiracao": whole(least=1, most=2**31 - 1)}),
    "devedor": record({"nome": text(most=200)}, PERSON, one_of=("cpf", "cnpj")),
    "valor": record({"original": original}, {"modalidadeAlteracao": whole(least=0, most=1)}),
    "chave": text(most=77),
    **INFORMATION,
}
COBV: dict[str, Rule] = {
    "calendario": record({"dataDeVencimento": day}, {"validadeAposVencimento": whole(least=0, most=9999)}),
    "devedor": record({"nome": text(most=200)}, PERSON | ADDRESS, one_of=("cpf", "cnpj")),
    "valor": record(
        {"original": original},
        {"multa": penalty(2), "juros": penalty(8), "abatimento": penalty(2), "desconto": DISCOUNT},
    ),
    "chave": text(most=77),
    **INFORMATION,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What differs between cob and cobv."""

    name: str
    word: str  # in the types of problems
    absent: str
    rules: dict[str, Rule]
    required: tuple[str, ...]

    def refuse(self, reason: str, *, field: str) -> Problem:
        """Return the refusal of one field."""
        return problem(f"{self.word}OperacaoInvalida", reason, field=f"{self.name}.{field}")


COB_KIND = Kind(name="cob", word="Cob", absent="CobNaoEncontrado", rules=COB, required=("valor", "chave"))
COBV_KIND = Kind(
    name="cobv", word="CobV", absent="CobVNaoEncontrada", rules=COBV,
    required=("calendario", "devedor", "valor", "chave"),
)  # fmt: skip
KINDS = {kind.name: kind for kind in (COB_KIND, COBV_KIND)}


class Charges:
    """The operations on charges of one kind."""

    def __init__(self, state: State, kind: Kind) -> None:
        self._state = state
        self._kind = kind

    def create(self, request: Request, client: Document, txid: str = "") -> Response:
        """Answer PUT /cob/{txid} and POST /cob; the same PUT again answers the same charge."""
        txid = txid or secrets.token_hex(16)
        if TXID.fullmatch(txid) is None:
            raise self._kind.refuse("O txid deve ter de 26 a 35 letras e dígitos.", field="txid")
        body = read_body(request, self._kind, required=self._kind.required)
        with self._state.frame.store.transaction():
            known = self._state.charge(txid, client=client["id"])
            if known:
                if known["asked"] != body:
                    raise self._kind.refuse("O txid já está em uso por outra cobrança.", field="txid")
                return json_answer(self.shown(known), status=201)
            charge = self._made(body, txid=txid, client=client)
        self._pay_later(charge)
        return json_answer(self.shown(charge), status=201)

    def show(self, request: Request, client: Document, txid: str) -> Response:
        """Answer GET /cob/{txid}."""
        return json_answer(self.shown(self._owned(client, txid)))

    def change(self, request: Request, client: Document, txid: str) -> Response:
        """Answer PATCH /cob/{txid}: new values, or the removal; only while it is ATIVA."""
        rules = self._kind.rules | {"status": choice(REMOVED)}
        body = read_body(request, self._kind, rules=rules, required=())
        with self._state.frame.store.transaction():
            charge = self._owned(client, txid)
            if charge["body"]["status"] != "ATIVA":
                raise self._kind.refuse("A cobrança não está ATIVA.", field="status")
            status, changes = body.pop("status", "ATIVA"), body
            self._require_key(changes, client)
            for name in ("calendario", "valor"):
                changes[name] = charge["body"][name] | changes.get(name, {})
            charge["body"] |= changes | {"status": status, "revisao": charge["body"]["revisao"] + 1}
            self._state.save_charge(charge | {"body": self._coded(charge["body"], client)})
        return json_answer(self.shown(charge))

    def list(self, request: Request, client: Document) -> Response:
        """Answer GET /cob?inicio&fim."""
        rows = [
            (moment(charge["body"]["calendario"]["criacao"]), self.shown(charge))
            for charge in self._state.charges.all(owner=client["id"]) if charge["kind"] == self._kind.name
        ]  # fmt: skip
        filters = {
            "cpf": lambda row, value: row.get("devedor", {}).get("cpf") == value,
            "cnpj": lambda row, value: row.get("devedor", {}).get("cnpj") == value,
            "status": lambda row, value: row["status"] == value,
            "locationPresente": lambda row, value: ("location" in row) == is_true(value),
        }
        name, refusal = f"{self._kind.name}s", f"{self._kind.word}ConsultaInvalida"
        return json_answer(page(request, rows, name=name, refusal=refusal, filters=filters))

    def shown(self, charge: Document) -> Document:
        """Return the charge with the payments it got."""
        paid = self._state.payments_of(charge)
        shown: Document = charge["body"] | ({"pix": paid} if paid else {})
        return shown

    def _made(self, body: Document, *, txid: str, client: Document) -> Document:
        self._require_key(body, client)
        now = stamp(self._state.frame.now())
        default = {"expiracao": DEFAULT_EXPIRY_S} if self._kind is COB_KIND else {}
        late = {"validadeAposVencimento": DEFAULT_DAYS_AFTER} if self._kind is COBV_KIND else {}
        payee = {"nome": client["name"], "cnpj": client["cnpj"], "cidade": client["city"]}
        made = body | {
            "calendario": default | late | body.get("calendario", {}) | {"criacao": now}, "txid": txid, "revisao": 0,
            "status": "ATIVA", "loc": self._location(body, txid=txid, client=client),
        } | ({"recebedor": payee} if self._kind is COBV_KIND else {})  # fmt: skip
        charge = {"client": client["id"], "kind": self._kind.name, "asked": body, "paid": []}
        return self._state.save_charge(charge | {"body": self._coded(made, client)})

    def _coded(self, body: Document, client: Document) -> Document:
        location = body["loc"]["location"]
        code = dynamic_code(location, name=client["name"], city=client["city"], amount=body["valor"]["original"])
        body |= {"location": location, "pixCopiaECola": code}
        return body

    def _location(self, body: Document, *, txid: str, client: Document) -> Document:
        wanted = body.get("loc", {}).get("id")
        if wanted is None:
            return add_location(self._state, client=client, kind=self._kind.name, txid=txid)
        entry = self._state.locations.get(str(wanted))
        if entry is None or entry["client"] != client["id"] or entry["body"]["tipoCob"] != self._kind.name:
            raise self._kind.refuse("A location não existe.", field="loc.id")
        if entry["txid"]:
            raise self._kind.refuse("A location está em uso por outra cobrança.", field="loc.id")
        self._state.locations.put(str(wanted), entry | {"txid": txid}, owner=client["id"])
        return dict(entry["body"])

    def _require_key(self, body: Document, client: Document) -> None:
        if "chave" in body and body["chave"] not in client["keys"]:
            reason = "O campo chave corresponde a uma conta que não pertence a este usuário recebedor."
            raise self._kind.refuse(reason, field="chave")

    def _owned(self, client: Document, txid: str) -> Document:
        charge = self._state.charge(txid, client=client["id"])
        if charge is None or charge["kind"] != self._kind.name:
            raise problem(self._kind.absent, "Não há cobrança com este txid.")
        return charge

    def _pay_later(self, charge: Document) -> None:
        after_s = self._state.settings.pay_after_s
        if after_s is not None:
            body = {"client": charge["client"], "txid": charge["body"]["txid"]}
            self._state.frame.runner.schedule(vendor="pix", name="pay", body=body, after_s=after_s)


class Locations:
    """The operations on locations."""

    def __init__(self, state: State) -> None:
        self._state = state

    def create(self, request: Request, client: Document) -> Response:
        """Answer POST /loc {tipoCob}."""
        root = "PayloadLocationOperacaoInvalida"
        body = checked(request, record({"tipoCob": choice(*KINDS)}), refusal=root, root="location")
        return json_answer(add_location(self._state, client=client, kind=body["tipoCob"], txid=""), status=201)

    def show(self, request: Request, client: Document, loc_id: str) -> Response:
        """Answer GET /loc/{id}."""
        return json_answer(_shown_location(self._owned(client, loc_id)))

    def list(self, request: Request, client: Document) -> Response:
        """Answer GET /loc?inicio&fim."""
        entries = self._state.locations.all(owner=client["id"])
        rows = [(moment(entry["body"]["criacao"]), _shown_location(entry)) for entry in entries]
        filters = {
            "tipoCob": lambda row, value: row["tipoCob"] == value,
            "txIdPresente": lambda row, value: ("txid" in row) == is_true(value),
        }
        return json_answer(page(request, rows, name="loc", refusal="PayloadLocationConsultaInvalida", filters=filters))

    def unlink(self, request: Request, client: Document, loc_id: str) -> Response:
        """Answer DELETE /loc/{id}/txid."""
        entry = self._owned(client, loc_id)
        self._state.locations.put(loc_id, entry | {"txid": ""}, owner=client["id"])
        return json_answer(entry["body"])

    def _owned(self, client: Document, loc_id: str) -> Document:
        entry = self._state.locations.get(loc_id)
        if entry is None or entry["client"] != client["id"]:
            raise problem("PayloadLocationNaoEncontrado", "Não há location com este id.")
        return entry


def add_location(state: State, *, client: Document, kind: str, txid: str) -> Document:
    """Write a location and return it as the API shows it within a charge."""
    loc_id = state.next_number()
    part = "cobv/" if kind == "cobv" else ""
    body = {"id": loc_id, "location": f"{LOCATION_HOST}/{part}{secrets.token_hex(16)}", "tipoCob": kind,
            "criacao": stamp(state.frame.now())}  # fmt: skip
    state.locations.put(str(loc_id), {"client": client["id"], "txid": txid, "body": body}, owner=client["id"])
    return body


def read_body(
    request: Request, kind: Kind, *, required: Sequence[str], rules: dict[str, Rule] | None = None
) -> Document:
    """Return the JSON body of a charge; :raises Refused: a field breaks its rule."""
    rules = rules or kind.rules
    must, may = ({n: rule for n, rule in rules.items() if (n in required) is side} for side in (True, False))
    return checked(request, record(must, may), refusal=f"{kind.word}OperacaoInvalida", root=kind.name)


def checked(request: Request, rule: Rule, *, refusal: str, root: str) -> dict[str, Any]:
    """Return the JSON object of a call that passes the rule; :raises Refused: it is none, or a field is wrong."""
    try:
        body: dict[str, Any] = json.loads(request.get_data())
        rule(body, "")
    except FieldProblem as found:
        raise wrong_field(refusal, found, root=root) from found
    except (ValueError, RecursionError) as error:
        raise problem(refusal, "O corpo não é JSON.") from error
    if request.mimetype != "application/json":
        raise Refused(415, problem(refusal, "O corpo deve ser application/json.", status=415).body)
    return body


def _shown_location(entry: Document) -> Document:
    shown: Document = entry["body"] | ({"txid": entry["txid"]} if entry["txid"] else {})
    return shown
