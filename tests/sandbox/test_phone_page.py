"""The phone page in a real browser, at the width of a small phone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.sandbox.conftest import Sandbox

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the phone page was not driven"),
]


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        found = browser.new_page(viewport={"width": 360, "height": 720}, locale="pt-BR")
        found.set_default_timeout(10_000)
        yield found
        browser.close()


class TestPhone:
    def test_writes_shows_the_answer_taps_and_reads(self, sandbox: Sandbox, page: Page) -> None:
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))

        page.goto(f"{sandbox.url}/phone/whatsapp/{sandbox.account['phone_number_id']}/")
        page.get_by_label("Número de telefone").fill("+55 11 95550-7788")
        page.get_by_label("Nome", exact=True).fill("Ana Lima")
        page.get_by_role("button", name="Abrir a conversa").click()
        page.get_by_label("Mensagem").last.fill("Tem pão de queijo?")
        page.get_by_role("button", name="Enviar", exact=True).click()
        expect(page.locator(".bubble.mine")).to_contain_text("Tem pão de queijo?")
        buttons = [{"type": "reply", "reply": {"id": "yes", "title": "Quero dois"}}]
        question = {"type": "button", "body": {"text": "Quantos?"}, "action": {"buttons": buttons}}
        assert sandbox.send("interactive", question).ok
        page.get_by_role("button", name="Quero dois").click()
        expect(page.locator(".bubble.mine").last).to_contain_text("Quero dois")

        chat = sandbox.chat()
        assert [message["status"] for message in chat if message["direction"] == "outgoing"] == ["read"]
        assert chat[-1]["content"]["button_reply"] == {"id": "yes", "title": "Quero dois"}
        assert chat[-1]["context"] == chat[1]["id"]
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert complaints == []
