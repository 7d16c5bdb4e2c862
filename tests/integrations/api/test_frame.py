"""What every address of the API has in common."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, get_resolver

from accounts.models import ApiKey
from accounts.services import create_api_key
from integrations.api.urls import urlpatterns

URL = "/api/v1/integrations/"
FOREIGN = "01900000-0000-7000-8000-000000000000"  # the same in every worker, or they would collect other tests


def addresses() -> list[str]:
    """Every address of this room, ids filled in."""
    found = []
    for pattern in urlpatterns:
        assert isinstance(pattern, URLPattern)
        if pattern.name == "unknown-address":
            continue
        route = str(pattern.pattern)
        for name in ("integration_id", "delivery_id", "key_id"):
            route = route.replace(f"<str:{name}>", FOREIGN)
        found.append("/api/v1/" + route.replace("<str:key>", "fictional"))
    return found


class TestAuthentication:
    @pytest.mark.parametrize("address", [*addresses(), "/api/v1/", "/api/v1/nothing/here/"])
    def test_answers_401_with_a_challenge_without_a_key(self, address: str, organization: Any) -> None:
        answer = Client().get(address)

        assert answer.status_code == 401
        assert answer["WWW-Authenticate"].startswith("Bearer")
        assert answer["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] == "unauthenticated"

    @pytest.mark.parametrize(
        "header",
        ["Bearer ir_test_wrong", "Bearer", "Basic dGVzdDp0ZXN0", "Bearer ir_live_\udcff", "bearer ir_test_\x7f"],
    )
    def test_refuses_unusable_headers(self, header: str, organization: Any) -> None:
        answer = Client().get(URL, headers={"Authorization": header.encode("utf-8", "replace").decode("latin-1")})

        assert answer.status_code == 401

    def test_refuses_a_revoked_key(self, organization: Any) -> None:
        key, text = create_api_key(schema_name=organization.schema_name, name="k", scopes=["*"], environment="test")
        client = Client(headers={"Authorization": f"Bearer {text}"})
        assert client.get(URL).status_code == 200

        key.mark_revoked()

        assert client.get(URL).status_code == 401

    def test_closed_organizations_are_refused(self, api: Any, organization: Any) -> None:
        client = api()
        organization.mark_suspended()

        assert client.get(URL).status_code == 401


class TestScopes:
    @pytest.mark.parametrize("address", addresses())
    def test_a_key_without_scopes_of_the_room_gets_403(self, api: Any, address: str) -> None:
        client = api(scopes=("media:read",))

        answers = [client.get(address), client.post(address), client.delete(address), client.patch(address)]

        assert {answer.status_code for answer in answers} == {403}
        assert {answer.json()["code"] for answer in answers} == {"scope_missing"}

    def test_reading_does_not_allow_writing(self, api: Any, connected: Any) -> None:
        integration = connected()
        client = api(scopes=("integrations:read",))

        assert client.get(URL).status_code == 200
        answer = client.delete(f"{URL}{integration.id}/")

        assert answer.status_code == 403
        assert "integrations:write" in answer.json()["detail"]


class TestForeignObjects:
    @pytest.mark.parametrize("part", ["", "health-checks/", "issues/", "events/", "deliveries/", "calls/"])
    def test_another_organizations_integration_is_404(
        self, api: Any, connected: Any, other_organization: Any, part: str
    ) -> None:
        foreign = connected(of=other_organization)

        assert api().get(f"{URL}{foreign.id}/{part}").status_code == 404
        assert api(of=other_organization).get(f"{URL}{foreign.id}/{part}").status_code == 200

    @pytest.mark.parametrize("verb", ["test/", "disable/", "enable/", "rotate/", "refresh/"])
    def test_another_organizations_integration_cannot_be_changed(
        self, api: Any, connected: Any, other_organization: Any, verb: str
    ) -> None:
        foreign = connected(of=other_organization)

        assert api().post(f"{URL}{foreign.id}/{verb}").status_code == 404
        assert api().delete(f"{URL}{foreign.id}/").status_code == 404
        assert api(of=other_organization).get(f"{URL}{foreign.id}/").json()["status"] == "active"

    def test_the_other_environments_integration_is_404(self, api: Any, connected: Any) -> None:
        live = connected(environment="live")

        assert api().get(f"{URL}{live.id}/").status_code == 404
        assert api().get(URL).json()["results"] == []
        assert api(environment="live").get(f"{URL}{live.id}/").status_code == 200

    @pytest.mark.parametrize("malformed", ["1", "%00", "zz", "0" * 300, "..%2f", "%F0%9F%99%82"])
    def test_malformed_ids_are_404(self, api: Any, malformed: str) -> None:
        answer = api().get(f"{URL}{malformed}/")

        assert answer.status_code == 404
        assert answer.json()["code"] == "not_found"


class TestProblems:
    def test_have_the_shape_of_the_contract(self, api: Any) -> None:
        answer = api().get(f"{URL}{FOREIGN}/", headers={"X-Request-Id": "request-1234"})

        assert set(answer.json()) == {"type", "title", "status", "detail", "code", "request_id"}
        assert answer.json()["status"] == 404
        assert answer.json()["request_id"] == answer["X-Request-Id"] == "request-1234"

    def test_an_unknown_address_is_404_and_mentions_the_slash(self, api: Any) -> None:
        answer = api().get("/api/v1/integrations")

        assert answer.status_code == 404
        assert "/api/v1/integrations/" in answer.json()["detail"]

    def test_outside_the_version_it_is_404_too(self, organization: Any) -> None:
        answer = Client().get("/api/v2/integrations/")

        assert answer.status_code == 404
        assert answer["Content-Type"] == "application/problem+json"

    @pytest.mark.parametrize(
        ("raw", "status", "code"),
        [
            (b"{", 400, "malformed_json"),
            (b"\xff", 400, "malformed_json"),
            (b'{"a": NaN}', 400, "malformed_json"),
            (b"[" * 100_000, 400, "malformed_json"),
            (b'{"name": "\\u0000"}', 422, "validation_failed"),
            (b'{"name": "\\ud800"}', 422, "validation_failed"),
            (b'{"settings": {"a": 1e400}}', 422, "validation_failed"),
            (b'{"settings": {"\\u0000": 1}}', 422, "validation_failed"),
            (b"[]", 422, "validation_failed"),
            (b"7", 422, "validation_failed"),
            (b"null", 422, "validation_failed"),
            (b"{}", 422, "validation_failed"),
            (b"", 422, "validation_failed"),
            (b'{"provider": "' + b"x" * (1024 * 1024) + b'"}', 413, "payload_too_large"),
        ],
    )
    def test_refuse_bodies_that_cannot_be_used(self, api: Any, raw: bytes, status: int, code: str) -> None:
        answer = api().generic("POST", URL, raw, content_type="application/json")

        assert (answer.status_code, answer.json()["code"]) == (status, code)

    @pytest.mark.parametrize("size", [5 * 1024 * 1024])
    def test_refuse_huge_bodies_with_an_idempotency_key_too(self, api: Any, size: int) -> None:
        answer = api().generic(
            "POST", URL, b'"' + b"x" * size + b'"', content_type="application/json", headers={"Idempotency-Key": "k"}
        )

        assert answer.status_code == 413

    def test_refuse_other_media_types(self, api: Any) -> None:
        answer = api().generic("POST", URL, b"a=1", content_type="application/x-www-form-urlencoded")

        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")

    def test_refuse_methods_that_are_not_there(self, api: Any) -> None:
        answer = api().put(URL, {})

        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
        assert "GET" in answer["Allow"]

    @pytest.mark.parametrize("query", ["health=fine", "wrong=1", "provider=%00", "status=%ED%A0%80", "open=maybe"])
    def test_refuse_filters_that_are_misspelled(self, api: Any, query: str) -> None:
        answer = api().get(f"{URL}?{query}")

        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
        assert list(answer.json()["errors"]) == [query.partition("=")[0]]


class TestPages:
    def test_walk_forward_and_back_over_all_rows(self, api: Any, connected: Any) -> None:
        made = [str(connected(account=f"acc{number}").id) for number in range(5)]
        client = api()

        first = client.get(f"{URL}?limit=2&status=active").json()
        second = client.get(_local(first["next"])).json()
        third = client.get(_local(second["next"])).json()
        back = client.get(_local(third["previous"])).json()

        newest_first = made[::-1]
        pages = [[row["id"] for row in page["results"]] for page in (first, second, third, back)]
        assert pages == [newest_first[:2], newest_first[2:4], newest_first[4:], newest_first[2:4]]
        assert first["previous"] is None
        assert third["next"] is None
        assert "status=active" in first["next"]
        assert client.get(_local(back["previous"])).json()["previous"] is None

    def test_a_list_costs_the_same_statements_whatever_its_length(self, api: Any, connected: Any) -> None:
        client = api()
        connected(account="acc0")
        client.get(URL)  # the key notes its use once a minute

        with CaptureQueriesContext(connection) as one_row:
            client.get(URL)
        for number in range(1, 4):
            connected(account=f"acc{number}")
        with CaptureQueriesContext(connection) as four_rows:
            assert len(client.get(URL).json()["results"]) == 4

        assert len(four_rows) == len(one_row)

    @pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=-1", "limit=x", "limit=9" * 99, "limit=²"])
    def test_refuse_limits_out_of_range(self, api: Any, query: str) -> None:
        answer = api().get(f"{URL}?{query}")

        assert answer.status_code == 422
        assert list(answer.json()["errors"]) == ["limit"]

    @pytest.mark.parametrize("cursor", ["x", "AAAA", "%C3%A9", "Y" * 500, "eyJhIjoxfQ=="])
    def test_refuse_cursors_that_are_not_ours(self, api: Any, cursor: str) -> None:
        answer = api().get(f"{URL}?cursor={cursor}")

        assert answer.status_code == 422
        assert list(answer.json()["errors"]) == ["cursor"]


class TestLimits:
    def test_count_down_and_answer_429_with_a_wait(self, api: Any, settings: Any) -> None:
        settings.API_REQUESTS_PER_MINUTE = 2
        client = api()

        answers = [client.get(URL) for _number in range(3)]

        if {answer["RateLimit-Remaining"] for answer in answers} == {"1"}:  # a new minute began in between
            answers = [client.get(URL) for _number in range(3)]
        assert [answer.status_code for answer in answers][-1] == 429
        assert answers[-1].json()["code"] == "rate_limited"
        assert 1 <= int(answers[-1]["Retry-After"]) <= 60
        assert answers[-1]["RateLimit-Remaining"] == "0"
        assert answers[-1]["RateLimit-Limit"] == "2"

    def test_are_counted_key_by_key(self, api: Any, settings: Any) -> None:
        settings.API_REQUESTS_PER_MINUTE = 1
        api().get(URL)

        assert api().get(URL).status_code == 200

    def test_do_not_stand_in_the_way_without_redis(self, api: Any, settings: Any, monkeypatch: Any) -> None:
        from integrations.api import limits

        monkeypatch.setattr(limits, "_paused_until", 0.0)
        settings.CACHES = {
            "default": {
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": "redis://127.0.0.1:1/0",
                "OPTIONS": {"socket_connect_timeout": 1},
            }
        }

        answer = api().get(URL)

        assert answer.status_code == 200
        assert "RateLimit-Limit" not in answer


class TestKeys:
    def test_keep_the_time_of_their_use(self, api: Any) -> None:
        api().get(URL)

        assert ApiKey.objects.exclude(last_used_at=None).count() == 1

    def test_never_stand_in_an_answer(self, api: Any, connected: Any) -> None:
        connected()
        client = api()
        key = client._credentials["HTTP_AUTHORIZATION"].removeprefix("Bearer ")

        texts = [json.dumps(client.get(address).json()) for address in (URL, "/api/v1/api-keys/", "/api/v1/members/")]

        assert client.get(URL)["Cache-Control"] == "no-store"
        assert not any(key in text or "test-good" in text for text in texts)


def test_every_address_of_the_version_is_a_registry_view() -> None:
    from integrations.api.views import RegistryView

    views = [pattern.callback for pattern in _patterns(get_resolver().url_patterns) if "api/v1" in str(pattern)]

    assert all(issubclass(view.view_class, RegistryView) for view in views)


def _patterns(found: Any) -> list[Any]:
    return [
        item
        for entry in found
        for item in (_patterns(entry.url_patterns) if hasattr(entry, "url_patterns") else [entry])
    ]


def _local(url: str) -> str:
    assert url.startswith("https://registry.example/api/v1/")
    return url.removeprefix("https://registry.example")
