"""A business that talks to the bank of the sandbox."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from tests.sandbox.conftest import Sandbox


@dataclass
class Business:
    """One client of the bank; `certificate` is (certificate file, key file), `authority` the bank's CA file."""

    sandbox: Sandbox
    account: dict[str, Any]
    url: str
    certificate: tuple[str, str] | None = None
    authority: str | bool = True
    _token: str = field(default="", repr=False)

    @classmethod
    def number(cls, sandbox: Sandbox, position: int) -> Business:
        """Return a business of the first data."""
        account = sandbox.control("GET", "/pix/accounts")["accounts"][position]
        return cls(sandbox=sandbox, account=account, url=account["base_url"])

    @property
    def key(self) -> str:
        """Its first Pix key."""
        return str(self.account["keys"][0])

    def over_tls(self, folder: Path, *, days: float = 365, shown: str = "") -> Business:
        """Return the same business over TLS with a certificate of its own, or of the client `shown`."""
        path = f"/pix/clients/{shown or self.account['id']}/certificate"
        made = self.sandbox.control("POST", path, {"days": days})
        files = [folder / f"{secrets.token_hex(4)}-{name}.pem" for name in ("certificate", "private_key", "ca")]
        for file, name in zip(files, ("certificate", "private_key", "ca"), strict=True):
            file.write_text(made[name])
        pair = (str(files[0]), str(files[1]))
        return Business(self.sandbox, self.account, made["base_url"], certificate=pair, authority=str(files[2]))

    def raw(self, method: str, path: str, **options: Any) -> requests.Response:
        """Make one call without a token."""
        options |= {"cert": self.certificate, "verify": self.authority, "timeout": 10, "allow_redirects": False}
        return requests.request(method, f"{self.url}{path}", **options)

    def authorize(self, **form: str) -> requests.Response:
        """Ask for a token with HTTP Basic."""
        pair = (self.account["id"], self.account["secret"])
        return self.raw("POST", "/oauth/token", auth=pair, data={"grant_type": "client_credentials"} | form)

    def call(self, method: str, path: str, body: object = None, **query: object) -> requests.Response:
        """Make one call with a token."""
        self._token = self._token or self.authorize().json()["access_token"]
        headers = {"Authorization": f"Bearer {self._token}"}
        return self.raw(method, path, headers=headers, json=body, params=query)

    def charge(self, **more: Any) -> dict[str, Any]:
        """Make an immediate charge of 58.80 and return it."""
        body = {"valor": {"original": "58.80"}, "chave": self.key} | more
        answer = self.call("PUT", f"/cob/{new_txid()}", body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def pay(self, txid: str, **how: object) -> dict[str, Any]:
        """Let a payer pay."""
        return self.sandbox.control("POST", f"/pix/charges/{txid}/pay", how)

    def listen(self, url: str) -> None:
        """Set the webhook of the first key."""
        assert self.call("PUT", f"/webhook/{self.key}", {"webhookUrl": url}).ok


def new_txid() -> str:
    """Return a txid of 32 characters."""
    return secrets.token_hex(16)


def around_now() -> dict[str, str]:
    """Return a window of two hours around now."""
    now = datetime.now(UTC)
    return {name: (now + timedelta(hours=by)).isoformat() for name, by in (("inicio", -1), ("fim", 1))}


def kind_of(answer: requests.Response) -> tuple[int, str]:
    """Return status and type of a problem."""
    assert answer.headers["Content-Type"].startswith("application/problem+json"), answer.text
    return answer.status_code, answer.json()["type"].removeprefix("https://pix.bcb.gov.br/api/v2/error/")
