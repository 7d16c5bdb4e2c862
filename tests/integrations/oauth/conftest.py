"""A browser on the public host, and Orchard with the platform's application at it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.http import HttpResponse
from django.test import Client

from audit.services import Actor
from dispatch import inbox
from dispatch.models import OAuthApp
from integrations import registry
from integrations.services import oauth
from integrations.services.oauth import Wanted
from tenants.context import in_organization
from tests.integrations.oauth.orchard import CLIENT_ID, CLIENT_SECRET, OrchardProvider, Running, Vendor
from vault.services import seal_platform_secret

PUBLIC = "https://registry.example"


@dataclass
class Browser:
    """One browser: it keeps cookies, sends its origin with forms, and is held to the CSRF check."""

    language: str = "en"
    token: str = ""
    client: Client = field(default_factory=lambda: Client(enforce_csrf_checks=True))

    def get(self, url: str) -> Any:
        """Open an address of ours."""
        page: Any = self.client.get(_path(url), secure=True, headers=self._headers())
        if found := re.search(rb'name="csrfmiddlewaretoken" value="(\w+)"', page.content):
            self.token = found[1].decode()
        return page

    def press(self, url: str, **values: str) -> Any:
        """Open a page and send its form."""
        self.get(url)
        return self.post(url, **values)

    def post(self, url: str, **values: str) -> Any:
        """Send a form with the token of the page that was opened last."""
        data = {"csrfmiddlewaretoken": self.token, **values}
        return self.client.post(_path(url), data, secure=True, headers=self._headers() | {"origin": PUBLIC})

    def _headers(self) -> dict[str, str]:
        return {"accept-language": self.language, "host": urlsplit(PUBLIC).netloc}


def _path(url: str) -> str:
    assert url.startswith(("/", PUBLIC)), url
    return url.removeprefix(PUBLIC)


@pytest.fixture(scope="session", autouse=True)
def sealing() -> None:
    """Seal once before any test changes settings: the library writes its defaults there, and they would be undone."""
    seal_platform_secret("test", label="test")


@pytest.fixture
def vendor(app: OAuthApp, settings: Any) -> Iterator[Vendor]:
    """The running vendor, to which an operator's override leads; its application is kept first."""
    found = Vendor()
    registry.register(OrchardProvider)
    with Running(found):
        settings.PROVIDER_OVERRIDES = {**settings.PROVIDER_OVERRIDES, "orchard": {"": found.url}}
        settings.SESSION_COOKIE_SECURE = True
        yield found
    del registry._loaded.providers["orchard"]


@pytest.fixture
def app(db: None) -> OAuthApp:
    """The platform's application."""
    return app_at("orchard", CLIENT_ID, {"client_secret": CLIENT_SECRET})


@pytest.fixture
def browser() -> Browser:
    """A person's browser."""
    return Browser()


@pytest.fixture
def begin(organization: Any, vendor: Vendor) -> Callable[..., str]:
    """Begin a run for acme, or for another organization by `of=`; return the address of the consent page."""

    def start(*, of: Any = None, actor: Actor | None = None, **wanted: Any) -> str:
        with in_organization(of or organization):
            asked = Wanted(**{"provider": "orchard", "environment": "test", **wanted})
            return oauth.start(asked, actor=actor or Actor.system("test")).url

    return start


@pytest.fixture
def at_vendor(begin: Callable[..., str], browser: Browser) -> Callable[..., str]:
    """Begin a run and give consent; return the address of the vendor's dialog."""

    def go(**wanted: Any) -> str:
        answer: HttpResponse = browser.press(begin(**wanted))
        assert answer.status_code == 303, answer.content
        return answer.headers["Location"]

    return go


def app_at(provider: str, client_id: str, secrets: dict[str, str], *, of: Any = None) -> OAuthApp:
    """Keep an application at a vendor: the platform's, or an organization's own."""
    schema = of.schema_name if of else None
    found = OAuthApp(provider=provider, label=provider, client_id=client_id, organization_schema=schema)
    inbox.seal_app_secrets(found, secrets)
    found.save()
    return found
