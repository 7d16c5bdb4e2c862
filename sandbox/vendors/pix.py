"""A bank's Pix API (BCB 2.9.0) at /pix/…, and over TLS with client certificates on a port of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from werkzeug.wrappers import Request, Response

from sandbox.frame import Frame, Refused, Route, Routes, Vendor
from sandbox.pix.certificates import Authority
from sandbox.pix.charges import COB_KIND, COBV_KIND, Charges, Locations
from sandbox.pix.control import Control
from sandbox.pix.edge import Edge
from sandbox.pix.payments import Payments
from sandbox.pix.problems import problem
from sandbox.pix.state import State
from sandbox.pix.tokens import Tokens
from sandbox.pix.webhooks import Webhooks

TOKEN_PATH = "/oauth/token"  # noqa: S105 - a path
TOKEN_PATHS = re.compile(r"(/[\w.-]+)*/token")
"""Where banks have their token service: below a path of their own."""

VERSION_PREFIX = re.compile(r"^(/[\w.-]+)*?/v\d+(?=/)")
"""What banks put before the standard's paths: names of their own and a version, such as /api/v2; may be left out."""

KINDS_OF_FAILURE = {429: "LimiteDeTaxaExcedido", 503: "ServicoIndisponivel"}


class Pix(Vendor):
    """The bank."""

    key = "pix"
    label = "Pix (API of a bank)"

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame)
        self._state = State(frame)
        self._edge = Edge(frame)
        self._tokens = Tokens(self._state, self._edge)
        self._authority = Authority(self._state, self._edge)
        self._webhooks = Webhooks(self._state)
        self._payments = Payments(self._state, self._webhooks)
        self._operations = Routes([Route(*place, act) for place, act in self._acts().items()])
        jobs = {"deliver": self._webhooks.deliver, "pay": self._payments.pay_by_itself, "settle": self._payments.settle}
        for name, handler in jobs.items():
            frame.runner.handle(vendor=self.key, name=name, handler=handler)
        self._authority.reopen()

    def call(self, request: Request, path: str) -> Response:
        """Answer one call: path, token, scope, then the operation."""
        path = _standard(request.method, path)
        if (request.method, path) == ("POST", TOKEN_PATH):
            return self._tokens.issue(request)
        found = self._operations.find(request.method, path)
        if found is None:
            raise problem("NaoEncontrado", f"Não há {request.method} {path}.")
        client = self._tokens.caller(request, scope=_scope(found[0]))
        return found[0].handler(request, client, **found[1])

    def operation(self, request: Request, path: str) -> str:
        """Name the operation by its pattern, such as "PUT /cob/{txid}"."""
        path = _standard(request.method, path)
        found = self._operations.find(request.method, path)
        return f"{request.method} {found[0].pattern if found else path}" if found or path == TOKEN_PATH else ""

    def failure(self, status: int) -> object:
        """Return the bank's body for too many requests and for a failure."""
        return problem(KINDS_OF_FAILURE.get(status, "ErroInternoDoServidor"), status=status).body

    def refusal(self, code: int | str) -> Refused:
        """Return the refusal whose type ends in this word; :raises KeyError: there is none."""
        return problem(str(code))

    def seed(self) -> None:
        """Write two businesses; certificates of an older life are void."""
        self._edge.close()
        self._state.seed()

    def control(self) -> Sequence[Route]:
        """Return the control routes."""
        return Control(
            self._state, authority=self._authority, payments=self._payments, webhooks=self._webhooks
        ).routes()

    def _acts(self) -> dict[tuple[str, str], Callable[..., Response]]:
        cob, cobv = Charges(self._state, COB_KIND), Charges(self._state, COBV_KIND)
        loc, pix, webhook = Locations(self._state), self._payments, self._webhooks
        return {
            ("POST", "/cob"): cob.create, ("PUT", "/cob/{txid}"): cob.create, ("GET", "/cob/{txid}"): cob.show,
            ("PATCH", "/cob/{txid}"): cob.change, ("GET", "/cob"): cob.list,
            ("PUT", "/cobv/{txid}"): cobv.create, ("GET", "/cobv/{txid}"): cobv.show,
            ("PATCH", "/cobv/{txid}"): cobv.change, ("GET", "/cobv"): cobv.list,
            ("POST", "/loc"): loc.create, ("GET", "/loc"): loc.list, ("GET", "/loc/{loc_id}"): loc.show,
            ("DELETE", "/loc/{loc_id}/txid"): loc.unlink,
            ("GET", "/pix/{e2eid}"): pix.show, ("GET", "/pix"): pix.list,
            ("PUT", "/pix/{e2eid}/devolucao/{refund_id}"): pix.refund,
            ("GET", "/pix/{e2eid}/devolucao/{refund_id}"): pix.show_refund,
            ("PUT", "/webhook/{chave}"): webhook.put, ("GET", "/webhook/{chave}"): webhook.show,
            ("DELETE", "/webhook/{chave}"): webhook.delete, ("GET", "/webhook"): webhook.list,
        }  # fmt: skip


def _standard(method: str, path: str) -> str:
    """Return a path as the standard has it, without what this bank puts before it."""
    is_token = method == "POST" and TOKEN_PATHS.fullmatch(path)
    return TOKEN_PATH if is_token else VERSION_PREFIX.sub("", path)


def _scope(route: Route) -> str:
    area = {"loc": "payloadlocation"}.get(name := route.pattern.split("/")[1], name)
    return f"{area}.{'read' if route.method == 'GET' else 'write'}"


VENDOR = Pix
