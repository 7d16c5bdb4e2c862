"""The frame: start, weight, memory over restarts, faults, settings, control, pages."""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.sandbox.conftest import Sandbox, free_port, start

STATIC = Path(__file__).resolve().parents[2] / "sandbox" / "static"


def fault(sandbox: Sandbox, kind: str, **values: object) -> None:
    sandbox.control("POST", "/faults", {"vendor": "whatsapp", "kind": kind} | values)


def call(sandbox: Sandbox) -> requests.Response:
    return sandbox.graph("GET", sandbox.account["phone_number_id"])


class TestProcess:
    def test_starts_fast_stays_light_and_remembers(self, tmp_path: Path) -> None:
        port, began = free_port(), time.monotonic()
        process = start(tmp_path, port=port)
        took_s = time.monotonic() - began
        sandbox = Sandbox(url=f"http://127.0.0.1:{port}")
        sandbox.account = sandbox.control("GET", "/whatsapp/accounts")["accounts"][0]
        sandbox.write(text="lembra?")
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.terminate()
        process.wait(timeout=10)
        process = start(tmp_path, port=port)
        remembered = sandbox.chat()
        process.terminate()
        process.wait(timeout=10)

        assert took_s < 3  # one second alone; the machine of the tests does other things too
        assert int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) < 45_000
        assert [message["content"]["body"] for message in remembered] == ["lembra?"]

    def test_is_seeded_the_same_way_each_time(self, sandbox: Sandbox) -> None:
        before = sandbox.control("GET", "/whatsapp/accounts")

        sandbox.control("POST", "/whatsapp/accounts", {"name": "Outra"})
        sandbox.control("POST", "/reset")

        assert sandbox.control("GET", "/whatsapp/accounts") == before
        assert len(before["accounts"]) == 2


class TestFaults:
    def test_429_has_a_waiting_time_only_when_asked(self, sandbox: Sandbox) -> None:
        fault(sandbox, "429")
        fault(sandbox, "429_retry_after", retry_after_s=7)

        first, second, third = call(sandbox), call(sandbox), call(sandbox)

        assert (first.status_code, first.headers.get("Retry-After")) == (429, None)
        assert (second.status_code, second.headers["Retry-After"]) == (429, "7")
        assert first.json()["error"]["code"] == 80007
        assert third.ok

    @pytest.mark.parametrize(
        ("kind", "status", "content_type"),
        [("500", 500, "application/json"), ("html", 502, "text/html"), ("empty", 200, "application/json"),
         ("malformed", 200, "application/json"), ("redirect", 302, "text/html")],
    )  # fmt: skip
    def test_spoil_an_answer(self, sandbox: Sandbox, kind: str, status: int, content_type: str) -> None:
        fault(sandbox, kind)

        answer = call(sandbox)

        assert answer.status_code == status
        if kind in ("html", "empty", "malformed", "redirect"):
            with pytest.raises(ValueError):  # noqa: PT011 - any failure to parse will do
                answer.json()

    def test_can_be_any_refusal_of_the_vendor(self, sandbox: Sandbox) -> None:
        sandbox.write()
        fault(sandbox, "code", code=131056, operation="messages")
        fault(sandbox, "custom", status=418, body={"tea": True}, headers={"Retry-After": "9"})

        answer = sandbox.send("text", {"body": "x"})
        custom = call(sandbox)

        assert (answer.status_code, answer.json()["error"]["code"]) == (400, 131056)
        assert (custom.status_code, custom.json(), custom.headers["Retry-After"]) == (418, {"tea": True}, "9")

    def test_reset_cuts_the_line(self, sandbox: Sandbox) -> None:
        fault(sandbox, "reset")

        with pytest.raises(requests.ConnectionError):
            call(sandbox)
        assert call(sandbox).ok

    def test_hang_keeps_the_caller_waiting(self, sandbox: Sandbox) -> None:
        fault(sandbox, "hang")
        address = f"{sandbox.url}/whatsapp/v26.0/{sandbox.account['phone_number_id']}"

        with pytest.raises(requests.ReadTimeout):
            requests.get(address, timeout=0.3)
        assert call(sandbox).ok

    def test_slow_drip_never_lets_a_read_time_out_but_never_ends(self, sandbox: Sandbox) -> None:
        fault(sandbox, "slow_drip")
        address = f"{sandbox.url}/whatsapp/v26.0/{sandbox.account['phone_number_id']}"

        with requests.get(address, timeout=2, stream=True) as answer:
            drops = [answer.raw.read(1) for _ in range(2)]

        assert drops == [b" ", b" "]
        assert "Content-Length" not in answer.headers

    def test_gzip_bomb_is_small_on_the_wire(self, sandbox: Sandbox) -> None:
        fault(sandbox, "gzip_bomb")
        address = f"{sandbox.url}/whatsapp/v26.0/{sandbox.account['phone_number_id']}"

        with requests.get(address, timeout=30, stream=True) as answer:
            packed = answer.raw.read(decode_content=False)

        assert answer.headers["Content-Encoding"] == "gzip"
        assert len(packed) < 1_000_000

    def test_can_come_after_the_work_is_done(self, sandbox: Sandbox) -> None:
        sandbox.write()
        fault(sandbox, "500", operation="messages", moment="after")

        assert sandbox.send("text", {"body": "chegou?"}).status_code == 500
        assert sandbox.chat()[-1]["content"] == {"body": "chegou?"}

    def test_hit_only_what_they_name(self, sandbox: Sandbox) -> None:
        fault(sandbox, "500", operation="messages", times=2)
        fault(sandbox, "500", path_prefix="/v25.0/")
        sandbox.write()

        assert call(sandbox).ok
        assert sandbox.send("text", {"body": "x"}).status_code == 500
        assert len(sandbox.control("GET", "/faults")["faults"]) == 2
        assert sandbox.control("DELETE", "/faults")["faults"] == []
        assert sandbox.send("text", {"body": "x"}).ok

    @pytest.mark.parametrize(
        "values",
        [
            {"kind": "flood"},
            {"kind": "500", "times": 0},
            {"kind": "500", "novelty": 1},
            {"vendor": "acme"},
            {"kind": "code", "code": 7},
        ],
    )
    def test_refuse_what_cannot_be_played(self, sandbox: Sandbox, values: dict[str, Any]) -> None:
        body = {"vendor": "whatsapp", "kind": "500"} | values

        assert requests.post(f"{sandbox.url}/control/faults", json=body, timeout=5).status_code == 400


class TestControl:
    def test_lists_calls_without_their_secrets(self, sandbox: Sandbox) -> None:
        sandbox.control("DELETE", "/calls")
        sandbox.graph("GET", sandbox.account["phone_number_id"], params={"fields": "status"})

        listed = requests.get(f"{sandbox.url}/control/calls?vendor=whatsapp", timeout=5)

        assert [entry["operation"] for entry in listed.json()["calls"]] == ["phone_number"]
        assert sandbox.account["access_token"] not in listed.text

    def test_takes_json_only_so_that_no_foreign_page_can_command_it(self, sandbox: Sandbox) -> None:
        answer = requests.post(
            f"{sandbox.url}/control/reset", data='{"a": 1}', headers={"Content-Type": "text/plain"}, timeout=5
        )

        assert answer.status_code == 415

    @pytest.mark.parametrize("values", [{"novelty": 1}, {"sent_after_s": -1}, {"sent_after_s": "soon"}])
    def test_refuses_wrong_settings(self, sandbox: Sandbox, values: dict[str, Any]) -> None:
        assert requests.post(f"{sandbox.url}/control/settings", json=values, timeout=5).status_code == 400

    def test_says_what_it_does_not_know(self, sandbox: Sandbox) -> None:
        assert requests.get(f"{sandbox.url}/control/novelty", timeout=5).status_code == 404
        assert requests.get(f"{sandbox.url}/static/../frame.py", timeout=5).status_code == 404


class TestSurvival:
    @pytest.mark.parametrize("body", [b"[" * 100_000, b'{"messaging_product": "\xff"}', b"[]", b"", b'"x"'])
    def test_strange_bodies_are_refused_as_meta_would(self, sandbox: Sandbox, body: bytes) -> None:
        path = f"{sandbox.account['phone_number_id']}/messages"

        answer = sandbox.graph("POST", path, data=body, headers={"Content-Type": "application/json"})

        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == 100

    def test_a_caller_who_leaves_does_no_harm(self, sandbox: Sandbox) -> None:
        host, port = sandbox.url.removeprefix("http://").split(":")
        for _ in range(5):
            with socket.create_connection((host, int(port))) as line:
                line.sendall(b"POST /whatsapp/v26.0/1/messages HTTP/1.1\r\nContent-Length: 500\r\n\r\n{")

        assert call(sandbox).ok


class TestPages:
    @pytest.mark.parametrize("path", ["/", "/phone/whatsapp/", "/phone/whatsapp/{number}/"])
    def test_hold_no_script_or_style_of_their_own(self, sandbox: Sandbox, path: str) -> None:
        address = sandbox.url + path.format(number=sandbox.account["phone_number_id"])

        answer = requests.get(address, timeout=5)

        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
        assert not re.search(r"<script>|<style|\son\w+=|\sstyle=|https?://(?!127)", answer.text)

    def test_speak_portuguese_and_english(self, sandbox: Sandbox) -> None:
        address = f"{sandbox.url}/phone/whatsapp/{sandbox.account['phone_number_id']}/"

        by_browser = requests.get(address, headers={"Accept-Language": "pt-BR,pt;q=0.9"}, timeout=5).text
        by_choice = requests.get(address, params={"lang": "en"}, headers={"Accept-Language": "pt-BR"}, timeout=5).text

        assert 'lang="pt-BR"' in by_browser
        assert "Abrir a conversa" in by_browser
        assert "Open the chat" in by_choice

    def test_show_media_on_the_phone_without_letting_it_run(self, sandbox: Sandbox) -> None:
        sandbox.write(type="image")
        media_id = sandbox.chat()[0]["content"]["id"]

        answer = requests.get(f"{sandbox.url}/phone/whatsapp/media/{media_id}", timeout=5)

        assert answer.content.startswith(b"\x89PNG")
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"

    def test_put_names_into_html_safely(self, sandbox: Sandbox) -> None:
        sandbox.control("POST", "/whatsapp/accounts", {"name": "<script>alert(1)</script>"})

        page = requests.get(f"{sandbox.url}/phone/whatsapp/", timeout=5).text

        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page

    def test_use_only_texts_and_elements_that_exist(self) -> None:
        script = (STATIC / "phone.js").read_text()

        assert "innerHTML" not in script
        assert "eval(" not in script
