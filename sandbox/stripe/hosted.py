"""The pages of payers: checkout, one payment, the billing portal, onboarding, and OAuth's question. No scripts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from markupsafe import Markup, escape
from werkzeug.wrappers import Request, Response

from sandbox.frame import Refused, Route
from sandbox.pages import SECURITY_HEADERS
from sandbox.store import Document
from sandbox.stripe.checkout import Checkout
from sandbox.stripe.connect import LINK_LIVES_S, Connect, redirect_with
from sandbox.stripe.errors import Declined
from sandbox.stripe.methods import DECLINES
from sandbox.stripe.money import shown as money
from sandbox.stripe.payments import Payments
from sandbox.stripe.pix import qr_png, qr_svg
from sandbox.stripe.state import State
from sandbox.stripe.subscriptions import Subscriptions
from sandbox.stripe.words import words_of
from sandbox.texts import language_of

PAGE = Markup(
    '<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
    '<link rel="stylesheet" href="/static/sandbox.css"></head><body><main class="wide"><h1>{title}</h1>{content}</main>'
    "</body></html>"
)
BUTTON = Markup('<p><button type="submit" name="act" value="{act}">{label}</button></p>')
PICTURES = {"svg": (qr_svg, "image/svg+xml"), "png": (qr_png, "image/png")}
PAYER_ACTS = ("card", "decline", "three_d_secure", "pix")
WAITING_ACTS = ("pay", "refuse")


class Hosted:
    """The pages under /stripe/…"""

    def __init__(
        self, state: State, *, checkout: Checkout, payments: Payments, connect: Connect, subscriptions: Subscriptions
    ) -> None:
        self._state = state
        self._checkout = checkout
        self._payments = payments
        self._connect = connect
        self._subscriptions = subscriptions

    def routes(self) -> Sequence[Route]:
        """Return the routes of the pages."""
        return (
            Route("GET", "/c/pay/{key}", self.show_checkout),
            Route("POST", "/c/pay/{key}", self.act_on_checkout),
            Route("GET", "/payer/{secret}", self.show_payer),
            Route("POST", "/payer/{secret}", self.act_as_payer),
            Route("GET", "/qr/{name}", self.show_code),
            Route("GET", "/p/session/{token}", self.show_portal),
            Route("POST", "/p/session/{token}", self.act_on_portal),
            Route("GET", "/setup/{key}", self.show_onboarding),
            Route("POST", "/setup/{key}", self.act_on_onboarding),
            Route("GET", "/oauth/authorize", self.show_authorize),
            Route("POST", "/oauth/authorize", self.act_on_authorize),
        )

    # Checkout

    def show_checkout(self, request: Request, key: str) -> Response:
        """Show what is bought and the ways to pay."""
        session = self._need("checkout.session", key)
        if session["status"] != "open":
            return _page(request, "over", Markup(""))
        words = words_of(language_of(request))
        acts = ["card", "decline", *(["pix"] if "pix" in session["payment_method_types"] else []), "cancel"]
        lines = [(line["description"], line["quantity"], line["amount_total"]) for line in session["_lines"]]
        rows = [Markup("<li>{} x {}: {}</li>").format(count, name, money(amount, session["currency"]))
                for name, count, amount in lines]  # fmt: skip
        total = money(session["amount_total"] or 0, session["currency"] or "usd")
        content = Markup("<ul>{}</ul><p><strong>{}</strong></p>").format(Markup("").join(rows), total)
        return _page(request, "checkout", content + _form(acts, words), leads_to=_targets(session))

    def act_on_checkout(self, request: Request, key: str) -> Response:
        """Pay, be refused, or leave; then go where the session says."""
        session, act = self._need("checkout.session", key), request.form.get("act", "")
        if act == "cancel":
            return _go(session["cancel_url"]) if session["cancel_url"] else _page(request, "canceled", Markup(""))
        if session["status"] != "open":
            return _page(request, "over", Markup(""))
        method = {"card": "pm_card_visa", "decline": "pm_card_chargeDeclined", "pix": "pix"}.get(act)
        if method is None:
            raise Refused(400, {"error": "act must be card, decline, pix or cancel"})
        outcome = self._do(lambda: self._checkout.pay(session, method=method))
        if isinstance(outcome, Declined):
            return _page(request, "declined", _back(request), status=402)
        if act == "pix" and outcome["payment_intent"]:
            intent = self._need("payment_intent", outcome["payment_intent"])
            return _go(intent["next_action"]["pix_display_qr_code"]["hosted_instructions_url"])
        return _go(self._success(session))

    # One payment

    def show_payer(self, request: Request, secret: str) -> Response:
        """Show a payment and what its payer can do now."""
        intent, words = self._intent(secret), words_of(language_of(request))
        content = Markup("<p><strong>{}</strong></p>").format(money(intent["amount"], intent["currency"]))
        action = intent["next_action"] or {}
        if action.get("type") == "pix_display_qr_code":
            code = action["pix_display_qr_code"]["data"]
            content += Markup('<p><img src="/stripe/qr/{}.svg" alt="QR" width="240"></p><p><code>{}</code></p>').format(
                secret, code
            )
        if intent["status"] == "requires_action":
            content += _form(WAITING_ACTS, words)
        elif intent["status"] in ("requires_payment_method", "requires_confirmation"):
            fits = [act for act in PAYER_ACTS if act != "pix" or "pix" in intent["payment_method_types"]]
            content += _form(fits, words)
        else:
            content += Markup("<p>{}</p>").format(intent["status"])
        return _page(request, "payment", content, leads_to=[self._after(intent)])

    def act_as_payer(self, request: Request, secret: str) -> Response:
        """Pay, refuse or authenticate; then go back to the shop if it said where."""
        intent, act = self._intent(secret), request.form.get("act", "")
        scope = self._state.scope_of(intent)
        methods = self._payments.methods
        tests = {"card": "visa", "decline": "chargeDeclined", "three_d_secure": "threeDSecureRequired"}
        if intent["status"] == "requires_action" and act in WAITING_ACTS:
            settle = self._payments.succeed if act == "pay" else self._refuse
            self._do(lambda: settle(scope, intent))
        elif act in tests:
            self._do(lambda: self._payments.attempt(
                scope, intent, methods.take(scope, f"pm_card_{tests[act]}"), present=True))  # fmt: skip
        elif act == "pix":
            self._do(lambda: self._payments.attempt(scope, intent, methods.make(scope, {"type": "pix"}), present=True))
        else:
            raise Refused(400, {"error": "this cannot be done to the payment now"})
        now = self._intent(secret)
        target = self._after(now)
        done = now["status"] in ("succeeded", "requires_capture") or act == "refuse"
        return _go(target) if target and done else _go(request.path)

    def show_code(self, request: Request, name: str) -> Response:
        """Return the QR code of a PIX as a picture."""
        secret, _, kind = name.rpartition(".")
        action = self._intent(secret)["next_action"] or {}
        if kind not in PICTURES or "pix_display_qr_code" not in action:
            raise Refused(404, {"error": "no such code"})
        draw, mimetype = PICTURES[kind]
        return Response(draw(action["pix_display_qr_code"]["data"]), mimetype=mimetype, headers=SECURITY_HEADERS)

    # Portal, onboarding, OAuth

    def show_portal(self, request: Request, token: str) -> Response:
        """Show the customer's subscriptions."""
        session = self._portal(token)
        rows = [Markup("<li>{}: {}</li>").format(found["id"], found["status"]) for found in self._running(session)]
        acts = [*(["cancel_subscriptions"] if rows else []), "back"]
        content = Markup("<ul>{}</ul>").format(Markup("").join(rows)) + _form(acts, words_of(language_of(request)))
        return _page(request, "portal", content, leads_to=[session["return_url"]])

    def act_on_portal(self, request: Request, token: str) -> Response:
        """Let the customer's subscriptions end with their period, or go back."""
        session = self._portal(token)
        if request.form.get("act") == "cancel_subscriptions":
            for found in self._running(session):
                scope = self._state.scope_of(found)
                self._do(lambda scope=scope, found=found: self._subscriptions.change(  # type: ignore[misc]
                    scope, found, cancel_at_period_end=True, canceled_at=self._state.now()))  # fmt: skip
            return _go(request.path)
        return _go(session["return_url"]) if session["return_url"] else _go(request.path)

    def show_onboarding(self, request: Request, key: str) -> Response:
        """Ask what Stripe asks a new account; a link serves once and for minutes."""
        link = self._link(key)
        if link["used"] or link["at"] + LINK_LIVES_S < self._state.now():
            return _go(link["refresh_url"])
        form = _form(["finish", "back"], words_of(language_of(request)))
        return _page(request, "onboarding", form, leads_to=[link["return_url"], link["refresh_url"]])

    def act_on_onboarding(self, request: Request, key: str) -> Response:
        """Finish, which lets the account charge; or leave it unfinished."""
        link = self._link(key)
        self._state.collection("account_link").change(key, used=True)
        if request.form.get("act") == "finish":
            nothing: Document = {"currently_due": [], "eventually_due": [], "past_due": [], "disabled_reason": None}
            account = self._connect.account(link["account"])
            done: dict[str, Any] = dict.fromkeys(("charges_enabled", "payouts_enabled", "details_submitted"), True)
            done["requirements"] = account["requirements"] | nothing
            done["capabilities"] = dict.fromkeys(account["capabilities"], "active")
            self._do(lambda: self._connect.change_account(link["account"], livemode=link["livemode"], values=done))
        return _go(link["return_url"])

    def show_authorize(self, request: Request) -> Response:
        """Ask an account whether the platform may act for it."""
        self._platform(request)
        accounts = [found for found in self._state.collection("account").all() if found["type"] == "standard"]
        names = Markup("").join(
            Markup('<option value="{}">{}</option>').format(found["id"], _name(found)) for found in accounts
        )
        words = words_of(language_of(request))
        select = Markup('<p><select name="account" aria-label="{}">{}</select></p>').format(words["account"], names)
        form = _form(["connect", "deny"], words, within=select)
        return _page(request, "authorize", form, leads_to=[request.args["redirect_uri"]])

    def act_on_authorize(self, request: Request) -> Response:
        """Send the browser back with a code, or with a denial."""
        platform, target, state = self._platform(request), request.args["redirect_uri"], request.args.get("state")
        if request.form.get("act") != "connect":
            text = "The user denied your request"
            return _go(redirect_with(target, error="access_denied", error_description=text, state=state))
        account = request.form.get("account", "")
        if self._state.collection("account").get(account) is None:
            raise Refused(400, {"error": "no such account"})
        code = self._connect.code(platform=platform["account"], account=account, redirect_uri=target)
        return _go(redirect_with(target, code=code, scope="read_write", state=state))

    # Parts

    def _do(self, act: Callable[[], Any]) -> Any:
        with self._state.frame.store.transaction():
            try:
                return act()
            except Declined as declined:
                return declined

    def _refuse(self, scope: Any, intent: Document) -> Declined:
        return self._payments.decline(scope, intent, DECLINES["generic_decline"])

    def _need(self, kind: str, key: str) -> Document:
        found = self._state.collection(kind).get(key)
        if found is None:
            raise Refused(404, {"error": "no such page"})
        return found

    def _intent(self, secret: str) -> Document:
        intent = self._need("payment_intent", secret.partition("_secret_")[0])
        if intent["client_secret"] != secret:
            raise Refused(404, {"error": "no such page"})
        return intent

    def _portal(self, token: str) -> Document:
        return self._need("billing_portal.session", self._need("portal_token", token)["session"])

    def _running(self, session: Document) -> list[Document]:
        rows = self._state.newest(session["_owner"], "subscription")
        return [row for row in rows if row["customer"] == session["customer"] and row["status"] != "canceled"]

    def _link(self, key: str) -> Document:
        return self._need("account_link", key)

    def _platform(self, request: Request) -> Document:
        values = request.args
        platform = self._connect.platform_of(values.get("client_id", ""))
        if platform is None or values.get("response_type") != "code" or not _is_address(values.get("redirect_uri")):
            message = "No such application, or response_type is not code, or redirect_uri is no address."
            raise Refused(400, {"error": {"type": "invalid_request_error", "message": message}})
        return platform

    def _after(self, intent: Document) -> str | None:
        session = self._state.collection("checkout.session").get(intent.get("_session") or "")
        if session is not None:
            return self._success(session)
        back = intent.get("_return_url")
        if not back:
            return None
        status = "succeeded" if intent["status"] == "succeeded" else "failed"
        return redirect_with(
            back, payment_intent=intent["id"], payment_intent_client_secret=intent["client_secret"],
            redirect_status=status,
        )  # fmt: skip

    def _success(self, session: Document) -> str:
        return str(session["success_url"] or session["return_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


def _page(
    request: Request, title: str, content: Markup, *, leads_to: Sequence[str | None] = (), status: int = 200
) -> Response:
    language = language_of(request)
    page = PAGE.format(language=language, title=words_of(language)[title], content=content)
    # A form that ends in a redirect needs leave for the place it ends at.
    targets = {f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, filter(None, leads_to))}
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    policy = policy.replace("form-action 'self'", " ".join(["form-action 'self'", *sorted(targets)]))
    headers = SECURITY_HEADERS | {"Content-Security-Policy": policy}
    return Response(page, status=status, mimetype="text/html", headers=headers)


def _form(acts: Sequence[str], words: dict[str, str], *, within: Markup | None = None) -> Markup:
    buttons = Markup("").join(BUTTON.format(act=act, label=words[act]) for act in acts)
    return Markup('<form method="post">{}{}</form>').format(within or Markup(""), buttons)


def _go(address: str | None) -> Response:
    return Response(status=303, headers={"Location": address or "/"})


def _back(request: Request) -> Markup:
    return Markup('<p><a href="{}">←</a></p>').format(escape(request.path))


def _targets(session: Document) -> list[str | None]:
    return [session["success_url"], session["cancel_url"]]


def _name(account: Document) -> str:
    return str(account["settings"]["dashboard"]["display_name"] or account["id"])


def _is_address(value: str | None) -> bool:
    return bool(value) and urlsplit(value or "").scheme in ("http", "https")
