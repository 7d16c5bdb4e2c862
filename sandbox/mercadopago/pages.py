"""Pages that the vendor hosts: checkout, ticket, subscription, and the page on which a seller allows an application."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode, urlsplit

from markupsafe import Markup
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from sandbox.frame import Route
from sandbox.mercadopago.checkout import WAYS, Checkout
from sandbox.mercadopago.ledger import WAITING, Ledger
from sandbox.mercadopago.oauth import BadRequest, OAuth, back_address
from sandbox.mercadopago.state import State
from sandbox.mercadopago.subscriptions import Subscriptions
from sandbox.mercadopago.texts import texts_of
from sandbox.mercadopago.times import cents, money_text
from sandbox.pages import html_page
from sandbox.store import Document
from sandbox.texts import language_of

POLICY = "default-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
SHELL = Markup('<main class="wide"><p class="language">{fictitious}</p><h1>{title}</h1>{content}</main>')
BUTTON = Markup('<p><button type="submit" name="{name}" value="{value}"{quiet}>{text}</button></p>')
FORM = Markup('<form method="post" class="stack">{content}</form>')
LINE = Markup("<p>{name}: <strong>{value}</strong></p>")
CODE = Markup(
    '<p>{scan}</p><p><img src="data:image/png;base64,{png}" alt="QR" width="240"></p>'
    '<p>{copy}</p><p><textarea readonly rows="4" cols="44" id="code">{text}</textarea></p>'
)
QUIET = Markup(' class="quiet"')
LINK = Markup('<p><a id="back" href="{url}">{text}</a></p>')


class Pages:
    """The handlers; forms post back to the page's own address."""

    def __init__(
        self, state: State, *, checkout: Checkout, oauth: OAuth, ledger: Ledger, subscriptions: Subscriptions
    ) -> None:
        self._state = state
        self._checkout = checkout
        self._oauth = oauth
        self._ledger = ledger
        self._subscriptions = subscriptions

    def routes(self) -> Sequence[Route]:
        """Return the pages, which need no token."""
        return (
            Route("GET", "/authorization", self.ask_seller),
            Route("POST", "/authorization", self.answer_seller),
            Route("GET", "/checkout/v1/redirect", self.show_checkout),
            Route("POST", "/checkout/v1/redirect", self.pay_checkout),
            Route("GET", "/payments/{payment_id}/ticket", self.show_ticket),
            Route("POST", "/payments/{payment_id}/ticket", self.pay_ticket),
            Route("GET", "/subscriptions/checkout", self.show_subscription),
            Route("POST", "/subscriptions/checkout", self.subscribe),
        )

    def phone_routes(self) -> Sequence[Route]:
        """Return the list of payments that wait, for the index."""
        return (Route("GET", "/", self.list_waiting),)

    # The seller's consent

    def ask_seller(self, request: Request) -> Response:
        """Ask which seller allows the application."""
        texts = texts_of(language_of(request))
        try:
            app = self._oauth.asked(request.args)
        except BadRequest as problem:
            return _page(request, texts["bad_address"], Markup("<p>{}</p>").format(str(problem)), status=400)
        buttons = [
            _button("user_id", seller["id"], f"{seller['name']} ({seller['site_id']})")
            for seller in self._state.sellers.all()
        ]
        content = Markup("<p>{}</p>").format(texts["connect_lead"].format(name=app["name"])) + _form(
            *buttons, _button("user_id", "", texts["deny"], quiet=True)
        )
        return _page(request, texts["connect_title"], content, goes_to=request.args["redirect_uri"])

    def answer_seller(self, request: Request) -> Response:
        """Send the seller back with a code, or with the refusal."""
        texts = texts_of(language_of(request))
        chosen = self._state.sellers.get(request.form.get("user_id", ""))
        try:
            self._oauth.asked(request.args)
            address = (
                self._oauth.grant(request.args, seller_id=chosen["id"])
                if chosen
                else back_address(request.args, error="access_denied")
            )
        except BadRequest as problem:
            return _page(request, texts["bad_address"], Markup("<p>{}</p>").format(str(problem)), status=400)
        return redirect(address, code=303)

    # Checkout Pro

    def show_checkout(self, request: Request) -> Response:
        """Show what is bought and the ways to pay."""
        texts = texts_of(language_of(request))
        preference = self._state.preferences.get(request.args.get("pref_id", ""))
        if preference is None:
            return _page(request, texts["unknown"], Markup(""), status=404)
        if not self._checkout.is_open(preference):
            return _page(request, texts["over"], _way_back(preference, texts))
        seller = self._state.seller(preference["collector_id"])
        lines = [_line(item["title"], f"{item['quantity']} x {item['unit_price']}") for item in preference["items"]]
        lines += [_line(texts["total"], f"{preference['items'][0]['currency_id']} {self._checkout.total(preference)}")]
        buttons = [_button("way", way, texts[way]) for way in self._checkout.ways(preference)]
        content = Markup("").join(lines) + _form(*buttons, _button("way", "back", texts["back"], quiet=True))
        failure = preference["back_urls"]["failure"]
        return _page(request, f"{texts['pay_to']} {seller['name']}", content, goes_to=failure, preference=preference)

    def pay_checkout(self, request: Request) -> Response:
        """Do what the buyer chose and bring him back to the shop, or say how to get there."""
        texts = texts_of(language_of(request))
        preference, way = self._state.preferences.get(request.args.get("pref_id", "")), request.form.get("way", "")
        if preference is None or not (way == "back" or way in WAYS):
            return _page(request, texts["unknown"], Markup(""), status=404)
        with self._state.frame.store.transaction():
            outcome = self._checkout.choose(preference, way)
        if outcome.ticket:
            return redirect(outcome.ticket, code=303)
        if outcome.returns and outcome.address:
            return redirect(outcome.address, code=303)
        status = _line(texts["status"], texts.get(outcome.status, outcome.status))
        link = LINK.format(url=outcome.address, text=texts["back_to_shop"]) if outcome.address else Markup("")
        return _page(request, texts["pay_to"], status + link)

    # Tickets

    def show_ticket(self, request: Request, payment_id: str) -> Response:
        """Show a pix or ticket with buttons of the buyer's bank."""
        texts = texts_of(language_of(request))
        payment = self._state.payments.get(payment_id)
        if payment is None or payment["view"]["payment_type_id"] not in ("bank_transfer", "ticket"):
            return _page(request, texts["unknown"], Markup(""), status=404)
        return _page(request, self._payee(payment, texts), self._ticket(payment, texts))

    def pay_ticket(self, request: Request, payment_id: str) -> Response:
        """Pay a pix or ticket, whole or half."""
        half = request.form.get("pay") == "half"
        with self._state.frame.store.transaction():
            payment = self._state.payments.get(payment_id)
            if payment is not None and payment["view"]["status"] == "pending":
                amount = max(cents(payment["view"]["transaction_amount"]) // 2, 1)
                self._ledger.approve(payment, amount_minor=amount if half else None)
        return redirect(request.url, code=303)

    def list_waiting(self, request: Request) -> Response:
        """List what buyers still have to pay."""
        texts = texts_of(language_of(request))
        views = [
            payment["view"]
            for payment in self._state.payments.all(last=50)
            if payment["view"]["status"] == "pending"
            and payment["view"]["payment_type_id"] in ("bank_transfer", "ticket")
        ]
        items = Markup("").join(
            Markup('<li><a href="{}/payments/{}/ticket">{} {} {}</a></li>').format(
                self._state.base_url, view["id"], view["payment_method_id"], view["currency_id"],
                money_text(cents(view["transaction_amount"])),
            )
            for view in reversed(views)
        )  # fmt: skip
        content = (
            Markup('<ul class="cards">{}</ul>').format(items) if views else Markup("<p>{}</p>").format(texts["no_pix"])
        )
        return _page(request, texts["waiting_title"], content)

    # Subscriptions

    def show_subscription(self, request: Request) -> Response:
        """Show what is subscribed to."""
        texts = texts_of(language_of(request))
        preapproval = self._state.preapprovals.get(request.args.get("preapproval_id", ""))
        if preapproval is None or preapproval["status"] != "pending":
            return _page(request, texts["unknown"], Markup(""), status=404)
        recurring = preapproval["auto_recurring"]
        price = f"{recurring['currency_id']} {money_text(cents(recurring['transaction_amount']))}"
        buttons = (_button("pay", "card", texts["subscribe"]), _button("pay", "back", texts["back"], quiet=True))
        content = _line(preapproval["reason"], price) + _form(*buttons)
        return _page(request, texts["subscribe_title"], content, goes_to=preapproval["back_url"])

    def subscribe(self, request: Request) -> Response:
        """Let the buyer subscribe with a card, and bring him back."""
        texts = texts_of(language_of(request))
        preapproval = self._state.preapprovals.get(request.args.get("preapproval_id", ""))
        if preapproval is None or preapproval["status"] != "pending":
            return _page(request, texts["unknown"], Markup(""), status=404)
        if request.form.get("pay") == "card":
            self._subscriptions.accept(preapproval)
        joint = "&" if "?" in preapproval["back_url"] else "?"
        return redirect(f"{preapproval['back_url']}{joint}{urlencode({'preapproval_id': preapproval['id']})}", code=303)

    def _payee(self, payment: Document, texts: dict[str, str]) -> str:
        return f"{texts['pay_to']} {self._state.seller(payment['seller_id'])['name']}"

    def _ticket(self, payment: Document, texts: dict[str, str]) -> Markup:
        view = payment["view"]
        amount = f"{view['currency_id']} {money_text(cents(view['transaction_amount']))}"
        content = _line(texts["total"], amount) + _line(texts["status"], texts.get(view["status"], view["status"]))
        if view["status"] in WAITING:
            data = view["point_of_interaction"].get("transaction_data")
            if data:
                content += CODE.format(**texts, png=data["qr_code_base64"], text=data["qr_code"])
            else:
                content += _line(texts["bar_code"], view["barcode"]["content"])
            buttons = (_button("pay", "whole", texts["pay_now"]), _button("pay", "half", texts["pay_less"], quiet=True))
            content += _form(*buttons)
        preference = self._state.preferences.get(payment["preference_id"] or "")
        return content + (self._return_link(preference, view, texts) if preference else Markup(""))

    def _return_link(self, preference: Document, view: Document, texts: dict[str, str]) -> Markup:
        address = self._checkout.address(preference, view)
        return LINK.format(url=address, text=texts["back_to_shop"]) if address else Markup("")


def _page(
    request: Request, title: str, content: Markup, *, status: int = 200, goes_to: str = "",
    preference: Document | None = None,
) -> Response:  # fmt: skip
    texts = texts_of(language_of(request))
    shell = SHELL.format(fictitious=texts["fictitious"], title=title, content=content)
    response = html_page(request, title=title, content=shell, script="index.js")
    response.status_code = status
    addresses = [goes_to, *(preference["back_urls"].values() if preference else ())]
    # A form's answer may redirect to the shop; browsers hold the redirect against form-action too.
    origins = sorted({f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, addresses) if parts.netloc})
    response.headers["Content-Security-Policy"] = f"{POLICY} {' '.join(origins)}"
    return response


def _button(name: str, value: object, text: str, *, quiet: bool = False) -> Markup:
    return BUTTON.format(name=name, value=value, text=text, quiet=QUIET if quiet else "")


def _form(*parts: Markup) -> Markup:
    return FORM.format(content=Markup("").join(parts))


def _line(name: str, value: str) -> Markup:
    return LINE.format(name=name, value=value)


def _way_back(preference: Document, texts: dict[str, str]) -> Markup:
    address = preference["back_urls"]["failure"]
    return LINK.format(url=address, text=texts["back_to_shop"]) if address else Markup("")
