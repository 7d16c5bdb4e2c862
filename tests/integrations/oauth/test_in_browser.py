"""The login in a real browser on a phone-sized window, without JavaScript: policies, cookies and origins are real."""

from __future__ import annotations

import http.server
import queue
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
from django.test import Client
from playwright.sync_api import Page, sync_playwright

from integrations.models import Integration
from tenants.context import in_organization
from tests.integrations.oauth.conftest import app_at
from tests.integrations.oauth.test_vendors import begin
from tests.sandbox.conftest import sandbox as sandbox  # noqa: PLC0414 - a fixture
from tests.sandbox.conftest import server as server  # noqa: PLC0414 - a fixture
from tests.sandbox.mercadopago import Shop
from tests.sandbox.mercadopago import shop as shop  # noqa: PLC0414 - a fixture

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PHONE = {"width": 360, "height": 740}
HEADERS = ("accept-language", "cookie", "host", "origin", "referer")

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the login was not driven"),
]

Acts = Callable[[Page], None]


class Asked(NamedTuple):
    """A request of the browser to our server, and where its answer is awaited."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    answer: Future[Any]


@pytest.fixture
def asked(settings: Any) -> Iterator[queue.Queue[Asked]]:
    """What browsers ask of our public host, on a free port of this machine."""
    waiting: queue.Queue[Asked] = queue.Queue()
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(waiting))
    threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    settings.PUBLIC_URL = f"http://127.0.0.1:{running.server_address[1]}"
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = False
    yield waiting
    running.shutdown()
    running.server_close()


@pytest.fixture
def walk(asked: queue.Queue[Asked]) -> Callable[..., list[str]]:
    """Let a person act in a browser of another thread, while this one, whose transaction it is, answers for us."""

    def run(acts: Acts, *, language: str) -> list[str]:
        client = Client(enforce_csrf_checks=True)
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(_drive, acts, language)
            while not done.done():
                try:
                    request = asked.get(timeout=0.02)
                except queue.Empty:
                    continue
                client.cookies.clear()  # the browser's are what counts
                request.answer.set_result(_answer(client, request))
        return done.result()

    return run


@pytest.fixture
def at_mercadopago(db: None, shop: Shop, asked: Any, settings: Any) -> Shop:
    """The platform's application at the stand-in, with our address as the one to return to."""
    platform = next(app for app in shop.control("GET", "/apps")["apps"] if app["owner"] is None)
    back = f"{settings.PUBLIC_URL}/oauth/mercadopago/callback/"
    shop.control("POST", f"/apps/{platform['id']}", {"redirect_uris": [back]})
    app_at("mercadopago", platform["id"], {"client_secret": platform["client_secret"]})
    settings.PROVIDER_OVERRIDES = {"mercadopago": {"": shop.url}}
    return shop


@pytest.mark.parametrize(("language", "lang"), [("en-US", "en"), ("pt-BR", "pt-br")])
def test_a_seller_is_connected_in_two_clicks(
    organization: Any, at_mercadopago: Shop, walk: Callable[..., list[str]], language: str, lang: str
) -> None:
    url, seen = begin(organization, "mercadopago"), []

    def acts(page: Page) -> None:
        page.goto(url)
        seen.append(page.locator("html").get_attribute("lang"))
        seen.append(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))
        page.locator("main form button").click()
        page.wait_for_url(f"{at_mercadopago.url}/**")
        page.locator(f"button[value='{at_mercadopago.seller_id}']").click()
        page.wait_for_url("**/done/**")
        seen.append(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))
        seen.append("code" in page.url)

    complaints = walk(acts, language=language)

    assert seen == [lang, True, True, False]
    assert complaints == []
    with in_organization(organization):
        assert Integration.objects.get().account_external_id == str(at_mercadopago.seller_id)


def _answer(client: Client, asked: Asked) -> Any:
    return client.generic(
        asked.method,
        asked.url,
        asked.body,
        content_type=asked.headers.get("content-type", "text/plain"),
        headers={name: value for name, value in asked.headers.items() if name in HEADERS},
    )


def _handler(waiting: queue.Queue[Asked]) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.pass_on()

        def do_POST(self) -> None:
            self.pass_on()

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            answer: Future[Any] = Future()
            headers = {name.lower(): value for name, value in self.headers.items()}
            waiting.put(Asked(self.command, self.path, headers, body, answer))
            said = answer.result(timeout=20)
            content = said.getvalue()
            self.send_response(said.status_code)
            for name, value in {**said.headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            for cookie in said.cookies.values():
                self.send_header("Set-Cookie", cookie.OutputString())
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

    return Handler


def _drive(acts: Acts, language: str) -> list[str]:
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(viewport=PHONE, locale=language, java_script_enabled=False).new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        try:
            acts(page)
        except Exception as error:
            raise AssertionError(f"{error}\nthe console said: {complaints}") from error
        finally:
            browser.close()
    return complaints
