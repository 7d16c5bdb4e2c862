"""What happened to an integration, through the API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from audit.models import AuditEntry
from core import clock
from dispatch import inbox
from dispatch.models import WebhookDelivery
from integrations.models import Event
from integrations.services import issues
from meter.models import Call
from tenants.context import in_organization

SECRET_HEADERS = {"content-type": "text/plain", "x-hub-signature-256": "sha256=00ff"}


@pytest.fixture
def delivery(connected: Any, organization: Any) -> Any:
    """A delivery of the connected integration that failed once."""
    integration = connected()
    with in_organization(organization):
        row = WebhookDelivery(
            organization_schema=organization.schema_name,
            link_id=integration.id,
            provider="fictional",
            headers=SECRET_HEADERS,
            body_bytes=5,
            status="failed",
            attempts=1,
            error_class="Unavailable",
            error_text="The provider did not answer properly.",
        )
        row.sealed_body = inbox.seal_body(b"hello", organization_schema=organization.schema_name, delivery_id=row.id)
        row.save(force_insert=True)
    return row


def url(delivery: Any, rest: str = "") -> str:
    """Return a delivery's address."""
    return f"/api/v1/integrations/{delivery.link_id}/deliveries/{delivery.id}/{rest}"


class TestDeliveries:
    def test_are_listed_in_the_shape_of_the_contract(self, api: Any, delivery: Any) -> None:
        answer = api().get(f"/api/v1/integrations/{delivery.link_id}/deliveries/?status=failed").json()

        assert set(answer) == {"next", "previous", "results"}
        row = answer["results"][0]
        assert set(row) == {"id", "received_at", "status", "attempts", "next_attempt_at", "error", "events"}
        assert row["error"] == {
            "code": "provider_unavailable",
            "message": "The provider did not answer properly.",
        }

    def test_show_redacted_headers_and_the_body_by_scope_alone(self, api: Any, delivery: Any) -> None:
        without = api(scopes=("deliveries:read",)).get(url(delivery)).json()
        assert "body" not in without
        assert AuditEntry.objects.filter(action="delivery.body_opened").count() == 0

        with_body = api(scopes=("deliveries:read", "deliveries:body")).get(url(delivery)).json()

        assert (with_body["body"], with_body["body_encoding"]) == ("hello", "utf-8")
        assert with_body["headers"] == {"content-type": "text/plain", "x-hub-signature-256": "[hidden]"}
        assert AuditEntry.objects.get(action="delivery.body_opened").target_id == str(delivery.id)

    def test_show_bytes_that_are_no_text(self, api: Any, delivery: Any, organization: Any) -> None:
        with in_organization(organization):
            delivery.sealed_body = inbox.seal_body(
                b"\xff\x00", organization_schema=organization.schema_name, delivery_id=delivery.id
            )
            delivery.save()

        shown = api().get(url(delivery)).json()

        assert (shown["body"], shown["body_encoding"]) == ("/wA=", "base64")

    def test_are_replayed(self, api: Any, delivery: Any) -> None:
        answer = api().post(url(delivery, "replay/"))

        assert answer.status_code == 202
        assert (answer.json()["status"], answer.json()["attempts"]) == ("received", 0)
        assert AuditEntry.objects.filter(action="delivery.replayed", target_id=str(delivery.id)).count() == 1

    def test_without_a_body_cannot_be_replayed(self, api: Any, delivery: Any) -> None:
        WebhookDelivery.objects.update(sealed_body=None)

        answer = api().post(url(delivery, "replay/"))

        assert (answer.status_code, answer.json()["code"]) == (409, "body_gone")
        assert api().get(url(delivery)).json()["body"] is None

    def test_of_others_are_404(self, api: Any, delivery: Any, connected: Any, other_organization: Any) -> None:
        second = connected(account="acc2")
        foreign = api(of=other_organization)

        assert foreign.get(url(delivery)).status_code == 404
        assert foreign.post(url(delivery, "replay/")).status_code == 404
        assert api(environment="live").get(url(delivery)).status_code == 404
        elsewhere = url(delivery).replace(str(delivery.link_id), str(second.id))
        assert api().get(elsewhere).status_code == 404


class TestTheRest:
    def test_lists_issues_open_and_resolved(self, api: Any, connected: Any, organization: Any) -> None:
        integration = connected()
        with in_organization(organization):
            issues.open_issue(
                integration,
                cause="quota",
                text="Used up since %(day)s.",
                who="user",
                next_action="Pay.",
                details={"day": "Monday"},
            )
        address = f"/api/v1/integrations/{integration.id}/issues/"

        row = api().get(f"{address}?open=true").json()["results"][0]

        assert (row["text"], row["next_action"]) == ("Used up since Monday.", "Pay.")
        assert {"cause", "text", "who", "next_action", "opened_at", "resolved_at"} <= set(row)
        assert api().get(f"{address}?open=false").json()["results"] == []

    @pytest.mark.parametrize(
        ("query", "causes"),
        [
            ("open=true", {"quota"}),
            ("resolved=true", {"over"}),
            ("resolved=false", {"quota"}),
            ("open=true&resolved=true", set()),
            ("cause=over", {"over"}),
            ("who=us", {"over"}),
            ("", {"quota", "over"}),
        ],
    )
    def test_filters_issues(self, api: Any, connected: Any, organization: Any, query: str, causes: set[str]) -> None:
        integration = connected()
        with in_organization(organization):
            issues.open_issue(integration, cause="quota", text="Used up.", who="user", next_action="Pay.")
            issues.open_issue(integration, cause="over", text="Over.", who="us", next_action="")
            issues.resolve_issues(integration, causes=["over"])

        rows = api().get(f"/api/v1/integrations/{integration.id}/issues/?{query}").json()["results"]

        assert {row["cause"] for row in rows} == causes

    @pytest.mark.parametrize("query", ["open=yes", "resolved=1"])
    def test_refuses_what_is_neither(self, api: Any, connected: Any, query: str) -> None:
        answer = api().get(f"/api/v1/integrations/{connected().id}/issues/?{query}")

        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")

    def test_lists_events(self, api: Any, connected: Any, organization: Any) -> None:
        integration = connected()
        with in_organization(organization):
            Event.objects.create(integration=integration, type="thing.happened", key="1", data={"a": 1})
        address = f"/api/v1/integrations/{integration.id}/events/"

        row = api().get(f"{address}?type=thing.happened").json()["results"][0]

        assert set(row) == {"id", "type", "external_id", "occurred_at", "received_at", "object", "data"}
        assert row["data"] == {"a": 1}
        assert api().get(f"{address}?type=other").json()["results"] == []

    def test_lists_checks_and_calls(self, api: Any, connected: Any, organization: Any) -> None:
        integration = connected()
        client = api()
        client.post(f"/api/v1/integrations/{integration.id}/test/")
        with in_organization(organization):
            Call.objects.create(
                organization_schema=organization.schema_name, link_id=integration.id, provider="fictional",
                operation="check", method="GET", url="https://api.example.com/me", status=503, duration_ms=3.5,
                error_class="Unavailable",
            )  # fmt: skip

        check = client.get(f"/api/v1/integrations/{integration.id}/health-checks/").json()["results"][0]
        call = client.get(f"/api/v1/integrations/{integration.id}/calls/").json()["results"][0]

        assert (check["success"], check["error"], len(check["verdicts"])) == (True, None, 2)
        assert (call["status"], call["error"], call["url"]) == (
            503, "provider_unavailable", "https://api.example.com/me",
        )  # fmt: skip

    def test_ends_with_retention_and_not_before(self, api: Any, delivery: Any) -> None:
        with clock.shifted(timedelta(days=1)):
            assert api().get(url(delivery)).status_code == 200
