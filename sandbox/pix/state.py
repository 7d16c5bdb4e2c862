"""What the bank knows: clients and their keys, charges, payments, webhooks, and how it is set to behave."""

from __future__ import annotations

import secrets
import string
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from sandbox.frame import Frame
from sandbox.store import Document

SCOPES = tuple(
    f"{area}.{right}" for area in ("cob", "cobv", "pix", "webhook", "payloadlocation") for right in ("read", "write")
)
ISPB = "99999004"
LETTERS = string.ascii_letters + string.digits
CLIENTS: Sequence[Document] = (
    {
        "id": "Client_Id_test_aurora", "secret": "Client_Secret_test_aurora", "name": "PADARIA AURORA",
        "city": "CURITIBA", "cnpj": "11222333000181", "scopes": list(SCOPES),
        "keys": ["4b2f0c77-61de-4c1b-9a35-d0e8f7a61c93", "caixa@aurora.example.com", "11222333000181"],
    },
    {
        "id": "Client_Id_test_harbor", "secret": "Client_Secret_test_harbor", "name": "HARBOR BIKES",
        "city": "RECIFE", "cnpj": "12ABC34501DE35", "scopes": list(SCOPES),
        "keys": ["c7d10b52-0f3e-4d9c-8f61-2b9e4a7710de", "+5581955501234"],
    },
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class BankSettings:
    """How this bank behaves. Durations in seconds; None means never."""

    token_lifetime_s: float = 3600.0
    require_certificate: bool = False  # over plain http; the TLS port always demands one
    append_pix: bool = True  # many banks call webhookUrl + "/pix"
    pay_after_s: float | None = None
    refund_after_s: float = 0.2
    refund_fails: bool = False


class State:
    """Collections of the bank and the questions that several parts ask them."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.clients = frame.store.collection("pix", "client")
        self.tokens = frame.store.collection("pix", "token")
        self.charges = frame.store.collection("pix", "charge")
        self.locations = frame.store.collection("pix", "location")
        self.payments = frame.store.collection("pix", "payment")
        self.webhooks = frame.store.collection("pix", "webhook")
        self.deliveries = frame.store.collection("pix", "delivery")
        self._settings = frame.store.collection("pix", "settings")

    @property
    def settings(self) -> BankSettings:
        """Return the settings in force."""
        return BankSettings(**(self._settings.get("settings") or {}))

    def change_settings(self, values: dict[str, Any]) -> BankSettings:
        """Change some settings; :raises ValueError: a name is unknown or a value of the wrong kind."""
        kinds = {field.name: str(field.type) for field in fields(BankSettings)}
        for name, value in values.items():
            if name not in kinds:
                raise ValueError(f"unknown setting {name}; known: {', '.join(kinds)}")
            is_flag, is_empty = isinstance(value, bool), value is None
            fits = is_flag == (kinds[name] == "bool") and (not is_empty or "None" in kinds[name])
            if not fits or not (is_flag or is_empty or (isinstance(value, int | float) and value >= 0)):
                raise ValueError(f"{name} must be {kinds[name]} and not negative")
        changed = asdict(self.settings) | values
        self._settings.put("settings", changed)
        return BankSettings(**changed)

    def seed(self) -> None:
        """Write two businesses with their clients and keys."""
        for client in CLIENTS:
            self.clients.put(client["id"], client)

    def client_of(self, key: str) -> Document | None:
        """Return whose Pix key it is."""
        return next((client for client in self.clients.all() if key in client["keys"]), None)

    def charge(self, txid: str, *, client: str | None = None) -> Document | None:
        """Return a charge of a client, or of anyone; a txid is unique per payee."""
        owners = [client] if client else [entry["id"] for entry in self.clients.all()]
        return next((found for owner in owners if (found := self.charges.get(f"{owner}:{txid}"))), None)

    def save_charge(self, charge: Document) -> Document:
        """Write a charge."""
        return self.charges.put(f"{charge['client']}:{charge['body']['txid']}", charge, owner=charge["client"])

    def payments_of(self, charge: Document) -> list[Document]:
        """Return the payments of one charge, oldest first, as the API shows them."""
        found = (self.payments.get(e2eid) for e2eid in charge["paid"])
        return [entry["body"] for entry in found if entry]

    def next_number(self) -> int:
        """Return the next id of a location, from 1."""
        with self.frame.store.transaction():
            count = (self._settings.get("locations") or {"count": 0})["count"] + 1
            self._settings.put("locations", {"count": count})
        return int(count)


def stamp(at: float) -> str:
    """Return a moment as the API writes it: UTC with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str) -> float:
    """Return Unix seconds of an RFC 3339 time; :raises ValueError: it is none, or has no zone."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("the time has no zone")
    return found.timestamp()


def settlement_id(kind: str, at: float) -> str:
    """Return an id of the settlement system: E of a payment, D of a return; 32 characters."""
    tail = "".join(secrets.choice(LETTERS) for _ in range(11))
    return f"{kind}{ISPB}{datetime.fromtimestamp(at, UTC):%Y%m%d%H%M}{tail}"
