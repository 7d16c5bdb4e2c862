"""MercadoPago: a seller allows an application, and tokens live and die."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests

from tests.sandbox.conftest import Sandbox
from tests.sandbox.mercadopago import Shop
from tests.sandbox.mercadopago import shop as shop  # noqa: PLC0414 - a fixture

VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def app(sandbox: Sandbox) -> dict[str, Any]:
    """The platform's application."""
    apps = sandbox.control("GET", "/mercadopago/apps")["apps"]
    return next(app for app in apps if app["owner"] is None)


def address(shop: Shop, app: dict[str, Any], **changed: str | None) -> str:
    query = {
        "client_id": app["id"], "response_type": "code", "platform_id": "mp", "state": "s-1",
        "redirect_uri": app["redirect_uris"][0], "code_challenge": CHALLENGE, "code_challenge_method": "S256",
    } | changed  # fmt: skip
    return f"{shop.url}/authorization?{urlencode({name: value for name, value in query.items() if value is not None})}"


def allow(shop: Shop, app: dict[str, Any], **changed: str | None) -> str:
    """Let the seller allow the application; return the code."""
    url = address(shop, app, **changed)
    answer = requests.post(url, data={"user_id": str(shop.seller_id)}, allow_redirects=False, timeout=5)
    assert answer.status_code == 303, answer.text
    back = urlsplit(answer.headers["Location"])
    assert answer.headers["Location"].startswith(app["redirect_uris"][0])
    assert parse_qs(back.query)["state"] == ["s-1"]
    return parse_qs(back.query)["code"][0]


def exchange(shop: Shop, app: dict[str, Any], **body: Any) -> requests.Response:
    sent = {"client_id": app["id"], "client_secret": app["client_secret"]} | body
    return requests.post(f"{shop.url}/oauth/token", json=sent, timeout=5)


def with_code(shop: Shop, app: dict[str, Any], granted: str, /, **changed: Any) -> requests.Response:
    body = {"grant_type": "authorization_code", "code": granted, "redirect_uri": app["redirect_uris"][0],
            "code_verifier": VERIFIER} | changed  # fmt: skip
    return exchange(shop, app, **body)


def refresh(shop: Shop, app: dict[str, Any], token: str) -> requests.Response:
    return exchange(shop, app, grant_type="refresh_token", refresh_token=token)


class TestAuthorizationPage:
    def test_asks_which_seller(self, shop: Shop, app: dict[str, Any]) -> None:
        page = requests.get(address(shop, app), timeout=5)

        assert page.status_code == 200
        assert shop.account["name"] in page.text
        assert "form-action 'self' http://127.0.0.1:8000" in page.headers["Content-Security-Policy"]

    def test_brings_a_refusal_back(self, shop: Shop, app: dict[str, Any]) -> None:
        answer = requests.post(address(shop, app), data={"user_id": ""}, allow_redirects=False, timeout=5)

        query = parse_qs(urlsplit(answer.headers["Location"]).query)
        assert query == {"error": ["access_denied"], "state": ["s-1"]}

    @pytest.mark.parametrize(
        "wrong",
        [
            {"client_id": "1"}, {"response_type": "token"}, {"redirect_uri": "https://elsewhere.example.com/"},
            {"code_challenge": None}, {"code_challenge": "short"}, {"code_challenge_method": "S512"}, {"novelty": "1"},
        ],
    )  # fmt: skip
    def test_sends_nobody_anywhere_when_wrong(self, shop: Shop, app: dict[str, Any], wrong: dict[str, str]) -> None:
        url = address(shop, app, **wrong)

        shown = requests.get(url, allow_redirects=False, timeout=5)
        posted = requests.post(url, data={"user_id": str(shop.seller_id)}, allow_redirects=False, timeout=5)

        assert (shown.status_code, posted.status_code) == (400, 400)


class TestCode:
    def test_opens_the_sellers_account(self, shop: Shop, app: dict[str, Any]) -> None:
        tokens = with_code(shop, app, allow(shop, app)).json()

        assert set(tokens) == {
            "access_token", "token_type", "expires_in", "scope", "user_id", "refresh_token", "public_key", "live_mode",
        }  # fmt: skip
        assert (tokens["user_id"], tokens["expires_in"], tokens["live_mode"]) == (shop.seller_id, 15_552_000, True)
        assert shop.call("GET", "/users/me", token=tokens["access_token"]).json()["id"] == shop.seller_id

    def test_may_be_exchanged_by_form_for_test_credentials(self, shop: Shop, app: dict[str, Any]) -> None:
        form = {
            "client_id": app["id"], "client_secret": app["client_secret"], "grant_type": "authorization_code",
            "code": allow(shop, app), "redirect_uri": app["redirect_uris"][0], "code_verifier": VERIFIER,
            "test_token": "true",
        }  # fmt: skip

        tokens = requests.post(f"{shop.url}/oauth/token", data=form, timeout=5).json()

        assert tokens["access_token"].startswith("TEST-")
        assert tokens["live_mode"] is False

    def test_is_used_once(self, shop: Shop, app: dict[str, Any]) -> None:
        code = allow(shop, app)

        first, second = with_code(shop, app, code), with_code(shop, app, code)

        assert (first.status_code, second.status_code) == (200, 400)
        assert second.json()["error"] == "invalid_grant"

    @pytest.mark.parametrize(
        ("wrong", "error"),
        [
            ({"code_verifier": "w" * 50}, "invalid_grant"), ({"code_verifier": ""}, "invalid_grant"),
            ({"redirect_uri": "https://elsewhere.example.com/"}, "invalid_grant"),
            ({"code": "TG-1-sandbox"}, "invalid_grant"),
            ({"client_secret": "wrong"}, "invalid_client"), ({"client_id": "1"}, "invalid_client"),
            ({"grant_type": "password"}, "unsupported_grant_type"), ({"novelty": "1"}, "invalid_request"),
        ],
    )  # fmt: skip
    def test_is_refused_with_a_mistake_and_still_good(
        self, shop: Shop, app: dict[str, Any], wrong: dict[str, str], error: str
    ) -> None:
        code = allow(shop, app)

        answer = with_code(shop, app, code, **wrong)

        assert (answer.status_code, answer.json()["error"], answer.json()["status"]) == (400, error, 400)
        assert with_code(shop, app, code).ok

    def test_without_a_challenge_takes_no_verifier(self, shop: Shop, app: dict[str, Any]) -> None:
        shop.control("POST", f"/apps/{app['id']}", {"pkce": False})
        code = allow(shop, app, code_challenge=None, code_challenge_method=None)

        assert with_code(shop, app, code).json()["error"] == "invalid_grant"
        assert exchange(shop, app, grant_type="authorization_code", code=code, redirect_uri=app["redirect_uris"][0]).ok


class TestRefreshToken:
    def test_is_used_once_and_replaced(self, shop: Shop, app: dict[str, Any]) -> None:
        tokens = with_code(shop, app, allow(shop, app)).json()

        fresh = refresh(shop, app, tokens["refresh_token"]).json()
        again = refresh(shop, app, tokens["refresh_token"])

        assert set(fresh) == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}
        assert fresh["refresh_token"] != tokens["refresh_token"]
        assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
        assert shop.call("GET", "/users/me", token=fresh["access_token"]).ok
        assert refresh(shop, app, fresh["refresh_token"]).ok

    def test_used_twice_may_kill_the_whole_authorization(self, shop: Shop, app: dict[str, Any]) -> None:
        shop.control("POST", "/settings", {"reuse_revokes": True})
        tokens = with_code(shop, app, allow(shop, app)).json()
        fresh = refresh(shop, app, tokens["refresh_token"]).json()

        assert refresh(shop, app, tokens["refresh_token"]).status_code == 400

        assert shop.call("GET", "/users/me", token=fresh["access_token"]).status_code == 401
        assert refresh(shop, app, fresh["refresh_token"]).status_code == 400

    def test_is_missing_without_offline_access(self, shop: Shop, app: dict[str, Any]) -> None:
        shop.control("POST", f"/apps/{app['id']}", {"scopes": ["read"]})

        tokens = with_code(shop, app, allow(shop, app)).json()

        assert "refresh_token" not in tokens
        assert shop.pix(token=tokens["access_token"]).status_code == 403

    def test_dies_when_the_seller_removes_the_application(self, shop: Shop, app: dict[str, Any]) -> None:
        tokens = with_code(shop, app, allow(shop, app)).json()

        shop.control("POST", f"/apps/{app['id']}/deauthorize", {"seller_id": shop.seller_id})

        assert shop.call("GET", "/users/me", token=tokens["access_token"]).status_code == 401
        assert refresh(shop, app, tokens["refresh_token"]).json()["error"] == "invalid_grant"
        assert shop.call("GET", "/users/me").ok


class TestClientCredentials:
    def test_open_the_applications_own_account_only(self, shop: Shop, app: dict[str, Any]) -> None:
        own = exchange(shop, shop.app, grant_type="client_credentials")
        platform = exchange(shop, app, grant_type="client_credentials")

        assert shop.call("GET", "/users/me", token=own.json()["access_token"]).json()["id"] == shop.seller_id
        assert platform.json()["error"] == "unauthorized_client"
