"""Webhooks out: addresses, signatures, repeats, statuses, and every difficult way of sending."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.sandbox.conftest import CUSTOMER, VERIFY_TOKEN, Receiver, Sandbox

Eventually = Callable[[Callable[[], object]], object]


def value_of(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body)["entry"][0]["changes"][0]["value"]
    return found


def signature(body: bytes, secret: str) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class TestBody:
    def test_is_signed_over_its_raw_bytes_and_escaped_as_meta_does(
        self, connected: Sandbox, receiver: Receiver
    ) -> None:
        connected.write(text="Olá / até já 🙂", name="João")

        _, headers, body = receiver.next()

        assert headers["x-hub-signature-256"] == signature(body, connected.account["app_secret"])
        assert b"Ol\\u00e1 \\/ at\\u00e9 j\\u00e1 \\ud83d\\ude42" in body
        assert value_of(body)["messages"][0]["text"]["body"] == "Olá / até já 🙂"
        assert value_of(body)["contacts"][0]["profile"]["name"] == "João"

    def test_names_number_account_and_both_ids_of_the_sender(self, connected: Sandbox, receiver: Receiver) -> None:
        connected.write()

        body = json.loads(receiver.next()[2])
        value = body["entry"][0]["changes"][0]["value"]

        assert body["object"] == "whatsapp_business_account"
        assert body["entry"][0]["id"] == connected.account["waba_id"]
        assert value["metadata"]["phone_number_id"] == connected.account["phone_number_id"]
        assert value["messages"][0]["from"] == value["contacts"][0]["wa_id"] == CUSTOMER
        assert value["messages"][0]["from_user_id"] == value["contacts"][0]["user_id"]
        assert value["contacts"][0]["user_id"].startswith("BR.")

    def test_leaves_the_phone_out_for_a_customer_with_a_username(self, connected: Sandbox, receiver: Receiver) -> None:
        connected.write("@maria.souza")

        value = value_of(receiver.next()[2])

        assert "from" not in value["messages"][0]
        assert "wa_id" not in value["contacts"][0]
        assert value["contacts"][0]["profile"]["username"] == "maria.souza"

    @pytest.mark.parametrize(
        ("spec", "kind", "key"),
        [
            ({"type": "location"}, "location", "location"),
            ({"type": "contacts"}, "contacts", "contacts"),
            ({"type": "button_reply", "id": "yes", "title": "Sim"}, "interactive", "interactive"),
            ({"type": "list_reply", "id": "a", "title": "Manhã"}, "interactive", "interactive"),
            ({"type": "flow_reply"}, "interactive", "interactive"),
            ({"type": "button", "text": "Quero ver"}, "button", "button"),
            ({"type": "reaction", "message_id": "wamid.x", "emoji": "👍"}, "reaction", "reaction"),
            ({"type": "order"}, "order", "order"),
            ({"type": "system", "old": "1", "new": "2"}, "system", "system"),
            ({"type": "unsupported"}, "unsupported", "errors"),
            ({"type": "edit", "message_id": "wamid.x", "text": "y"}, "edit", "edit"),
            ({"type": "revoke", "message_id": "wamid.x"}, "revoke", "revoke"),
            ({"type": "raw", "raw": {"type": "hologram", "hologram": {}}}, "hologram", "hologram"),
        ],
    )
    def test_can_hold_every_type(
        self, connected: Sandbox, receiver: Receiver, spec: dict[str, Any], kind: str, key: str
    ) -> None:
        connected.write(**spec)

        message = value_of(receiver.next()[2])["messages"][0]

        assert message["type"] == kind
        assert key in message


class TestAddress:
    def test_is_the_numbers_own_then_the_accounts_then_the_apps(self, connected: Sandbox, receiver: Receiver) -> None:
        app = {"url": f"{receiver.url}app", "verify_token": VERIFY_TOKEN}
        connected.control("POST", f"/whatsapp/apps/{connected.account['app_id']}/webhook", app)
        override = {"override_callback_uri": f"{receiver.url}number", "verify_token": VERIFY_TOKEN}
        number, waba = connected.account["phone_number_id"], connected.account["waba_id"]
        paths = []

        connected.graph("POST", number, json={"webhook_configuration": override})
        connected.write()
        paths.append(receiver.next()[0])
        connected.graph("POST", number, json={"webhook_configuration": {"override_callback_uri": ""}})
        connected.write()
        paths.append(receiver.next()[0])
        connected.graph("POST", f"{waba}/subscribed_apps")
        connected.write()
        paths.append(receiver.next()[0])

        assert paths == ["/hook/number", "/hook/", "/hook/app"]

    def test_of_account_fields_is_always_the_apps_own(self, connected: Sandbox, receiver: Receiver) -> None:
        event = {"field": "account_update", "value": {"event": "VERIFIED_ACCOUNT"}}
        waba = {"waba_id": connected.account["waba_id"]}

        assert connected.control("POST", "/whatsapp/events", event | waba)["webhooks"] == 0
        app = {"url": f"{receiver.url}app", "verify_token": VERIFY_TOKEN}
        connected.control("POST", f"/whatsapp/apps/{connected.account['app_id']}/webhook", app)
        assert connected.control("POST", "/whatsapp/events", event | waba)["webhooks"] == 1

        assert receiver.next()[0] == "/hook/app"

    def test_is_nobodys_after_the_subscription_ended(self, connected: Sandbox, receiver: Receiver) -> None:
        connected.graph("DELETE", f"{connected.account['waba_id']}/subscribed_apps")

        assert connected.write()["webhooks"] == 0
        assert receiver.silent()

    def test_serves_two_apps_with_their_own_secrets(self, connected: Sandbox, receiver: Receiver) -> None:
        body = {"override_callback_uri": f"{receiver.url}platform", "verify_token": VERIFY_TOKEN}
        path = f"{connected.account['waba_id']}/subscribed_apps"
        assert connected.graph("POST", path, token=connected.account["platform_access_token"], json=body).ok
        apps = {app["id"]: app["secret"] for app in connected.control("GET", "/whatsapp/apps")["apps"]}

        assert connected.write()["webhooks"] == 2
        posts = {post[0]: post for post in (receiver.next(), receiver.next())}

        _, headers, raw = posts["/hook/platform"]
        assert headers["x-hub-signature-256"] == signature(raw, apps[connected.account["platform_app_id"]])
        assert posts["/hook/"][1]["x-hub-signature-256"] != headers["x-hub-signature-256"]


class TestRepeat:
    def test_goes_on_until_somebody_answers_200(self, connected: Sandbox, receiver: Receiver) -> None:
        receiver.statuses = [503, 302, 200]

        connected.write()
        bodies = [receiver.next()[2] for _ in range(3)]

        assert len(set(bodies)) == 1
        assert receiver.silent()
        delivery = connected.control("GET", "/whatsapp/deliveries")["deliveries"][-1]
        assert (delivery["attempts"], delivery["last"], delivery["done"]) == (3, "200", True)

    def test_does_not_follow_a_forged_body(self, connected: Sandbox, receiver: Receiver) -> None:
        receiver.statuses = [401]
        scenario = {"mode": "forged", "phone_number_id": connected.account["phone_number_id"]}

        connected.control("POST", "/whatsapp/deliveries", scenario)
        _, headers, body = receiver.next()

        assert headers["x-hub-signature-256"] != signature(body, connected.account["app_secret"])
        assert receiver.silent()


class TestStatus:
    def send(self, connected: Sandbox, receiver: Receiver, **more: object) -> str:
        connected.write()
        receiver.next()
        message_id: str = connected.send("text", {"body": "olá"}, **more).json()["messages"][0]["id"]
        return message_id

    def statuses(self, receiver: Receiver, count: int) -> list[dict[str, Any]]:
        return [value_of(receiver.next()[2])["statuses"][0] for _ in range(count)]

    def test_is_sent_then_delivered_then_read_when_the_chat_is_opened(
        self, connected: Sandbox, receiver: Receiver
    ) -> None:
        message_id = self.send(connected, receiver, biz_opaque_callback_data="our-7")
        first = self.statuses(receiver, 2)

        number = {"phone_number_id": connected.account["phone_number_id"]}
        assert connected.control("POST", f"/whatsapp/customers/{CUSTOMER}/read", number) == {"changed": 1}
        (last,) = self.statuses(receiver, 1)

        assert {entry["id"] for entry in (*first, last)} == {message_id}
        assert {entry["status"] for entry in first} == {"sent", "delivered"}
        assert last["status"] == "read"
        assert last["biz_opaque_callback_data"] == "our-7"
        assert last["recipient_id"] == CUSTOMER
        assert "pricing" not in last
        assert first[0]["pricing"]["type"] == "free_customer_service"
        assert connected.control("POST", f"/whatsapp/customers/{CUSTOMER}/read", number) == {"changed": 0}

    def test_comes_late_as_failed_where_the_setting_says_so(self, connected: Sandbox, receiver: Receiver) -> None:
        connected.control("POST", "/settings", {"refuse_late": 1})

        assert connected.send("text", {"body": "sem janela"}).ok
        (entry,) = self.statuses(receiver, 1)

        assert entry["status"] == "failed"
        assert entry["errors"][0]["code"] == 131047

    def test_can_arrive_in_the_wrong_order(
        self, connected: Sandbox, receiver: Receiver, eventually: Eventually
    ) -> None:
        self.send(connected, receiver)
        self.statuses(receiver, 2)
        scenario = {"mode": "out_of_order", "phone_number_id": connected.account["phone_number_id"]}

        connected.control("POST", "/whatsapp/deliveries", scenario | {"customer": CUSTOMER})
        entries = self.statuses(receiver, 3)

        by_status = {entry["status"]: int(entry["timestamp"]) for entry in entries}
        assert by_status["sent"] < by_status["delivered"] < by_status["read"]


class TestScenario:
    def play(self, sandbox: Sandbox, mode: str, **values: object) -> list[dict[str, Any]]:
        body = {"mode": mode, "phone_number_id": sandbox.account["phone_number_id"]} | values
        found: list[dict[str, Any]] = sandbox.control("POST", "/whatsapp/deliveries", body)["deliveries"]
        return found

    def test_batch_spreads_messages_over_numbers_in_one_post(self, connected: Sandbox, receiver: Receiver) -> None:
        second = connected.control("POST", "/whatsapp/accounts", {"name": "Loja 2"})["phone_number_id"]
        numbers = [connected.account["phone_number_id"], second]

        self.play(connected, "batch", count=5, phone_number_ids=numbers)
        entries = json.loads(receiver.next()[2])["entry"]

        values = [entry["changes"][0]["value"] for entry in entries]
        assert [value["metadata"]["phone_number_id"] for value in values] == numbers
        assert [len(value["messages"]) for value in values] == [3, 2]

    def test_duplicate_repeats_the_last_body_byte_for_byte(self, connected: Sandbox, receiver: Receiver) -> None:
        connected.write()
        first = receiver.next()[2]

        self.play(connected, "duplicate", count=3)

        assert [receiver.next()[2] for _ in range(3)] == [first] * 3

    def test_stale_is_days_old(self, connected: Sandbox, receiver: Receiver) -> None:
        connected.write()
        now = int(value_of(receiver.next()[2])["messages"][0]["timestamp"])

        self.play(connected, "stale")

        assert now - int(value_of(receiver.next()[2])["messages"][0]["timestamp"]) >= 3 * 86400

    def test_large_is_about_3_mb(self, connected: Sandbox, receiver: Receiver) -> None:
        self.play(connected, "large")

        assert 2_900_000 < len(receiver.next()[2]) < 3_100_000

    @pytest.mark.parametrize(
        "mode", ["unsigned", "unknown_number", "unknown_field", "duplicate_in_one", "errors", "not_json"]
    )
    def test_sends_one_strange_post(self, connected: Sandbox, receiver: Receiver, mode: str) -> None:
        assert len(self.play(connected, mode)) == 1

        _, headers, body = receiver.next()

        signed = headers.get("x-hub-signature-256") == signature(body, connected.account["app_secret"])
        assert signed is (mode != "unsigned")

    def test_quality_and_tier_reach_the_app(self, connected: Sandbox, receiver: Receiver) -> None:
        app = {"url": f"{receiver.url}app", "verify_token": VERIFY_TOKEN}
        connected.control("POST", f"/whatsapp/apps/{connected.account['app_id']}/webhook", app)
        number = connected.account["phone_number_id"]

        connected.control("POST", f"/whatsapp/phones/{number}", {"tier": "TIER_10K", "quality_rating": "RED"})

        change = json.loads(receiver.next()[2])["entry"][0]["changes"][0]
        assert change["field"] == "business_capability_update"
        assert change["value"]["max_daily_conversations_per_business"] == "TIER_10K"
        fields = {"fields": "quality_rating,whatsapp_business_manager_messaging_limit"}
        shown = connected.graph("GET", number, params=fields).json()
        assert shown["quality_rating"] == "RED"

    def test_template_status_reaches_the_app(self, connected: Sandbox, receiver: Receiver) -> None:
        app = {"url": f"{receiver.url}app", "verify_token": VERIFY_TOKEN}
        connected.control("POST", f"/whatsapp/apps/{connected.account['app_id']}/webhook", app)
        path = f"/whatsapp/templates?waba_id={connected.account['waba_id']}"
        template = connected.control("GET", path)["templates"][0]

        connected.control("POST", f"/whatsapp/templates/{template['id']}/reject", {"reason": "SCAM"})

        change = json.loads(receiver.next()[2])["entry"][0]["changes"][0]
        assert change["field"] == "message_template_status_update"
        assert change["value"]["event"] == "REJECTED"
        assert change["value"]["reason"] == "SCAM"
        assert change["value"]["message_template_id"] == int(template["id"])

    def test_a_new_user_id_is_told(self, connected: Sandbox, receiver: Receiver) -> None:
        connected.write()
        old = value_of(receiver.next()[2])["contacts"][0]["user_id"]
        app = {"url": f"{receiver.url}app", "verify_token": VERIFY_TOKEN}
        connected.control("POST", f"/whatsapp/apps/{connected.account['app_id']}/webhook", app)

        number = {"phone_number_id": connected.account["phone_number_id"]}
        connected.control("POST", f"/whatsapp/customers/{CUSTOMER}/user-id", number)
        update = value_of(receiver.next()[2])["user_id_update"][0]
        connected.write()

        assert update["user_id"]["previous"] == old
        assert value_of(receiver.next()[2])["contacts"][0]["user_id"] == update["user_id"]["current"]
