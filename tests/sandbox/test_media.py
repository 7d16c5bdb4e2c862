"""Media: upload, address, download, deletion."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
import requests

from tests.sandbox.conftest import Receiver, Sandbox, code_of

PNG = b"\x89PNG\r\n\x1a\n" + b"test picture"


def upload(
    sandbox: Sandbox, content: bytes = PNG, *, mime: str = "image/png", form: dict[str, str] | None = None
) -> requests.Response:
    fields = {"messaging_product": "whatsapp", "type": mime} if form is None else form
    path = f"{sandbox.account['phone_number_id']}/media"
    return sandbox.graph("POST", path, data=fields, files={"file": ("file.bin", content, mime)})


def download(sandbox: Sandbox, url: str, *, token: str | None = None) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return requests.get(url, headers=headers, timeout=5)


class TestUpload:
    def test_comes_back_by_a_signed_address_under_the_same_base(self, sandbox: Sandbox) -> None:
        media_id = upload(sandbox).json()["id"]
        shown = sandbox.graph("GET", media_id).json()

        answer = download(sandbox, shown["url"], token=sandbox.account["access_token"])

        assert shown["url"].startswith(f"{sandbox.url}/whatsapp/")
        assert shown["sha256"] == hashlib.sha256(PNG).hexdigest()
        assert shown["file_size"] == len(PNG)
        assert answer.content == PNG
        assert answer.headers["Content-Type"] == "image/png"

    def test_download_wants_a_token_that_may_see_it(self, sandbox: Sandbox) -> None:
        other = sandbox.control("GET", "/whatsapp/accounts")["accounts"][1]
        url = sandbox.graph("GET", upload(sandbox).json()["id"]).json()["url"]

        assert download(sandbox, url).status_code == 401
        assert download(sandbox, url, token=other["access_token"]).status_code == 404
        forged = url.replace("ext=", "ext=9")
        assert download(sandbox, forged, token=sandbox.account["access_token"]).status_code == 403

    @pytest.mark.parametrize(
        ("content", "mime", "code"),
        [
            (PNG, "image/jpeg", 131053),
            (b"GIF89a", "image/gif", 100),
            (PNG + b"x" * (5 * 1024 * 1024), "image/png", 131053),
            (b"", "text/plain", 131053),
        ],
    )
    def test_refuses_wrong_types_and_sizes(self, sandbox: Sandbox, content: bytes, mime: str, code: int) -> None:
        assert code_of(upload(sandbox, content, mime=mime)) == code

    @pytest.mark.parametrize(
        "form", [{"type": "image/png"}, {"messaging_product": "whatsapp"}, {"type": "image/png", "novelty": "1"}]
    )
    def test_refuses_wrong_forms(self, sandbox: Sandbox, form: dict[str, str]) -> None:
        assert code_of(upload(sandbox, form=form)) == 100

    def test_can_be_sent_as_its_own_kind_only(self, sandbox: Sandbox) -> None:
        sandbox.write()
        media_id = upload(sandbox).json()["id"]

        assert sandbox.send("image", {"id": media_id, "caption": "Pão"}).ok
        assert sandbox.send("document", {"id": media_id}).ok
        assert code_of(sandbox.send("video", {"id": media_id})) == 131053

    def test_is_gone_after_its_deletion(self, sandbox: Sandbox) -> None:
        media_id = upload(sandbox).json()["id"]

        assert sandbox.graph("DELETE", media_id).json() == {"success": True}
        assert code_of(sandbox.graph("GET", media_id)) == 100


class TestIncomingMedia:
    @pytest.mark.parametrize("kind", ["image", "audio", "video", "document", "sticker"])
    def test_can_be_fetched_and_verified(self, connected: Sandbox, receiver: Receiver, kind: str) -> None:
        connected.write(type=kind)
        sent: dict[str, Any] = parse(receiver)["messages"][0][kind]

        shown = connected.graph("GET", sent["id"]).json()
        content = download(connected, shown["url"], token=connected.account["access_token"]).content

        assert base64.b64encode(hashlib.sha256(content).digest()).decode() == sent["sha256"]
        assert shown["mime_type"] == sent["mime_type"]


def parse(receiver: Receiver) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(receiver.next()[2])["entry"][0]["changes"][0]["value"]
    return value
