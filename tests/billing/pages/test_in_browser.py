"""The card page in a real browser: the vendor's frames take the card, our server sees a token and no digit of it."""

from __future__ import annotations

import http.server
import queue
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from django.test import Client
from playwright.sync_api import Page, expect, sync_playwright

from billing.contract import PaymentStatus
from billing.models import Payment
from billing.services import card_pages
from tenants.context import in_organization
from tests.billing.pages.conftest import ACTOR, RETURN_URL
from tests.sandbox.mercadopago import CPF, VISA

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SCREENSHOTS = Path(__file__).resolve().parents[3] / "screenshots"
WIDE, NARROW = {"width": 1100, "height": 900}, {"width": 360, "height": 740}
AT_THE_SHOP = re.compile(re.escape(RETURN_URL))

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the card page was not driven"),
]


class Asked(NamedTuple):
    """A request of the browser to our server, and where its answer is awaited."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    answer: Future[Any]


@dataclass
class Payer:
    """One payer's browser, what it has sent to our server, and what its console complained of."""

    page: Page
    sent: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def type_card(self, name: str, *, number: str = VISA) -> None:
        """Type a card into the vendor's frames and the rest into the page."""
        page = self.page
        page.frame_locator("#card-number iframe").locator("input").fill(number)
        page.frame_locator("#card-expiry iframe").locator("input").fill("11/30")
        page.frame_locator("#card-code iframe").locator("input").fill("123")
        page.locator("#holder").fill(name)
        page.locator("#document-number").fill(CPF)
        expect(page.locator("#installments")).to_be_enabled()

    def press(self) -> None:
        """Press the button."""
        self.page.locator("#card-form button").click()

    def shoot(self, name: str) -> None:
        """Keep a picture outside the repository."""
        SCREENSHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"card-page-{name}.png", full_page=True)


Acts = Callable[[Payer], None]


@pytest.fixture
def visit(client: Client, integration: Any, settings: Any) -> Iterator[Callable[..., Payer]]:
    """Let a payer act in a browser of a thread of its own, while this one answers what is asked of our address."""
    asked: queue.Queue[Asked] = queue.Queue()
    server = _server(asked, port=int(urlsplit(settings.PUBLIC_URL).port or 0))

    def run(acts: Acts, **context: Any) -> Payer:
        sent: list[str] = []
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(_drive, acts, sent, context)
            while not done.done():
                try:
                    request = asked.get(timeout=0.02)
                except queue.Empty:
                    continue
                sent.append(f"{request.method} {request.url} {request.headers} {request.body.decode()}")
                request.answer.set_result(_answer(client, request))
        return done.result()

    yield run
    server.shutdown()
    server.server_close()


def _answer(client: Client, asked: Asked) -> Any:
    wanted = ("accept-language", "cookie", "referer")
    return client.generic(
        asked.method,
        asked.url,
        asked.body,
        content_type=asked.headers.get("content-type", "text/plain"),
        headers={name: value for name, value in asked.headers.items() if name in wanted},
    )


def _server(asked: queue.Queue[Asked], *, port: int) -> http.server.ThreadingHTTPServer:
    """Serve our address on this machine; the thread of the test, whose transaction it is, answers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.pass_on()

        def do_POST(self) -> None:
            self.pass_on()

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer: Future[Any] = Future()
            asked.put(Asked(self.command, self.path, headers, body, answer))
            said = answer.result(timeout=20)
            content = said.getvalue()
            self.send_response(said.status_code)
            for name, value in {**said.headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

    running = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return running


def _drive(acts: Acts, sent: list[str], context: dict[str, Any]) -> Payer:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(**{"viewport": WIDE, "locale": "en-US", **context}).new_page()
        page.set_default_timeout(10_000)
        payer = Payer(page, sent)
        page.on("console", lambda said: payer.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: payer.complaints.append(str(error)))
        page.route("https://shop.example.com/**", lambda route: route.fulfill(body="Thank you"))
        try:
            acts(payer)
        except Exception as error:
            raise AssertionError(f"{error}\nthe console said: {payer.complaints}") from error
        finally:
            browser.close()
    return payer


def url_of(payment: Payment) -> str:
    """Return the address of a payment's page."""
    return str((payment.next_action or {})["redirect"]["url"])


class TestPaying:
    def test_a_good_card_leads_back_to_the_shop(self, waiting: Any, visit: Any, read: Any) -> None:
        payment, arrived = waiting(), []

        def acts(payer: Payer) -> None:
            payer.page.goto(url_of(payment))
            payer.type_card("APRO")
            payer.page.get_by_label("Installments").select_option("3")
            payer.shoot("wide-en")
            payer.page.get_by_role("button", name="Pay R$58.80").click()
            payer.page.wait_for_url(AT_THE_SHOP)
            arrived.append(payer.page.url)

        payer = visit(acts)

        assert arrived == [f"{RETURN_URL}&payment={payment.pk}&status=succeeded"]
        assert (read(payment).status, read(payment).installments) == ("succeeded", 3)
        assert payer.complaints == []

    def test_a_declined_card_and_then_a_good_one_on_a_phone(
        self, organization: Any, waiting: Any, visit: Any, read: Any
    ) -> None:
        payment = waiting()

        def acts(payer: Payer) -> None:
            payer.page.goto(url_of(payment))
            expect(payer.page.locator("html")).to_have_attribute("lang", "pt-br")
            payer.type_card("FUND")
            payer.shoot("narrow-pt")
            payer.press()
            expect(payer.page.locator("#message")).to_be_focused()
            payer.shoot("narrow-pt-declined")
            assert payer.page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
            payer.page.locator("#holder").fill("APRO")
            payer.press()
            payer.page.wait_for_url(AT_THE_SHOP)

        payer = visit(acts, locale="pt-BR", viewport=NARROW, has_touch=True)

        assert read(payment).status == "succeeded"
        assert payer.complaints == []
        with in_organization(organization):
            assert sorted(Payment.objects.values_list("status", flat=True)) == ["failed", "succeeded"]

    def test_no_request_to_our_server_holds_a_digit_of_the_card(self, waiting: Any, visit: Any) -> None:
        payment = waiting()

        def acts(payer: Payer) -> None:
            payer.page.goto(url_of(payment))
            payer.type_card("APRO")
            payer.press()
            payer.page.wait_for_url(AT_THE_SHOP)

        sent = visit(acts).sent

        posts = [request for request in sent if request.startswith("POST /pay/")]
        assert len(posts) == 1
        assert '"token":' in posts[0]
        assert [request for request in sent if VISA[:6] in request or VISA[-6:] in request or "11/30" in request] == []
        assert [request for request in sent if "'referer'" in request or "'cookie'" in request] == []

    def test_the_keyboard_alone_is_enough(self, waiting: Any, visit: Any, read: Any) -> None:
        payment = waiting()

        def acts(payer: Payer) -> None:
            keyboard = payer.page.keyboard
            payer.page.goto(url_of(payment))
            payer.page.frame_locator("#card-number iframe").get_by_label("Card number").focus()
            for text in (VISA, "11/30", "123", "APRO", "", CPF, ""):
                keyboard.type(text)
                if text == VISA:
                    expect(payer.page.locator("#installments")).to_be_enabled()
                keyboard.press("Tab")
            keyboard.press("Enter")
            payer.page.wait_for_url(AT_THE_SHOP)

        visit(acts)

        assert read(payment).status == "succeeded"


class TestSaying:
    def test_a_wrong_card_number_says_what_to_do_and_sends_nothing(self, waiting: Any, visit: Any) -> None:
        payment = waiting()

        def acts(payer: Payer) -> None:
            payer.page.goto(url_of(payment))
            payer.type_card("APRO", number=VISA[:-1] + "3")
            payer.press()
            expect(payer.page.locator("#message")).to_contain_text("Check each field; nothing was charged")

        assert not [request for request in visit(acts).sent if request.startswith("POST /pay/")]

    def test_without_the_vendors_script_it_says_so(self, waiting: Any, visit: Any) -> None:
        payment = waiting()

        def acts(payer: Payer) -> None:
            payer.page.route("**/js/v2", lambda route: route.abort())
            payer.page.goto(url_of(payment))
            expect(payer.page.locator("#message")).to_contain_text("did not load")
            expect(payer.page.locator("#card-form")).to_be_hidden()

        visit(acts)

    def test_without_javascript_it_says_what_is_needed(self, waiting: Any, visit: Any) -> None:
        payment = waiting()

        def acts(payer: Payer) -> None:
            payer.page.goto(url_of(payment))
            expect(payer.page.get_by_text("Allow JavaScript for this page")).to_be_visible()
            expect(payer.page.locator("#card-form")).to_be_hidden()

        visit(acts, java_script_enabled=False)

    def test_an_expired_page_leads_back(self, waiting: Any, visit: Any, organization: Any) -> None:
        payment = waiting()
        with in_organization(organization):
            card_pages.close(payment, status=PaymentStatus.EXPIRED, actor=ACTOR)

        def acts(payer: Payer) -> None:
            payer.page.goto(url_of(payment))
            expect(payer.page.get_by_text("no longer open")).to_be_visible()
            back = payer.page.get_by_role("link", name="Back to the seller")
            expect(back).to_have_attribute("href", re.compile("status=expired"))
            payer.shoot("narrow-en-expired")

        visit(acts, viewport=NARROW)
