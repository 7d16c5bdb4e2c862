from __future__ import annotations

import io
import json
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests

from core import clock
from core.secret import Secret, Secrets
from integrations.contract import (
    AuthenticationFailed,
    LimitReading,
    Misconfigured,
    NotFound,
    Outbound,
    PermissionMissing,
    ProviderOutage,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    Unavailable,
    UnexpectedResponse,
)
from integrations.outbound.mapping import retry_after_s
from tests.transport.loopback import drip, hang, raw, reply

TOKEN = Secret("test_token_0001")


def failing(status: int, *, headers: tuple[str, ...] = (), **error: object):
    return reply(json.dumps({"error": error}).encode(), status=f"{status} No", headers=headers)


class TestRequest:
    def test_is_what_the_contract_asks_for(self, guard):
        door: Outbound = guard()

        assert door.base_url() == "https://api.parcel.example"

    def test_sends_compact_json_with_the_bearer(self, serve, guard):
        server = serve(reply(b'{"id":"p1"}', headers=("X-Request-Id: r1",)))

        response = guard(server.url).request(
            "post", "/v3/parcels", operation="create", bearer=TOKEN, json={"to": "S\u00e3o Paulo", "gift": None},
            params={"dry_run": True, "tag": ["a", "b"], "none": None}, headers={"X-Test": "t"},
        )  # fmt: skip

        request = server.requests[0]
        assert (request.method, request.path) == ("POST", "/v3/parcels?dry_run=true&tag=a&tag=b")
        assert request.body == '{"to":"São Paulo","gift":null}'.encode()
        assert request.headers["content-type"] == "application/json"
        assert request.headers["authorization"] == "Bearer test_token_0001"
        assert request.headers["x-test"] == "t"
        assert (response.status, response.json(), response.headers["x-request-id"]) == (200, {"id": "p1"}, "r1")

    def test_sends_forms_bytes_and_files(self, serve, guard):
        server = serve(reply())
        door = guard(server.url)

        door.request("POST", "/form", operation="create", data={"a": "1 2", "b": True})
        door.request("POST", "/raw", operation="create", data=b"raw", headers={"Content-Type": "image/png"})
        door.request(
            "POST", "/files", operation="create", data={"kind": "label"}, files={"file": ("a.png", b"png", "image/png")}
        )

        form, plain, files = server.requests
        assert (form.body, form.headers["content-type"]) == (b"a=1+2&b=true", "application/x-www-form-urlencoded")
        assert (plain.body, plain.headers["content-type"]) == (b"raw", "image/png")
        assert files.headers["content-type"].startswith("multipart/form-data; boundary=")
        for part in (b'name="kind"\r\n\r\nlabel', b'name="file"; filename="a.png"', b"Content-Type: image/png", b"png"):
            assert part in files.body

    def test_reads_open_files(self, serve, guard):
        server = serve(reply())

        guard(server.url).request("POST", "/", operation="create", files={"file": io.BytesIO(b"from disk")})

        assert b'name="file"; filename="file"' in server.requests[0].body
        assert b"from disk" in server.requests[0].body

    def test_refuses_a_query_that_is_not_unicode(self, serve, guard):
        server = serve(reply())

        with pytest.raises(RequestRejected):
            guard(server.url).request("GET", "/", operation="get", params={"q": "\ud800"})

        assert server.requests == []

    @pytest.mark.parametrize("value", ["\ud800", float("nan")])
    def test_refuses_what_is_not_json(self, serve, guard, value):
        server = serve(reply())

        with pytest.raises(RequestRejected):
            guard(server.url).request("POST", "/", operation="create", json={"text": value})

        assert server.requests == []

    def test_respects_the_byte_cap(self, serve, guard):
        server = serve(reply(b"x" * 1001))

        with pytest.raises(UnexpectedResponse, match="larger than allowed"):
            guard(server.url).request("GET", "/", operation="get", max_bytes=1000)

    def test_has_no_default_of_two_owners_in_common(self, serve, guard):
        server = serve(reply(headers=("Set-Cookie: session=of-a; Path=/",)))

        guard(server.url, owner="a").request("GET", "/", operation="get", bearer=Secret("test_token_a"))
        guard(server.url, owner="b").request("GET", "/", operation="get", bearer=Secret("test_token_b"))

        assert [request.headers.get("cookie") for request in server.requests] == [None, None]
        assert server.connections == 1


class TestReport:
    def test_tells_of_a_success_without_query(self, serve, guard, reports):
        server = serve(reply(b"12345"))

        guard(server.url).request(
            "POST", "/v3?key=test_secret", operation="create", data=b"abc", params={"k": "test_2"}
        )

        report = reports[0]
        assert (report.operation, report.method, report.url) == ("create", "POST", f"{server.url}/v3")
        assert (report.status, report.request_bytes, report.response_bytes, report.error) == (200, 3, 5, "")
        assert report.duration_ms > 0
        assert report.started_at.tzinfo is UTC

    def test_tells_of_an_error(self, serve, guard, reports):
        server = serve(failing(429, code="plan_limit", trace="t1"))

        with pytest.raises(QuotaExhausted):
            guard(server.url).request("GET", "/", operation="get")

        report = reports[0]
        assert (report.status, report.error, report.vendor_code, report.trace_id) == (
            429, "QuotaExhausted", "plan_limit", "t1",
        )  # fmt: skip

    def test_tells_of_a_failure_without_answer(self, serve, guard, reports):
        server = serve(raw(b""))

        with pytest.raises(Unavailable):
            guard(server.url).request("POST", "/", operation="create")

        assert [(report.status, report.error) for report in reports] == [(None, "Unavailable")]


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (301, UnexpectedResponse), (304, UnexpectedResponse), (400, RequestRejected), (401, AuthenticationFailed),
            (403, PermissionMissing), (404, NotFound), (408, Unavailable), (409, RequestRejected),
            (422, RequestRejected), (429, RateLimited), (500, Unavailable), (503, Unavailable), (524, ProviderOutage),
        ],
    )  # fmt: skip
    def test_follow_the_status_where_no_rule_speaks(self, serve, guard, status, error):
        server = serve(reply(b"", status=f"{status} No", headers=("Location: https://evil.example/",)))

        with pytest.raises(error) as caught:
            guard(server.url).request("GET", "/", operation="get")

        assert type(caught.value) is error

    @pytest.mark.parametrize(
        ("answer", "error", "reason"),
        [
            (failing(429, code="plan_limit"), QuotaExhausted, ""),
            (failing(429, code="other"), RateLimited, ""),
            (failing(400, code=4), RateLimited, ""),
            (failing(400, code="4"), RateLimited, ""),
            (failing(400, code="85"), RateLimited, ""),
            (failing(400, code=90), RequestRejected, ""),
            (failing(400, code=100, subcode=33), RequestRejected, "address_unknown"),
            (failing(404, code=100, subcode=34), NotFound, ""),
        ],
    )
    def test_follow_the_first_rule_that_matches(self, serve, guard, answer, error, reason):
        with pytest.raises(error) as caught:
            guard(serve(answer).url).request("GET", "/", operation="get")

        assert (type(caught.value), caught.value.reason) == (error, reason)

    def test_carry_the_rules_remedy_and_the_vendors_words(self, serve, guard):
        server = serve(failing(429, code="plan_limit", message="Plan is full", trace="t1"))

        with pytest.raises(QuotaExhausted) as caught:
            guard(server.url).request("GET", "/", operation="get")

        error = caught.value
        assert (error.next_action, error.vendor_detail, error.vendor_code, error.trace_id) == (
            "Buy more parcels.", "Plan is full", "plan_limit", "t1",
        )  # fmt: skip

    @pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"\xff", b'{"error":7}', b"[" * 100_000])
    def test_survive_any_body(self, serve, guard, body):
        server = serve(reply(body, status="400 No"))

        with pytest.raises(RequestRejected):
            guard(server.url).request("GET", "/", operation="get")

    def test_show_no_secret_that_a_vendor_echoes(self, serve, guard):
        message = "Bad key test_token_0001 in test_query_0002 with test_field_0003 and Bearer abcdef " + "x" * 1000
        server = serve(failing(401, message=message))

        with pytest.raises(AuthenticationFailed) as caught:
            guard(server.url).request(
                "POST",
                "/",
                operation="get",
                bearer=TOKEN,
                params={"k": "test_query_0002"},
                data={"f": "test_field_0003"},
            )

        error = caught.value
        assert len(error.vendor_detail) == 500
        for secret in ("0001", "0002", "0003", "abcdef"):
            assert secret not in f"{error}{error.internal}{error.vendor_detail}"

    def test_show_no_secret_of_the_integration_that_was_sent_in_a_body_or_before(self, serve, guard):
        server = serve(failing(400, message="verify test_verify_0004 of app test_secret_0005"))
        secrets = Secrets({"verify_token": "test_verify_0004", "app_secret": "test_secret_0005"})

        with pytest.raises(RequestRejected) as caught:
            guard(server.url, secrets=secrets).request("POST", "/", operation="get", json={"v": "test_verify_0004"})

        assert caught.value.vendor_detail == "verify [hidden] of app [hidden]"

    @pytest.mark.parametrize(
        ("script", "reason"),
        [
            (raw(b""), "maybe_sent"),
            (raw(b"nonsense\r\n\r\n"), "maybe_sent"),
            (hang, "maybe_sent"),
            (drip(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"), "maybe_sent"),
            (reply(b"", status="502 No"), "maybe_sent"),
        ],
    )
    def test_say_when_an_effect_is_uncertain(self, serve, guard, script, reason):
        server = serve(script)

        with pytest.raises(Unavailable) as caught:
            guard(server.url).request("POST", "/x?key=test_secret", operation="track", bearer=TOKEN)

        assert caught.value.reason == reason
        assert "test_secret" not in f"{caught.value}{caught.value.__cause__}"

    def test_say_when_nothing_was_sent(self, guard):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]

        with pytest.raises(Unavailable) as caught:
            guard(f"http://127.0.0.1:{port}").request("POST", "/", operation="create")

        assert caught.value.reason == "not_sent"

    def test_use_the_deadline_of_the_operation_or_the_callers(self, serve, guard, reports):
        server = serve(hang)

        for options in ({"operation": "track"}, {"operation": "get", "deadline_s": 0.2}):
            with pytest.raises(Unavailable, match="deadline"):
                guard(server.url).request("GET", "/", **options)

        assert 280 < reports[0].duration_ms < 900
        assert 180 < reports[1].duration_ms < 900


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("header", "seconds"),
        [("7", 7.0), ("0", 0.0), ("999999", 3600.0), ("9" * 400, 3600.0), ("-1", None), ("soon", None), ("", None)],
    )
    def test_reads_seconds(self, header, seconds):
        assert retry_after_s(header) == seconds

    def test_reads_a_date(self):
        assert 85 < (retry_after_s(format_datetime(clock.now() + timedelta(seconds=90), usegmt=True)) or 0) <= 90
        assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
        assert retry_after_s(format_datetime(datetime(2999, 1, 1, tzinfo=UTC), usegmt=True)) == 3600.0

    def test_reaches_the_error(self, serve, guard):
        server = serve(failing(429, headers=("Retry-After: 30",), code=4))

        with pytest.raises(RateLimited) as caught:
            guard(server.url).request("GET", "/", operation="get")

        assert caught.value.retry_after_s == 30.0

    def test_gives_way_to_the_rules_wait_only_when_absent(self, serve, guard):
        with pytest.raises(RateLimited) as caught:
            guard(serve(failing(429, code=4)).url).request("GET", "/", operation="get")

        assert caught.value.retry_after_s == 60.0


class ClosedGate:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def enter(self, operation: str, *, subject: str = "", deadline_s: float = 20.0) -> float:
        self.asked.append(operation)
        raise RateLimited("the limit of this account is reached", retry_after_s=5.0)

    def learn(self, readings: Sequence[LimitReading]) -> None:
        raise AssertionError("there was no answer to learn from")


class TestGate:
    def test_holds_calls_back_before_anything_is_sent(self, serve, guard, reports):
        server, gate = serve(reply()), ClosedGate()

        with pytest.raises(RateLimited):
            guard(server.url, gate=gate).request("GET", "/", operation="get")

        assert (gate.asked, server.requests, reports) == (["get"], [], [])

    def test_holds_sdks_back(self, serve, guard):
        server, gate = serve(reply()), ClosedGate()

        with pytest.raises(RateLimited):
            guard(server.url, gate=gate).requests_session().get(server.url)

        assert server.requests == []


class ParcelSdkError(Exception):
    """What a vendor's SDK raises."""


class TestSdkClients:
    @pytest.fixture(params=["requests", "httpx2"])
    def get(self, request):
        def call(door, url: str, **options):
            make = door.requests_session if request.param == "requests" else door.httpx_client
            return make(operation="track").get(url, **options)

        return call

    def test_pass_the_guard(self, serve, guard, reports, get):
        server = serve(reply(b'{"ok":true}'))
        door = guard(server.url)

        assert get(door, f"{door.base_url('models')}/complete?key=test_secret").json() == {"ok": True}
        assert server.requests[0].path == "/v1/complete?key=test_secret"
        assert [(report.operation, report.status, report.response_bytes) for report in reports] == [("track", 200, 11)]
        assert "test_secret" not in reports[0].url

    def test_reach_the_override_when_they_know_only_the_vendors_host(self, serve, guard, get):
        server = serve(reply())

        get(guard(f"{server.url}/parcel"), "https://api.parcel.example/v3/parcels")

        assert server.requests[0].path == "/parcel/v3/parcels"

    def test_send_nothing_to_other_hosts(self, serve, guard, get):
        server, other = serve(reply()), serve(reply())

        with pytest.raises(UnexpectedResponse):
            get(guard(server.url), other.url, headers={"Authorization": "Bearer test_token_0001"})

        assert other.requests == []

    def test_see_the_vendors_error_answers_themselves(self, serve, guard, reports, get):
        server = serve(failing(429, code="plan_limit", message="Plan is full"))
        door = guard(server.url)

        response = get(door, f"{server.url}/")

        assert (response.status_code, response.json()["error"]["code"]) == (429, "plan_limit")
        assert reports[0].error == "QuotaExhausted"

    @pytest.mark.parametrize("status", ["200 OK", "400 No"])
    def test_report_an_answer_that_breaks_off(self, serve, guard, reports, get, status):
        server = serve(raw(f"HTTP/1.1 {status}\r\nContent-Length: 99\r\n\r\nabc".encode()))

        with pytest.raises(Exception, match="broke off"):
            get(guard(server.url), server.url)

        assert [(report.status, report.error) for report in reports] == [(None, "Unavailable")]

    def test_keep_to_the_deadline_of_the_operation(self, serve, guard, reports, get):
        server = serve(hang)

        with pytest.raises(Exception, match="deadline"):
            get(guard(server.url), server.url)

        assert reports[0].duration_ms < 900
        assert reports[0].error == "Unavailable"


class TestExplain:
    def failed_call(self, door, url: str) -> Exception:
        """Do what an SDK does: catch, and raise something of its own."""
        try:
            try:
                door.requests_session().get(url).raise_for_status()
            except requests.RequestException as error:
                raise RuntimeError("the SDK failed") from error
        except RuntimeError as error:
            return error
        raise AssertionError("the call succeeded")

    def test_finds_the_answer_underneath(self, serve, guard):
        server = serve(failing(429, code="plan_limit"))
        door = guard(server.url)

        assert isinstance(door.explain(self.failed_call(door, server.url)), QuotaExhausted)

    def test_finds_the_failure_underneath(self, serve, guard):
        server = serve(raw(b""))
        door = guard(server.url)

        explained = door.explain(self.failed_call(door, server.url))

        assert isinstance(explained, Unavailable)
        assert explained.reason == "maybe_sent"

    def test_goes_by_the_rules_names(self, guard):
        explained = guard().explain(ParcelSdkError("secret words"))

        assert isinstance(explained, Misconfigured)
        assert explained.next_action == "Choose a region."
        assert "secret words" not in str(explained)

    def test_leaves_defects_of_ours_alone(self, guard):
        assert guard().explain(KeyError("x")) is None
