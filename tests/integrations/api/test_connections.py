"""Connecting accounts through the API."""

from __future__ import annotations

from typing import Any

import pytest

from audit.models import AuditEntry
from dispatch.models import Link, Route
from integrations.models import Credential, Integration
from tenants.context import in_organization
from tests.integrations.api.fictional import DOWN, FAILURES, LIMITED, ODD, REFUSED, WRONG, body

URL = "/api/v1/integrations/"

KEYS = {
    "id", "provider", "category", "name", "environment", "status", "health", "health_detail", "breaker", "account",
    "capabilities", "settings", "credential", "webhook", "last_tested_at", "created_at",
}  # fmt: skip


def stored(organization: Any) -> int:
    """Count what a refused connect must not leave behind."""
    with in_organization(organization):
        return Integration.objects.count() + Credential.objects.count() + Link.objects.count() + Route.objects.count()


class TestProviders:
    def test_describe_fields_without_saying_more_than_the_contract(self, api: Any) -> None:
        listed = api().get("/api/v1/providers/").json()
        one = api().get("/api/v1/providers/fictional/").json()

        assert one in listed["results"]
        assert set(one) == {
            "key", "label", "category", "api_version", "auth", "docs_url", "credentials", "settings", "capabilities",
            "webhook_events", "limits",
        }  # fmt: skip
        assert (one["auth"], one["capabilities"]) == ("api_key", ["receives_webhooks"])
        assert one["credentials"][0]["secret"] is True
        assert one["settings"][1]["choices"][0] == {"value": "eu", "label": "Europe"}

    @pytest.mark.parametrize("key", ["nobody", "FICTIONAL", "%00", "../x"])
    def test_unknown_ones_are_404(self, api: Any, key: str) -> None:
        assert api().get(f"/api/v1/providers/{key}/").status_code == 404

    def test_know_whatsapp_with_its_verbs(self, api: Any) -> None:
        whatsapp = api().get("/api/v1/providers/whatsapp/").json()

        assert {"receives_webhooks", "sends_messages", "manages_templates"} <= set(whatsapp["capabilities"])
        assert "message.received" in whatsapp["webhook_events"] or whatsapp["webhook_events"]


class TestConnect:
    def test_answers_201_with_the_object_of_the_contract(self, api: Any) -> None:
        answer = api().post(URL, body())

        made = answer.json()
        assert answer.status_code == 201
        assert answer["Location"].endswith(f"{made['id']}/")
        assert set(made) == KEYS
        assert (made["provider"], made["category"], made["status"]) == ("fictional", "analytics", "active")
        assert made["account"] == {"external_id": "acc1", "label": "Account acc1"}
        assert made["health_detail"]["cause"] is None
        assert made["capabilities"] == ["read"]
        assert made["credential"]["fields"] == ["signing_secret", "token"]
        assert (made["credential"]["version"], made["credential"]["rotated_at"]) == (1, None)
        assert made["webhook"]["url"].startswith("https://registry.example/webhooks/fictional/")
        assert made["created_at"].endswith("Z")

    def test_shows_no_secret(self, api: Any) -> None:
        client = api()
        answers = [client.post(URL, body()), client.get(URL)]
        one = f"{URL}{answers[0].json()['id']}/"
        answers += [client.get(one), client.post(f"{one}test/"), client.get("/api/v1/audit-entries/")]

        assert all(answer.status_code < 300 for answer in answers)
        assert not any(b"test-good" in answer.content or b"test-signing" in answer.content for answer in answers)

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"provider": "nobody"}, "provider"),
            ({"provider": ""}, "provider"),
            ({"provider": 7.5}, "provider"),
            ({"environment": "live"}, "environment"),
            ({"environment": "prod"}, "environment"),
            ({"credentials": {}}, "credentials.token"),
            ({"credentials": {"token": "nonsense"}}, "credentials.token"),
            ({"credentials": {"token": 1}}, "credentials.token"),
            ({"credentials": {"token": "test-good", "extra": "x"}}, "credentials.extra"),
            ({"credentials": "test-good"}, "credentials"),
            ({"credentials": {f"f{number}": "x" for number in range(50)}}, "credentials"),
            ({"settings": {}}, "settings.account"),
            ({"settings": {"account": "acc1", "region": "moon"}}, "settings.region"),
            ({"settings": {"account": {"a": 1}}}, "settings.account"),
            ({"name": "x" * 121}, "name"),
            ({"enviroment": "test"}, "enviroment"),
        ],
    )
    def test_names_the_field_and_stores_nothing(
        self, api: Any, organization: Any, changes: dict[str, Any], field: str
    ) -> None:
        answer = api().post(URL, body(**changes))

        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
        assert field in answer.json()["errors"]
        assert all(text for text in answer.json()["errors"][field])
        assert stored(organization) == 0

    @pytest.mark.parametrize(
        ("token", "status", "code"),
        [
            (WRONG, 422, "provider_authentication_failed"),
            (REFUSED, 422, "provider_rejected"),
            (DOWN, 502, "provider_unavailable"),
            (ODD, 502, "provider_response_unexpected"),
            (LIMITED, 429, "rate_limited"),
        ],
    )
    def test_says_what_the_vendor_said_and_stores_nothing(
        self, api: Any, organization: Any, token: str, status: int, code: str
    ) -> None:
        answer = api().post(URL, body(credentials={"token": token}))

        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert token not in answer.content.decode()
        assert stored(organization) == 0

    def test_names_the_refused_credential_and_the_remedy(self, api: Any) -> None:
        problem = api().post(URL, body(credentials={"token": WRONG})).json()

        assert list(problem["errors"]) == ["credentials.token"]
        assert "The token ended." in problem["detail"]
        assert "Reconnect" in problem["detail"]

    @pytest.mark.parametrize(("token", "remedy"), [(DOWN, "Try again in a minute"), (LIMITED, "then try again")])
    def test_tells_who_waits_to_try_again_for_nothing_is_tried_by_itself(
        self, api: Any, token: str, remedy: str
    ) -> None:
        problem = api().post(URL, body(credentials={"token": token})).json()

        assert remedy in problem["detail"]
        assert "Nothing to do" not in problem["detail"]

    def test_ends_what_the_vendor_says_as_a_sentence(self, api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(FAILURES[WRONG], "vendor_detail", "Malformed access token")

        problem = api().post(URL, body(credentials={"token": WRONG})).json()

        assert "Malformed access token. Reconnect" in problem["detail"]

    def test_names_a_refused_setting(self, api: Any) -> None:
        problem = api().post(URL, body(credentials={"token": REFUSED})).json()

        assert list(problem["errors"]) == ["settings.region"]

    def test_passes_on_how_long_to_wait(self, api: Any) -> None:
        assert api().post(URL, body(credentials={"token": LIMITED}))["Retry-After"] == "8"

    def test_refuses_an_account_that_is_connected(self, api: Any) -> None:
        client = api()
        client.post(URL, body())

        answer = client.post(URL, body())

        assert (answer.status_code, answer.json()["code"]) == (409, "account_already_connected")

    def test_refuses_another_organizations_account_without_naming_it(
        self, api: Any, connected: Any, other_organization: Any
    ) -> None:
        foreign = connected(of=other_organization)

        answer = api().post(URL, body())

        assert (answer.status_code, answer.json()["code"]) == (409, "account_already_connected")
        assert other_organization.name not in answer.content.decode()
        assert str(foreign.id) not in answer.content.decode()

    def test_takes_the_keys_environment_when_none_is_named(self, api: Any) -> None:
        values = body()
        del values["environment"]

        assert api(environment="live").post(URL, values).json()["environment"] == "live"


class TestAnIntegration:
    def test_is_filtered_by_its_fields(self, api: Any, connected: Any) -> None:
        integration = connected()
        client = api()

        hits = ["provider=fictional", "category=analytics", "status=active", "health=healthy"]
        misses = ["provider=whatsapp", "category=ai", "status=disabled", "health=failing"]

        assert [client.get(f"{URL}?{query}").json()["results"][0]["id"] for query in hits] == [str(integration.id)] * 4
        assert [client.get(f"{URL}?{query}").json()["results"] for query in misses] == [[]] * 4

    def test_is_renamed(self, api: Any, connected: Any) -> None:
        integration = connected()

        answer = api().patch(f"{URL}{integration.id}/", {"name": "Another"})

        assert answer.json()["name"] == "Another"
        assert Link.objects.get(id=integration.id).label == "Another"

    @pytest.mark.parametrize("values", [{}, {"name": ""}, {"nmae": "x"}, {"name": "x" * 121}, {"settings": []}])
    def test_refuses_changes_of_nothing(self, api: Any, connected: Any, values: Any) -> None:
        assert api().patch(f"{URL}{connected().id}/", values).status_code == 422

    def test_takes_new_settings_after_a_live_check(self, api: Any, connected: Any) -> None:
        one = f"{URL}{connected().id}/"

        assert api().patch(one, {"settings": {"region": "eu"}}).json()["settings"]["region"] == "eu"
        assert api().patch(one, {"settings": {"region": "moon"}}).status_code == 422
        assert api().get(one).json()["settings"]["region"] == "eu"

    def test_is_reconnected_in_place(self, api: Any, connected: Any) -> None:
        integration = connected()

        answer = api().put(f"{URL}{integration.id}/credentials/", {"credentials": {"token": "test-second"}})

        changed = answer.json()
        assert answer.status_code == 200
        assert changed["id"] == str(integration.id)
        assert changed["credential"]["version"] == 2
        assert changed["credential"]["rotated_at"] is not None
        assert changed["credential"]["fields"] == ["signing_secret", "token"]

    def test_takes_the_fields_of_the_credential_bare(self, api: Any, connected: Any) -> None:
        integration = connected()

        answer = api().put(f"{URL}{integration.id}/credentials/", {"token": "test-second"})
        wrong = api().put(f"{URL}{integration.id}/credentials/", {"tokn": "test-third"})

        assert (answer.status_code, answer.json()["credential"]["version"]) == (200, 2)
        assert list(wrong.json()["errors"]) == ["credentials.tokn"]

    def test_keeps_the_old_credential_when_the_new_one_fails(self, api: Any, connected: Any) -> None:
        integration = connected()

        answer = api().put(f"{URL}{integration.id}/credentials/", {"credentials": {"token": WRONG}})

        assert answer.status_code == 422
        assert list(answer.json()["errors"]) == ["credentials.token"]
        assert api().get(f"{URL}{integration.id}/").json()["credential"]["version"] == 1

    def test_is_tested_live(self, api: Any, connected: Any) -> None:
        result = api().post(f"{URL}{connected().id}/test/").json()

        assert set(result) == {"success", "checked_at", "duration_ms", "verdicts", "error"}
        assert (result["success"], result["error"]) == (True, None)
        assert result["verdicts"][1] == {"capability": "write", "ok": False, "detail": "Not granted."}

    def test_answers_a_failed_test_with_what_to_do(self, api: Any, connected: Any, monkeypatch: Any) -> None:
        from tests.integrations.api import fictional

        integration = connected()
        monkeypatch.setitem(fictional.FAILURES, fictional.GOOD, fictional.FAILURES[WRONG])

        result = api().post(f"{URL}{integration.id}/test/").json()

        assert result["success"] is False
        assert set(result["error"]) == {"code", "message", "who", "next_action"}
        assert (result["error"]["code"], result["error"]["who"]) == ("provider_authentication_failed", "user")
        after = api().get(f"{URL}{integration.id}/").json()
        assert (after["status"], after["health"]) == ("needs_reauth", "failing")
        assert after["health_detail"]["next_action"]

    def test_is_switched_off_and_on(self, api: Any, connected: Any) -> None:
        one = f"{URL}{connected().id}/"
        client = api()

        assert client.post(f"{one}disable/").json()["status"] == "disabled"
        assert client.post(f"{one}enable/").json()["status"] == "active"
        refused = client.post(f"{one}enable/")
        assert (refused.status_code, refused.json()["code"]) == (409, "not_disabled")

    def test_is_disconnected_for_good_with_its_history(self, api: Any, connected: Any, organization: Any) -> None:
        integration = connected()
        one = f"{URL}{integration.id}/"
        client = api()

        assert client.delete(one).status_code == 204

        ended = client.get(one).json()
        assert (ended["status"], ended["credential"]) == ("disconnected", None)
        with in_organization(organization):
            assert not Credential.objects.exclude(sealed=None).exists()
        assert client.post(f"{one}enable/").status_code == 409
        assert client.delete(one).status_code == 409

    def test_leaves_the_keys_name_in_the_trail(self, api: Any) -> None:
        api().post(URL, body())

        entry = AuditEntry.objects.get(action="integration.connected")
        assert entry.actor_kind == "api_key"
        assert entry.actor_label.startswith("test …")
        assert entry.request_id

    @pytest.mark.parametrize("verb", ["rotate/", "refresh/"])
    def test_says_so_where_the_provider_cannot(self, api: Any, connected: Any, verb: str) -> None:
        answer = api().post(f"{URL}{connected().id}/{verb}")

        assert (answer.status_code, answer.json()["code"]) == (422, "not_supported")
        assert "Fictional" in answer.json()["detail"]
