"""Notifications that are wrong or odd on purpose, for receivers that must stand them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sandbox.frame import Refused
from sandbox.mercadopago.state import State, new_id
from sandbox.mercadopago.webhooks import NO_TWIST, Notice, Twist, Webhooks
from sandbox.store import Document

FIELDS = ("mode", "payment_id", "other_payment_id", "url", "age_s", "count")
SIMULATOR_ID = "123456"
FORGERS_SECRET = "sandbox-test-forged"  # noqa: S105 - nobody's secret
STALE_S = 3600.0
LATER_S = 0.4


class Scenarios:
    """Every mode, over one payment."""

    def __init__(self, state: State, webhooks: Webhooks) -> None:
        self._state = state
        self._webhooks = webhooks
        self._modes: dict[str, Callable[[Notice, str, Document], list[Document]]] = {
            "duplicate": self._duplicate,
            "out_of_order": self._out_of_order,
            "swapped_body": self._swapped_body,
            "foreign": self._foreign,
            "simulator": self._simulator,
            "forged": lambda notice, url, values: self._one(notice, url, Twist(secret=FORGERS_SECRET)),
            "unsigned": lambda notice, url, values: self._one(notice, url, Twist(unsigned=True)),
            "stale": lambda notice, url, values: self._one(notice, url, Twist(age_s=values.get("age_s", STALE_S))),
            "seconds": lambda notice, url, values: self._one(notice, url, Twist(ts_unit="s")),
            "milliseconds": lambda notice, url, values: self._one(notice, url, Twist(ts_unit="ms")),
            "lower_case": lambda notice, url, values: self._one(notice, url, Twist(id_case="lower")),
        }

    def play(self, values: Document) -> list[Document]:
        """Send what the mode says about a payment; return the deliveries; :raises Refused: something is unknown."""
        if unknown := sorted(set(values) - set(FIELDS)):
            raise Refused(400, {"error": f"unknown: {', '.join(unknown)}; known: {', '.join(FIELDS)}"})
        mode = self._modes.get(values.get("mode", ""))
        if mode is None:
            raise Refused(400, {"error": f"mode must be one of {', '.join(self._modes)}"})
        payment = self._payment(values.get("payment_id"))
        app = self._state.apps.get(payment["app_id"]) or {"webhook": {"url": ""}}
        url = values.get("url") or payment["view"]["notification_url"] or app["webhook"]["url"]
        if not url:
            raise Refused(400, {"error": "neither the payment nor its application has an address"})
        return mode(_notice(payment), url, values)

    def _duplicate(self, notice: Notice, url: str, values: Document) -> list[Document]:
        twist = Twist(notice_id=new_id(12))
        return [self._webhooks.send(notice, url=url, twist=twist) for _ in range(int(values.get("count", 2)))]

    def _out_of_order(self, notice: Notice, url: str, values: Document) -> list[Document]:
        created = replace(notice, action="payment.created")
        late = self._webhooks.send(created, url=url, after_s=LATER_S)
        return [self._webhooks.send(notice, url=url), late]

    def _swapped_body(self, notice: Notice, url: str, values: Document) -> list[Document]:
        other = self._payment(values.get("other_payment_id"))
        return self._one(notice, url, Twist(body_id=str(other["id"]), user_id=other["seller_id"]))

    def _foreign(self, notice: Notice, url: str, values: Document) -> list[Document]:
        other = self._payment(values.get("other_payment_id"))
        return self._one(replace(notice, data_id=str(other["id"])), url, NO_TWIST)

    def _simulator(self, notice: Notice, url: str, values: Document) -> list[Document]:
        test = replace(notice, data_id=SIMULATOR_ID, live_mode=False)
        return self._one(test, url, Twist(notice_id=int(SIMULATOR_ID)))

    def _one(self, notice: Notice, url: str, twist: Twist) -> list[Document]:
        return [self._webhooks.send(notice, url=url, twist=twist)]

    def _payment(self, payment_id: object) -> Document:
        found = self._state.payments.get(str(payment_id))
        if found is None:
            raise Refused(404, {"error": f"no such payment: {payment_id}"})
        return found


def _notice(payment: Document) -> Notice:
    return Notice(
        topic="payment", action="payment.updated", data_id=str(payment["id"]), seller_id=payment["seller_id"],
        app_id=payment["app_id"], live_mode=payment["live_mode"],
    )  # fmt: skip
