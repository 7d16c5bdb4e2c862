"""The protocol of the Graph API: version, token, proof, permission, visibility, query."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
import requests

from tests.sandbox.conftest import VERIFY_TOKEN, Receiver, Sandbox


def code_of(answer: requests.Response) -> tuple[int, int | None]:
    error = answer.json()["error"]
    assert error["fbtrace_id"]
    return error["code"], error.get("error_subcode")


class TestVersion:
    @pytest.mark.parametrize(("version", "code"), [("v21.0", 2635), ("v18.0", 2635), ("v99.0", 2500), ("latest", 2635)])
    def test_refuses_versions_that_do_not_serve(self, sandbox: Sandbox, version: str, code: int) -> None:
        answer = sandbox.graph("GET", sandbox.account["phone_number_id"], version=version)

        assert answer.status_code == 400
        assert code_of(answer)[0] == code

    def test_serves_the_oldest_version_in_force(self, sandbox: Sandbox) -> None:
        assert sandbox.graph("GET", sandbox.account["phone_number_id"], version="v22.0").ok


class TestToken:
    def test_refuses_a_call_without_a_token(self, sandbox: Sandbox) -> None:
        answer = requests.get(f"{sandbox.url}/whatsapp/v26.0/{sandbox.account['waba_id']}", timeout=5)

        assert answer.status_code == 401
        assert code_of(answer) == (104, None)

    @pytest.mark.parametrize(("reason", "subcode"), [("revoked", 460), ("expired", 463), ("app_removed", 458)])
    def test_refuses_a_dead_token_with_the_reason(self, sandbox: Sandbox, reason: str, subcode: int) -> None:
        token = sandbox.account["access_token"]
        sandbox.control("POST", f"/whatsapp/tokens/{token}/revoke", {"reason": reason})

        answer = sandbox.graph("GET", sandbox.account["phone_number_id"])

        assert answer.status_code == 401
        assert code_of(answer) == (190, subcode)

    def test_refuses_an_unknown_token(self, sandbox: Sandbox) -> None:
        answer = sandbox.graph("GET", sandbox.account["phone_number_id"], token="EAAtestUnknown")

        assert code_of(answer) == (190, None)

    def test_refuses_what_the_permissions_do_not_allow(self, sandbox: Sandbox) -> None:
        scopes = {"app_id": sandbox.account["app_id"], "waba_ids": [sandbox.account["waba_id"]]}
        manager = sandbox.control("POST", "/whatsapp/tokens", scopes | {"scopes": ["whatsapp_business_management"]})
        sender = sandbox.control("POST", "/whatsapp/tokens", scopes | {"scopes": ["whatsapp_business_messaging"]})
        body = {"messaging_product": "whatsapp", "to": "+5511955507788", "type": "text", "text": {"body": "x"}}
        path = f"{sandbox.account['phone_number_id']}/messages"

        assert code_of(sandbox.graph("POST", path, token=manager["token"], json=body))[0] == 10
        templates = f"{sandbox.account['waba_id']}/message_templates"
        assert code_of(sandbox.graph("GET", templates, token=sender["token"]))[0] == 200

    def test_hides_the_objects_of_others(self, sandbox: Sandbox) -> None:
        other = sandbox.control("GET", "/whatsapp/accounts")["accounts"][1]

        assert code_of(sandbox.graph("GET", other["phone_number_id"])) == (100, 33)
        assert code_of(sandbox.graph("GET", "123456789012345")) == (100, 33)
        assert code_of(sandbox.graph("POST", f"{sandbox.account['phone_number_id']}/webhook", json={})) == (100, 33)


class TestProof:
    def proof(self, sandbox: Sandbox) -> str:
        secret, token = sandbox.account["app_secret"], sandbox.account["access_token"]
        return hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest()

    def test_accepts_the_right_proof_and_refuses_a_wrong_one(self, sandbox: Sandbox) -> None:
        path = sandbox.account["phone_number_id"]

        assert sandbox.graph("GET", path, params={"appsecret_proof": self.proof(sandbox)}).ok
        assert code_of(sandbox.graph("GET", path, params={"appsecret_proof": "0" * 64}))[0] == 100

    def test_wants_a_proof_where_the_app_does(self, sandbox: Sandbox) -> None:
        sandbox.control("POST", f"/whatsapp/apps/{sandbox.account['app_id']}", {"require_proof": True})
        path = sandbox.account["phone_number_id"]

        assert code_of(sandbox.graph("GET", path))[0] == 100
        assert sandbox.graph("GET", path, params={"appsecret_proof": self.proof(sandbox)}).ok


class TestQuery:
    @pytest.mark.parametrize("name", ["pretty", "debug", "date_format", "ids", "novelty"])
    def test_refuses_removed_habits_and_unknown_parameters(self, sandbox: Sandbox, name: str) -> None:
        answer = sandbox.graph("GET", sandbox.account["phone_number_id"], params={name: "1"})

        assert code_of(answer)[0] == 100

    def test_returns_the_asked_fields_and_no_others(self, sandbox: Sandbox) -> None:
        answer = sandbox.graph("GET", sandbox.account["phone_number_id"], params={"fields": "status,quality_rating"})

        assert answer.json() == {
            "status": "CONNECTED", "quality_rating": "GREEN", "id": sandbox.account["phone_number_id"],
        }  # fmt: skip

    def test_refuses_a_field_that_does_not_exist(self, sandbox: Sandbox) -> None:
        answer = sandbox.graph("GET", sandbox.account["phone_number_id"], params={"fields": "messaging_limit_tier"})

        assert code_of(answer)[0] == 100

    def test_answers_the_whole_check_of_the_card(self, sandbox: Sandbox) -> None:
        names = (
            "id,display_phone_number,verified_name,quality_rating,status,name_status,code_verification_status,"
            "platform_type,throughput,whatsapp_business_manager_messaging_limit,webhook_configuration,health_status"
        )

        answer = sandbox.graph("GET", sandbox.account["phone_number_id"], params={"fields": names}).json()

        assert set(answer) == set(names.split(","))
        kinds = [entity["entity_type"] for entity in answer["health_status"]["entities"]]
        assert kinds == ["PHONE_NUMBER", "WABA", "BUSINESS", "APP"]


class TestDebugToken:
    def ask(self, sandbox: Sandbox, token: str, *, app: str | None = None) -> requests.Response:
        app_token = app or f"{sandbox.account['app_id']}|{sandbox.account['app_secret']}"
        query = {"input_token": token, "access_token": app_token}
        return requests.get(f"{sandbox.url}/whatsapp/v26.0/debug_token", params=query, timeout=5)

    def test_names_the_accounts_in_granular_scopes(self, sandbox: Sandbox) -> None:
        data = self.ask(sandbox, sandbox.account["access_token"]).json()["data"]

        assert data["is_valid"] is True
        assert data["expires_at"] == 0
        assert {scope["scope"]: scope["target_ids"] for scope in data["granular_scopes"]} == {
            "whatsapp_business_management": [sandbox.account["waba_id"]],
            "whatsapp_business_messaging": [sandbox.account["waba_id"]],
        }

    def test_describes_a_dead_token_instead_of_refusing(self, sandbox: Sandbox) -> None:
        sandbox.control("POST", f"/whatsapp/tokens/{sandbox.account['access_token']}/revoke")

        data = self.ask(sandbox, sandbox.account["access_token"]).json()["data"]

        assert data["is_valid"] is False
        assert data["error"]["code"] == 190

    def test_refuses_the_token_of_another_app(self, sandbox: Sandbox) -> None:
        other = sandbox.control("GET", "/whatsapp/accounts")["accounts"][1]

        answer = self.ask(sandbox, other["access_token"])

        assert code_of(answer)[0] == 100

    def test_refuses_a_wrong_app_secret(self, sandbox: Sandbox) -> None:
        answer = self.ask(sandbox, "EAAtest", app=f"{sandbox.account['app_id']}|wrong")

        assert code_of(answer)[0] == 190


class TestSignup:
    def test_gives_a_token_for_a_code_once(self, sandbox: Sandbox) -> None:
        app = next(app for app in sandbox.control("GET", "/whatsapp/apps")["apps"] if app["platform"])
        made = sandbox.control("POST", "/whatsapp/signup-codes", {"waba_id": sandbox.account["waba_id"]})
        query = {"client_id": app["id"], "client_secret": app["secret"], "code": made["code"]}
        address = f"{sandbox.url}/whatsapp/v26.0/oauth/access_token"

        first = requests.get(address, params=query, timeout=5)
        second = requests.get(address, params=query, timeout=5)

        assert first.json()["token_type"] == "bearer"
        assert sandbox.graph("GET", sandbox.account["waba_id"], token=first.json()["access_token"]).ok
        assert code_of(second)[0] == 100


class TestNumber:
    def test_registers_with_the_right_pin_only(self, sandbox: Sandbox) -> None:
        path = sandbox.account["phone_number_id"]
        register: dict[str, Any] = {"messaging_product": "whatsapp"}
        assert sandbox.graph("POST", path, json={"pin": "246810"}).json() == {"success": True}

        assert sandbox.graph("POST", f"{path}/deregister").ok
        assert code_of(sandbox.send("text", {"body": "x"}))[0] == 133010
        assert code_of(sandbox.graph("POST", f"{path}/register", json=register | {"pin": "111111"}))[0] == 133005
        assert sandbox.graph("POST", f"{path}/register", json=register | {"pin": "246810"}).ok

    def test_limits_registrations(self, sandbox: Sandbox) -> None:
        path = f"{sandbox.account['phone_number_id']}/register"
        body = {"messaging_product": "whatsapp", "pin": "246810"}

        codes = [sandbox.graph("POST", path, json=body).status_code for _ in range(11)]

        assert codes == [200] * 10 + [429]

    def test_keeps_the_profile_within_its_limits(self, sandbox: Sandbox) -> None:
        path = f"{sandbox.account['phone_number_id']}/whatsapp_business_profile"
        base = {"messaging_product": "whatsapp"}

        assert sandbox.graph("POST", path, json=base | {"about": "Pão quente às 7h"}).ok
        assert sandbox.graph("GET", path, params={"fields": "about,vertical"}).json() == {
            "data": [{"about": "Pão quente às 7h", "vertical": "RETAIL", "messaging_product": "whatsapp"}]
        }
        for wrong in ({"about": "x" * 140}, {"websites": ["https://a.example.com"] * 3}, {"motto": "x"}, {}):
            assert not sandbox.graph("POST", path, json=base | wrong).ok

    def test_blocks_only_users_who_wrote_today(self, sandbox: Sandbox) -> None:
        sandbox.write()
        path = f"{sandbox.account['phone_number_id']}/block_users"
        users = [{"user": "+5511955507788"}, {"user": "+5511955507799"}]

        answer = sandbox.graph("POST", path, json={"messaging_product": "whatsapp", "block_users": users})

        assert code_of(answer)[0] == 139100
        assert [user["wa_id"] for user in answer.json()["block_users"]["added_users"]] == ["5511955507788"]
        assert sandbox.graph("GET", path).json()["data"] == [
            {"messaging_product": "whatsapp", "wa_id": "5511955507788"}
        ]
        assert sandbox.write()["webhooks"] == 0


class TestSubscription:
    def test_refuses_an_address_that_fails_the_challenge(self, sandbox: Sandbox, receiver: Receiver) -> None:
        path = f"{sandbox.account['waba_id']}/subscribed_apps"
        wrong = {"override_callback_uri": receiver.url, "verify_token": "another"}
        right = {"override_callback_uri": receiver.url, "verify_token": VERIFY_TOKEN}

        assert code_of(sandbox.graph("POST", path, json=wrong))[0] == 2200
        receiver.challenge = "wrong"
        assert code_of(sandbox.graph("POST", path, json=right))[0] == 2200
        assert sandbox.graph("GET", path).json() == {"data": []}

    def test_refuses_addresses_that_are_too_long_or_public(self, sandbox: Sandbox) -> None:
        path = f"{sandbox.account['waba_id']}/subscribed_apps"
        long = {"override_callback_uri": "https://127.0.0.1/" + "x" * 200, "verify_token": "v"}
        public = {"override_callback_uri": "https://8.8.8.8/hook", "verify_token": "v"}

        assert not sandbox.graph("POST", path, json=long).ok
        assert code_of(sandbox.graph("POST", path, json=public))[0] == 2200

    def test_lists_and_removes_the_override(self, connected: Sandbox, receiver: Receiver) -> None:
        path = f"{connected.account['waba_id']}/subscribed_apps"
        entry = connected.graph("GET", path).json()["data"][0]

        assert entry["override_callback_uri"] == receiver.url
        assert entry["whatsapp_business_api_data"]["id"] == connected.account["app_id"]
        assert connected.graph("POST", path).ok
        assert "override_callback_uri" not in connected.graph("GET", path).json()["data"][0]
        assert connected.graph("DELETE", path).ok
        assert connected.graph("GET", path).json() == {"data": []}

    def test_shows_all_three_levels_of_addresses(self, connected: Sandbox, receiver: Receiver) -> None:
        account, number = connected.account, connected.account["phone_number_id"]
        app_token = f"{account['app_id']}|{account['app_secret']}"
        own = {"object": "whatsapp_business_account", "callback_url": f"{receiver.url}app", "fields": "messages"}
        webhook = {"override_callback_uri": f"{receiver.url}number", "verify_token": VERIFY_TOKEN}

        made = connected.graph(
            "POST", f"{account['app_id']}/subscriptions", token=app_token, json=own | {"verify_token": VERIFY_TOKEN}
        )
        assert made.ok, made.text
        assert connected.graph("POST", number, json={"webhook_configuration": webhook}).ok

        answer = connected.graph("GET", number, params={"fields": "webhook_configuration"}).json()
        assert answer["webhook_configuration"] == {
            "phone_number": f"{receiver.url}number",
            "whatsapp_business_account": receiver.url,
            "application": f"{receiver.url}app",
        }
