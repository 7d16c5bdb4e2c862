"""A newcomer's first day, in a real browser: log in, connect, test, receive, answer, delivered and read."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Page, expect, sync_playwright

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.xdist_group("product")]

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "screenshots"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
if os.geteuid() == 0:
    FLAGS.append("--no-sandbox")  # Chromium refuses its own sandbox to root
SLOW_MS = 30_000
CUSTOMER = ("Bia Lima", "+55 11 95550-1888")


@pytest.fixture
def page() -> Iterator[Page]:
    """A fresh browser, wide, in English; what the console says is an error of the page."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: the browser test did not run (Debian: apt install chromium)")
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(viewport={"width": 1280, "height": 860}, locale="en-US")
        page = context.new_page()
        page.set_default_timeout(SLOW_MS)
        expect.set_options(timeout=SLOW_MS)
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        yield page
        browser.close()
    assert complaints == []


@pytest.fixture
def business(product: Any) -> dict[str, str]:
    """A business of the sandbox that nobody has connected."""
    answer = requests.post(
        f"{product.sandbox_url}/control/whatsapp/accounts", json={"name": "Oficina do Zé"}, timeout=20
    )
    answer.raise_for_status()
    return dict(answer.json())


def shoot(page: Page, name: str) -> None:
    """Keep a picture outside the repository."""
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def log_in(page: Page, product: Any, slug: str) -> None:
    """Ask for the organization's pages; the login stands before them."""
    page.goto(f"{product.url}/o/{slug}/admin/")
    shoot(page, "1-login")
    page.get_by_label("E-mail").fill(product.demo["staff_email"])
    page.locator("input[type=password]").fill(product.demo["staff_password"])
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile(f"/o/{slug}/admin/$"))
    shoot(page, "2-overview")


def connect(page: Page, product: Any, slug: str, business: dict[str, str]) -> None:
    """Fill in the form that the provider's spec gives."""
    page.goto(f"{product.url}/o/{slug}/admin/integrations/integration/connect/whatsapp/")
    page.get_by_label("Name", exact=False).first.fill("WhatsApp of the workshop")
    for label, name in (
        ("Access token", "access_token"),
        ("App secret", "app_secret"),
        ("Phone number id", "phone_number_id"),
        ("WhatsApp Business Account id", "waba_id"),
        ("App id", "app_id"),
    ):
        page.get_by_label(label).fill(business[name])
    shoot(page, "3-connect")
    page.get_by_role("button", name="Check and connect").click()
    expect(page.get_by_role("button", name="Test connection")).to_be_visible()
    expect(page.get_by_text("healthy", exact=True).first).to_be_visible()
    assert business["access_token"] not in page.content()
    assert business["app_secret"] not in page.content()


def press_test(page: Page) -> None:
    """Press the button and read the verdicts on the page."""
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_text("Sends messages").first).to_be_visible()
    expect(page.get_by_text("Manages templates").first).to_be_visible()
    shoot(page, "4-tested")


def wait_for_webhook(page: Page) -> None:
    """The outbox registers the webhook within seconds."""
    for _ in range(30):
        page.reload()
        if page.locator("dd, td, span").filter(has_text=re.compile("^yes$")).count():
            return
        page.wait_for_timeout(500)
    raise AssertionError("the webhook was not registered")


def write_as_customer(page: Page, product: Any, business: dict[str, str], text: str) -> None:
    """Open the page that looks like a phone and write."""
    name, number = CUSTOMER
    page.goto(f"{product.sandbox_url}/phone/whatsapp/{business['phone_number_id']}/?lang=en")
    form = page.locator("#customer-form")
    form.locator("input[name=number]").fill(number)
    form.locator("input[name=name]").fill(name)
    form.get_by_role("button").click()
    page.locator("#text").fill(text)
    page.locator("#text").press("Enter")
    expect(page.locator("#messages")).to_contain_text(text)


class TestFirstDay:
    """From the login to an answer that was read."""

    def test_connects_receives_answers_and_sees_it_read(self, product, business, page):
        slug = product.demo["organizations"][0]["slug"]
        log_in(page, product, slug)
        connect(page, product, slug, business)
        press_test(page)
        wait_for_webhook(page)

        phone = page.context.new_page()
        write_as_customer(phone, product, business, "Vocês consertam câmbio?")
        shoot(phone, "5-phone")
        page.goto(f"{product.url}/o/{slug}/admin/channels_app/conversation/")
        conversation = page.get_by_role("link").filter(has_text=CUSTOMER[0]).first
        for _ in range(20):
            if conversation.count():
                break
            page.wait_for_timeout(500)
            page.reload()
        shoot(page, "6-inbox")
        conversation.click()
        expect(page.get_by_text("Vocês consertam câmbio?").first).to_be_visible()

        page.get_by_label("Write a message").fill("Sim! Pode trazer amanhã cedo.")
        page.get_by_role("button", name="Send", exact=False).first.click()
        expect(page.get_by_text("Sim! Pode trazer amanhã cedo.").first).to_be_visible()
        expect(phone.locator("#messages")).to_contain_text("Sim! Pode trazer amanhã cedo.")
        shoot(phone, "7-answered")

        expect(page.get_by_role("img", name="read").first).to_be_visible()
        shoot(page, "8-read")
