"""Sending: what is accepted, what is refused and with which code, and which statuses follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.sandbox.conftest import CUSTOMER, Sandbox, code_of

BUTTONS = [{"type": "reply", "reply": {"id": "yes", "title": "Sim"}}]
BODY = {"body": {"text": "Posso confirmar?"}}
ROWS = [{"id": "a", "title": "Manhã"}, {"id": "b", "title": "Tarde", "description": "Depois das 13h"}]

ACCEPTED: list[tuple[str, object]] = [
    ("text", {"body": "Olá, é a padaria", "preview_url": False}),
    ("location", {"latitude": -23.56, "longitude": -46.65, "name": "Loja", "address": "Av. Paulista"}),
    ("contacts", [{"name": {"formatted_name": "Ana", "first_name": "Ana"}, "phones": [{"phone": "+15550100123"}]}]),
    ("image", {"link": "https://files.example.com/pao.png", "caption": "Pão"}),
    ("document", {"link": "https://files.example.com/nota.pdf", "filename": "nota.pdf"}),
    ("interactive", {"type": "button", "action": {"buttons": BUTTONS}, **BODY}),
    ("interactive", {"type": "list", "action": {"button": "Ver", "sections": [{"rows": ROWS}]}, **BODY}),
    (
        "interactive",
        {
            "type": "cta_url",
            "action": {"name": "cta_url", "parameters": {"display_text": "Abrir", "url": "https://example.com"}},
            **BODY,
        },
    ),
    (
        "interactive",
        {
            "type": "flow",
            "action": {
                "name": "flow",
                "parameters": {"flow_message_version": "3", "flow_id": "123", "flow_cta": "Abrir", "flow_token": "t"},
            },
            **BODY,
        },
    ),
    ("interactive", {"type": "location_request_message", "action": {"name": "send_location"}, **BODY}),
    ("interactive", {"type": "request_contact_info", "action": {"name": "request_contact_info"}, **BODY}),
]

# (type, content, fields of the message that differ, code)
REFUSED: list[tuple[str, object, dict[str, Any], int]] = [
    ("text", {"body": "x"}, {"messaging_product": None}, 100),
    ("text", {"body": "x"}, {"to": None}, 131008),
    ("text", {}, {}, 131008),
    ("text", {"body": "x" * 4097}, {}, 131009),
    ("text", {"body": ""}, {}, 131009),
    ("text", {"body": "x", "novelty": 1}, {}, 100),
    ("text", {"body": "x"}, {"novelty": 1}, 100),
    ("text", {"body": "x"}, {"to": "abc"}, 131009),
    ("text", {"body": "x"}, {"to": "+551155501201"}, 131021),
    ("text", {"body": "x"}, {"biz_opaque_callback_data": "x" * 513}, 131009),
    ("text", {"body": "x"}, {"context": {"message_id": "wamid.unknown"}}, 131009),
    ("text", {"body": "x"}, {"recipient_type": "group"}, 131009),
    ("telegram", {"body": "x"}, {}, 131051),
    ("location", {"latitude": 91, "longitude": 0}, {}, 131009),
    ("contacts", [], {}, 131009),
    ("image", {"id": "999999999999999"}, {}, 100),
    ("image", {"link": "ftp://files.example.com/a.png"}, {}, 131009),
    ("image", {"id": "1", "link": "https://files.example.com/a.png"}, {}, 131008),
    ("interactive", {"type": "button", "action": {"buttons": BUTTONS * 4}, **BODY}, {}, 131009),
    ("interactive", {"type": "button", "action": {"buttons": BUTTONS * 2}, **BODY}, {}, 131009),
    (
        "interactive",
        {"type": "button", "action": {"buttons": [{"type": "reply", "reply": {"id": "a", "title": "x" * 21}}]}, **BODY},
        {},
        131009,
    ),
    ("interactive", {"type": "button", "action": {"buttons": BUTTONS}}, {}, 131008),
    (
        "interactive",
        {"type": "button", "action": {"buttons": BUTTONS}, "body": {"text": "x" * 1025}},
        {},
        131009,
    ),
    ("interactive", {"type": "contact_request", **BODY}, {}, 131009),
    ("reaction", {"message_id": "wamid.unknown", "emoji": "👍"}, {}, 131009),
]


class TestSend:
    @pytest.mark.parametrize(("kind", "content"), ACCEPTED)
    def test_accepts_every_type_within_the_window(self, sandbox: Sandbox, kind: str, content: object) -> None:
        sandbox.write()

        answer = sandbox.send(kind, content)

        assert answer.status_code == 200, answer.text
        assert answer.json()["contacts"] == [{"input": f"+{CUSTOMER}", "wa_id": CUSTOMER}]
        assert answer.json()["messages"][0]["id"].startswith("wamid.")

    @pytest.mark.parametrize(("kind", "content", "changes", "code"), REFUSED)
    def test_refuses_with_the_code_of_the_card(
        self, sandbox: Sandbox, kind: str, content: object, changes: dict[str, Any], code: int
    ) -> None:
        sandbox.write()

        answer = sandbox.send(kind, content, **changes)

        assert not answer.ok
        assert code_of(answer) == code
        assert [message["direction"] for message in sandbox.chat()] == ["incoming"]

    def test_replies_and_reacts_to_a_message_of_the_chat(self, sandbox: Sandbox) -> None:
        message_id = sandbox.write()["message_id"]

        assert sandbox.send("text", {"body": "sim"}, context={"message_id": message_id}).ok
        assert sandbox.send("reaction", {"message_id": message_id, "emoji": "👍"}).ok

    def test_wants_a_template_outside_the_window(self, sandbox: Sandbox) -> None:
        sandbox.write()
        window = {"phone_number_id": sandbox.account["phone_number_id"], "hours_ago": 25}
        sandbox.control("POST", f"/whatsapp/customers/{CUSTOMER}/window", window)

        answer = sandbox.send("text", {"body": "ainda aí?"})

        assert code_of(answer) == 131047
        assert answer.json()["error"]["error_data"]["details"]
        assert sandbox.send("template", {"name": "hello", "language": {"code": "pt_BR"}}).ok

    def test_refuses_recipients_who_cannot_be_reached(self, sandbox: Sandbox) -> None:
        hello = {"name": "hello", "language": {"code": "en"}}
        offer = {
            "name": "weekend_offer", "language": {"code": "en"},
            "components": [{"type": "body", "parameters": [{"type": "text", "text": "Ana"}]}],
        }  # fmt: skip
        sandbox.control("POST", f"/whatsapp/customers/{CUSTOMER}", {"takes_marketing": False})

        assert code_of(sandbox.send("template", hello, to="+5511955500000")) == 131026
        assert code_of(sandbox.send("template", hello, to=None, recipient="BR.00000000000000000001")) == 131026
        assert code_of(sandbox.send("template", offer)) == 131050
        sandbox.control("POST", f"/whatsapp/phones/{sandbox.account['phone_number_id']}", {"account_mode": "SANDBOX"})
        assert code_of(sandbox.send("template", hello)) == 131030

    def test_refuses_who_is_too_fast(self, sandbox: Sandbox) -> None:
        sandbox.write()
        sandbox.control("POST", "/settings", {"pair_burst": 2, "throughput_per_s": 0})
        pair = [sandbox.send("text", {"body": "x"}).status_code for _ in range(3)]
        sandbox.control("POST", "/settings", {"pair_burst": 0, "throughput_per_s": 1})
        number = [sandbox.send("text", {"body": "x"}).status_code for _ in range(3)]

        assert pair == [200, 200, 400]
        assert 429 in number

    def test_reaches_a_customer_who_is_known_by_user_id_only(self, connected: Sandbox) -> None:
        connected.write("@maria.souza", name="Maria")
        found = connected.control(
            "GET", f"/whatsapp/customers/@maria.souza/messages?phone_number_id={connected.account['phone_number_id']}"
        )
        user_id = found["customer"]["user_id"]

        answer = connected.send("text", {"body": "oi"}, to=None, recipient=user_id)

        assert answer.json()["contacts"] == [{"input": user_id, "user_id": user_id}]
        code = {"name": "access_code", "language": {"code": "en"}}
        assert code_of(connected.send("template", code, to=None, recipient=user_id)) == 131062

    def test_marks_an_incoming_message_and_the_earlier_ones_as_read(self, sandbox: Sandbox) -> None:
        sandbox.write()
        message_id = sandbox.write()["message_id"]
        path = f"{sandbox.account['phone_number_id']}/messages"
        body = {"messaging_product": "whatsapp", "status": "read", "message_id": message_id}

        answer = sandbox.graph("POST", path, json=body | {"typing_indicator": {"type": "text"}})

        assert answer.json() == {"success": True}
        assert [message["status"] for message in sandbox.chat()] == ["read", "read"]
        assert code_of(sandbox.graph("POST", path, json=body | {"message_id": "wamid.unknown"})) == 131009
        assert code_of(sandbox.graph("POST", path, json=body | {"to": "1"})) == 100


class TestTemplate:
    def parameters(self, *texts: str) -> dict[str, Any]:
        return {"type": "body", "parameters": [{"type": "text", "text": text} for text in texts]}

    def send(self, sandbox: Sandbox, *components: dict[str, Any], name: str = "order_update") -> Any:
        return sandbox.send("template", {"name": name, "language": {"code": "pt_BR"}, "components": list(components)})

    def test_is_filled_and_shown_on_the_phone(self, sandbox: Sandbox) -> None:
        answer = self.send(sandbox, self.parameters("Ana", "A-7", "pronto"))

        assert answer.json()["messages"][0]["message_status"] == "accepted"
        assert sandbox.chat()[-1]["content"]["shown"]["body"] == "Oi, Ana! Seu pedido A-7 já está pronto."

    @pytest.mark.parametrize(
        ("name", "texts", "code"),
        [
            ("order_update", ("Ana",), 132000),
            ("order_update", (), 132000),
            ("order_update", ("Ana", "A-7", "x" * 1100), 132005),
            ("order_updates", ("Ana", "A-7", "pronto"), 132001),
        ],
    )
    def test_is_refused_when_it_does_not_fit(
        self, sandbox: Sandbox, name: str, texts: tuple[str, ...], code: int
    ) -> None:
        assert code_of(self.send(sandbox, self.parameters(*texts), name=name)) == code

    def test_is_refused_with_a_parameter_of_another_kind(self, sandbox: Sandbox) -> None:
        picture = {"type": "image", "image": {"link": "https://files.example.com/a.png"}}
        body = self.parameters("Ana", "A-7") | {}
        body["parameters"].append(picture)

        assert code_of(self.send(sandbox, body)) == 132012

    def test_is_refused_while_paused(self, sandbox: Sandbox) -> None:
        listed = sandbox.control("GET", f"/whatsapp/templates?waba_id={sandbox.account['waba_id']}")["templates"]
        for template in listed:
            sandbox.control("POST", f"/whatsapp/templates/{template['id']}/pause")

        assert code_of(self.send(sandbox, self.parameters("Ana", "A-7", "pronto"))) == 132015


class TestManageTemplates:
    def create(self, sandbox: Sandbox, **changes: object) -> Any:
        body = {
            "name": "pickup_ready", "language": "pt_BR", "category": "UTILITY",
            "components": [{"type": "BODY", "text": "Pode retirar, {{1}}.", "example": {"body_text": [["Ana"]]}}],
        }  # fmt: skip
        return sandbox.graph("POST", f"{sandbox.account['waba_id']}/message_templates", json=body | changes)

    def test_lists_by_pages(self, sandbox: Sandbox) -> None:
        path = f"{sandbox.account['waba_id']}/message_templates"
        first = sandbox.graph("GET", path, params={"limit": "4", "fields": "name,status"}).json()

        after = first["paging"]["cursors"]["after"]
        second = sandbox.graph("GET", path, params={"limit": "4", "fields": "name,status", "after": after}).json()

        assert [len(first["data"]), len(second["data"])] == [4, 3]
        assert set(first["data"][0]) == {"id", "name", "status"}
        assert "next" in first["paging"]
        assert "next" not in second["paging"]
        assert not {entry["id"] for entry in first["data"]} & {entry["id"] for entry in second["data"]}

    def test_is_pending_then_approved_after_the_review(
        self, sandbox: Sandbox, eventually: Callable[[Callable[[], object]], object]
    ) -> None:
        sandbox.control("POST", "/settings", {"template_review_s": 0.05})

        created = self.create(sandbox).json()

        assert created["status"] == "PENDING"
        eventually(lambda: sandbox.graph("GET", created["id"]).json()["status"] == "APPROVED")

    def test_is_rejected_when_parameters_touch(
        self, sandbox: Sandbox, eventually: Callable[[Callable[[], object]], object]
    ) -> None:
        sandbox.control("POST", "/settings", {"template_review_s": 0.05})

        created = self.create(sandbox, components=[{"type": "BODY", "text": "{{1}}{{2}}"}]).json()

        eventually(lambda: sandbox.graph("GET", created["id"]).json()["status"] == "REJECTED")

    @pytest.mark.parametrize(
        "wrong",
        [{"name": "Pickup Ready"}, {"category": "FUN"}, {"language": "portuguese"}, {"components": []}, {"novelty": 1}],
    )
    def test_refuses_what_is_not_valid(self, sandbox: Sandbox, wrong: dict[str, Any]) -> None:
        assert self.create(sandbox, **wrong).status_code == 400

    def test_refuses_a_name_that_exists_or_was_deleted(self, sandbox: Sandbox) -> None:
        path = f"{sandbox.account['waba_id']}/message_templates"

        assert self.create(sandbox, name="hello").json()["error"]["error_subcode"] == 2388024
        assert sandbox.graph("DELETE", path, params={"name": "hello"}).json() == {"success": True}
        assert self.create(sandbox, name="hello").json()["error"]["error_subcode"] == 2388023
        assert code_of(sandbox.graph("DELETE", path, params={"name": "hello"})) == 100

    def test_edits_only_what_is_reviewed(self, sandbox: Sandbox) -> None:
        created = self.create(sandbox).json()
        change = {"components": [{"type": "BODY", "text": "Pode retirar agora, {{1}}."}]}

        assert sandbox.graph("POST", created["id"], json=change).status_code == 400
        sandbox.control("POST", f"/whatsapp/templates/{created['id']}/approve")
        assert sandbox.graph("POST", created["id"], json=change).json() == {"success": True}
        assert sandbox.graph("GET", created["id"]).json()["status"] == "PENDING"
