"""Keys, members, usage and the audit trail, through the API."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import ApiKey

KEYS = "/api/v1/api-keys/"


class TestApiKeys:
    def test_are_shown_once_and_work(self, api: Any) -> None:
        client = api()

        made = client.post(KEYS, {"name": "reader", "scopes": ["integrations:read"]})

        assert made.status_code == 201
        fresh = APIClient()
        fresh.credentials(HTTP_AUTHORIZATION=f"Bearer {made.json()['key']}")
        assert fresh.get("/api/v1/integrations/").status_code == 200
        assert fresh.get(KEYS).status_code == 403
        assert all("key" not in row for row in client.get(KEYS).json()["results"])

    def test_cannot_give_more_than_they_have(self, api: Any) -> None:
        client = api(scopes=("api_keys:write", "usage:read"))

        assert client.post(KEYS, {"name": "x", "scopes": ["usage:read"]}).status_code == 201
        for scopes in (["*"], ["usage:read", "deliveries:body"]):
            answer = client.post(KEYS, {"name": "x", "scopes": scopes})
            assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")

    def test_make_none_that_lives_longer(self, api: Any) -> None:
        client = api()
        ApiKey.objects.update(expires_at="2030-01-01T00:00:00Z")
        values = {"name": "x", "scopes": ["usage:read"]}

        for expires_at in (None, "2030-01-01T00:00:01Z"):
            answer = client.post(KEYS, {**values, "expires_at": expires_at})
            assert answer.status_code == 422
            assert list(answer.json()["errors"]) == ["expires_at"]
        assert client.post(KEYS, {**values, "expires_at": "2030-01-01T00:00:00Z"}).status_code == 201

    def test_stay_in_their_environment(self, api: Any) -> None:
        answer = api().post(KEYS, {"name": "x", "scopes": ["*"], "environment": "live"})

        assert answer.status_code == 422
        assert list(answer.json()["errors"]) == ["environment"]
        assert {row["environment"] for row in api().get(KEYS).json()["results"]} == {"test"}

    @pytest.mark.parametrize(
        ("values", "field"),
        [
            ({"scopes": ["*"]}, "name"),
            ({"name": "x"}, "scopes"),
            ({"name": "x", "scopes": []}, "scopes"),
            ({"name": "x", "scopes": ["flying:read"]}, "scopes"),
            ({"name": "x", "scopes": ["*"], "expires_at": "soon"}, "expires_at"),
            ({"name": "x", "scopes": ["*"], "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
            ({"name": "x", "scopes": ["*"], "expires_in_s": 3600}, "expires_in_s"),
            ({"name": "x", "scopes": ["*"], "environment": "moon"}, "environment"),
        ],
    )
    def test_name_the_field_that_is_wrong(self, api: Any, values: dict[str, Any], field: str) -> None:
        answer = api().post(KEYS, values)

        assert answer.status_code == 422
        assert list(answer.json()["errors"]) == [field]

    def test_end_when_they_are_revoked(self, api: Any, other_organization: Any) -> None:
        client, other = api(), api(of=other_organization)
        victim = client.post(KEYS, {"name": "x", "scopes": ["*"]}).json()

        assert other.delete(f"{KEYS}{victim['id']}/").status_code == 404
        assert client.delete(f"{KEYS}{victim['id']}/").status_code == 204
        ended = APIClient()
        ended.credentials(HTTP_AUTHORIZATION=f"Bearer {victim['key']}")
        assert ended.get(KEYS).status_code == 401
        assert client.delete(f"{KEYS}{victim['id']}/").status_code == 409
        assert ApiKey.objects.get(id=victim["id"]).revoked_at is not None


class TestAuditEntries:
    def test_show_the_organizations_trail(self, api: Any, connected: Any, other_organization: Any) -> None:
        test, live = connected(), connected(account="acc2", environment="live")
        connected(account="acc3", of=other_organization)

        rows = api().get("/api/v1/audit-entries/?action=integration.connected").json()["results"]

        assert [row["target"]["id"] for row in rows] == [str(test.id)]
        assert rows[0]["actor"] == {"kind": "system", "id": None, "label": "test"}
        assert str(live.id) not in str(rows)

    def test_verify(self, api: Any, connected: Any) -> None:
        connected()

        seen = api().get("/api/v1/audit-entries/verify/").json()

        assert seen["intact"] is True
        assert seen["findings"] == []
        assert seen["links"] + seen["unlinked"] >= 1
