"""WhatsApp Cloud API: a strict stand-in of every operation and webhook of the provider card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from werkzeug.wrappers import Request, Response

from sandbox.fields import FieldProblem
from sandbox.frame import Frame, Refused, Route
from sandbox.meta.graph import GraphVendor, Operation
from sandbox.store import Document
from sandbox.whatsapp.accounts import Accounts
from sandbox.whatsapp.control import Control
from sandbox.whatsapp.customers import Customers
from sandbox.whatsapp.media import ATTACHMENTS, Media
from sandbox.whatsapp.numbers import Numbers
from sandbox.whatsapp.phone import PhonePage
from sandbox.whatsapp.seed import seed
from sandbox.whatsapp.sending import Sending, message_refusal
from sandbox.whatsapp.state import State
from sandbox.whatsapp.templates import Templates
from sandbox.whatsapp.webhooks import Webhooks


class WhatsApp(GraphVendor):
    """The Cloud API at /whatsapp/v26.0/…, media at /whatsapp/whatsapp_business/attachments/."""

    key = "whatsapp"
    label = "WhatsApp"
    phone_page = True
    product = "whatsapp"

    def __init__(self, frame: Frame) -> None:
        self._state = State(frame)
        self._webhooks = Webhooks(self._state)
        self._accounts = Accounts(self._state, self._webhooks)
        self._numbers = Numbers(self._state, self._webhooks)
        self._templates = Templates(self._state, self._webhooks)
        self._media = Media(self._state)
        self._sending = Sending(self._state, webhooks=self._webhooks, templates=self._templates, media=self._media)
        self._customers = Customers(self._state, webhooks=self._webhooks, media=self._media)
        super().__init__(frame)
        jobs = {
            "deliver": self._webhooks.deliver,
            "status": self._sending.follow,
            "review": self._templates.review,
        }
        for name, handler in jobs.items():
            frame.runner.handle(vendor=self.key, name=name, handler=handler)

    def operations(self) -> Sequence[Operation]:
        """Return every operation of the card."""
        parts = (self._accounts, self._numbers, self._templates, self._media, self._sending)
        return [operation for part in parts for operation in part.operations()]

    def root_calls(self) -> Mapping[str, Callable[[Request], object]]:
        """Return the calls about tokens."""
        return {"debug_token": self._accounts.debug_token, "oauth/access_token": self._accounts.access_token}

    def find_node(self, key: str) -> tuple[str, Document] | None:
        """Find an object of any kind by its id."""
        finders: Mapping[str, Callable[[str], Document | None]] = {
            "phone": self._state.phones.get,
            "waba": self._state.wabas.get,
            "template": self._state.templates.get,
            "media": self._media.find,
            "app": self._state.tokens.apps.get,
        }
        for kind, find in finders.items():
            found = find(key)
            if found is not None:
                return kind, {"targets": []} | found
        return None

    def operation(self, request: Request, path: str) -> str:
        """Name the operation; the download of media is one too."""
        return "media.download" if path == ATTACHMENTS else super().operation(request, path)

    def call(self, request: Request, path: str) -> Response:
        """Answer a Graph call or a download."""
        if path == ATTACHMENTS and request.method == "GET":
            return self._media.download(request)
        return super().call(request, path)

    def refuse_field(self, problem: FieldProblem) -> Refused:
        """Return the Cloud API's codes for wrong fields."""
        return message_refusal(problem)

    def seed(self) -> None:
        """Write the platform's app and two businesses."""
        seed(self._state, self._templates)

    def control(self) -> Sequence[Route]:
        """Return the control routes."""
        return Control(
            self._state, webhooks=self._webhooks, templates=self._templates, sending=self._sending,
            customers=self._customers,
        ).routes()  # fmt: skip

    def pages(self) -> Sequence[Route]:
        """Return the phone page."""
        return PhonePage(self._state, media=self._media).routes()


VENDOR = WhatsApp
