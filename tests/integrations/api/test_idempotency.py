"""Idempotency-Key: one effect for one key, whatever happens on the way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from accounts.models import StoredAnswer
from core import clock
from integrations.api import idempotency
from integrations.models import Integration
from tenants.context import in_organization
from tests.integrations.api.fictional import DOWN, body

URL = "/api/v1/integrations/"


def post(client: Any, values: Any, key: str = "key-1", path: str = URL) -> Any:
    """Post with a key."""
    return client.post(path, values, headers={"Idempotency-Key": key})


class TestIdempotencyKey:
    def test_gives_the_stored_answer_the_second_time(self, api: Any, organization: Any) -> None:
        client = api()

        first, second = post(client, body()), post(client, body())

        assert first.status_code == second.status_code == 201
        assert first.content == second.content
        assert "Idempotency-Replayed" not in first
        assert second["Idempotency-Replayed"] == "true"
        assert second["Location"] == first["Location"]
        assert second["Content-Type"] == first["Content-Type"]
        with in_organization(organization):
            assert Integration.objects.count() == 1

    def test_refuses_another_body(self, api: Any) -> None:
        client = api()
        post(client, body())

        answer = post(client, body(name="Other"))

        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")

    def test_gives_no_answer_to_a_key_of_other_scopes(self, api: Any) -> None:
        values = {"name": "all", "scopes": ["*"]}
        assert post(api(), values, path="/api/v1/api-keys/").status_code == 201

        answer = post(api(scopes=("api_keys:write",)), values, path="/api/v1/api-keys/")

        assert answer.status_code == 409
        assert "ir_test_" not in answer.content.decode()

    def test_refuses_another_path(self, api: Any, connected: Any) -> None:
        client, integration = api(), connected()
        post(client, {}, path=f"{URL}{integration.id}/disable/")

        answer = post(client, {}, path=f"{URL}{integration.id}/enable/")

        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")

    def test_replays_a_refusal(self, api: Any) -> None:
        client = api()
        wrong = body(settings={})

        first, second = post(client, wrong), post(client, wrong)

        assert first.status_code == second.status_code == 422
        assert second["Idempotency-Replayed"] == "true"
        assert second["Content-Type"] == "application/problem+json"

    def test_keeps_no_answer_that_may_differ_next_time(self, api: Any) -> None:
        client = api()
        down = body(credentials={"token": DOWN})

        first, second = post(client, down), post(client, down)

        assert first.status_code == second.status_code == 502
        assert "Idempotency-Replayed" not in second
        assert StoredAnswer.objects.count() == 0

    def test_tells_a_second_request_to_wait_for_the_first(self, api: Any) -> None:
        client = api()
        post(client, body())
        StoredAnswer.objects.update(status=None, sealed_body=None)

        answer = post(client, body())

        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_in_progress")
        assert answer["Retry-After"] == "2"

    def test_takes_over_from_a_process_that_died(self, api: Any) -> None:
        client = api()
        post(client, body(settings={}))
        StoredAnswer.objects.update(status=None, sealed_body=None)

        with clock.shifted(idempotency.ABANDONED_AFTER + timedelta(seconds=1)):
            answer = post(client, body(settings={}))

        assert answer.status_code == 422
        assert StoredAnswer.objects.get().status == 422

    def test_is_forgotten_after_a_day(self, api: Any) -> None:
        client = api()
        post(client, body(settings={}))

        with clock.shifted(timedelta(hours=24, minutes=1)):
            answer = post(client, body())

        assert answer.status_code == 201

    def test_belongs_to_one_organization_and_environment(self, api: Any, other_organization: Any) -> None:
        clients = [api(), api(environment="live"), api(of=other_organization)]

        answers = [
            post(client, body(environment=environment, settings={"account": f"acc{number}"}))
            for number, (client, environment) in enumerate(zip(clients, ("test", "live", "test"), strict=True))
        ]

        assert [answer.status_code for answer in answers] == [201, 201, 201]
        assert len({answer.json()["id"] for answer in answers}) == 3

    def test_seals_what_it_keeps(self, api: Any) -> None:
        answer = post(api(), {"name": "new", "scopes": ["usage:read"]}, path="/api/v1/api-keys/")
        kept = StoredAnswer.objects.get()

        secret = answer.json()["key"].encode()
        assert kept.status == 201
        assert secret not in bytes(kept.sealed_body or b"")
        assert b"key-1" not in bytes(kept.key_digest)

    @pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "é"])
    def test_must_be_printable_and_short(self, api: Any, key: str) -> None:
        answer = post(api(), body(), key=key)

        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
        assert list(answer.json()["errors"]) == ["Idempotency-Key"]

    def test_is_not_looked_at_before_the_scope(self, api: Any) -> None:
        post(api(), body())

        assert post(api(scopes=("integrations:read",)), body()).status_code == 403
