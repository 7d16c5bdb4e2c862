"""What customers' messages may look like at their worst: hostile JSON, floods of repetitions, wrong order, late."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.installation import eventually, within
from tests.faults.traffic import Business

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("faults-2")]

SETTLED_TABLE_S = 60
DEEP = 100_000

HOSTILE = {
    "NUL": lambda body: body.replace(b'"body": "', b'"body": "\\u0000'),
    "half a pair": lambda body: body.replace(b'"body": "', b'"body": "\\ud800'),
    "an endless number": lambda body: body.replace(b'"object":', b'"endless": 1e400, "object":'),
    "deep": lambda body: body.replace(b'"object":', b'"deep": ' + b"[" * DEEP + b"]" * DEEP + b', "object":'),
    "deep and never closed": lambda body: b"[" * DEEP,
    "no JSON": lambda body: b"<html>signed all the same</html>",
    "no UTF-8": lambda body: body.replace(b"Fault Finder", b"\xff\xfe"),
    "a bare number": lambda body: b"17",
    "empty": lambda body: b"",
}
"""From a good body to one that a parser or PostgreSQL chokes on."""


class TestHostileBodies:
    def test_are_taken_kept_and_set_aside_without_holding_up_the_rest(self, business: Business) -> None:
        statuses = {name: business.post_raw(spoil(business.body(f"wamid.hostile-{place}"))).status
                    for place, (name, spoil) in enumerate(HOSTILE.items())}  # fmt: skip
        assert statuses == dict.fromkeys(HOSTILE, 200)

        assert all(answer.is_taken for answer in business.post_many(10))

        business.settle(within_s=within(SETTLED_TABLE_S))
        business.assert_nothing_lost_or_doubled()
        rows = business.read("json_build_array(status, error_class, sealed_body IS NOT NULL)",
                             "public.dispatch_webhookdelivery", f"link_id = '{business.integration}'")  # fmt: skip
        ended = [tuple(json.loads(row)) for row in rows]
        assert {status for status, *_rest in ended} <= {"processed", "ignored", "dead"}
        dead = [row for row in ended if row[0] == "dead"]
        assert dead
        assert all(error_class and is_kept for _status, error_class, is_kept in dead)

    def test_of_a_flood_the_worker_survives(self, business: Business) -> None:
        worker = business.product.pid("worker")

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda place: business.post_raw(b"[" * (DEEP + place)).status, range(40)))

        assert set(answers) == {200}
        business.settle(within_s=within(SETTLED_TABLE_S))
        assert business.product.pid("worker") == worker


class TestRepetitions:
    def test_a_hundred_at_once_are_one_message(self, business: Business) -> None:
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _number: business.post("wamid.hundred").status, range(100)))

        assert set(answers) == {200}
        business.settle(within_s=within(SETTLED_TABLE_S))
        assert business.kept("wamid.hundred") == 1

    def test_a_replay_after_the_fact_changes_nothing(self, business: Business) -> None:
        business.post("wamid.replayed")
        business.settle(within_s=within(SETTLED_TABLE_S))

        assert business.post("wamid.replayed").is_taken

        business.settle(within_s=within(SETTLED_TABLE_S))
        assert business.kept("wamid.replayed") == 1

    def test_the_same_message_in_other_bytes_is_one_message(self, business: Business) -> None:
        bodies = [json.dumps(json.loads(business.body("wamid.other-bytes")), indent=number) for number in range(5)]

        assert {business.post_raw(body.encode()).status for body in bodies} == {200}

        business.settle(within_s=within(SETTLED_TABLE_S))
        assert business.kept("wamid.other-bytes") == 1

    def test_statuses_out_of_order_end_at_the_last(self, business: Business) -> None:
        business.send()
        business.settle(within_s=within(SETTLED_TABLE_S))

        number = business.account["phone_number_id"]
        wanted = {"mode": "out_of_order", "phone_number_id": number, "customer": business.customer}
        business.product.control("POST", "whatsapp/deliveries", **wanted)

        eventually(lambda: [status for _text, status, _code in business.messages()] == ["read"],
                   within_s=within(SETTLED_TABLE_S), what="the message to be read")  # fmt: skip
        business.settle(within_s=within(SETTLED_TABLE_S))
        assert [status for _text, status, _code in business.messages()] == ["read"]

    def test_three_days_late_is_kept_at_its_own_time(self, business: Business) -> None:
        body = json.loads(business.body("wamid.late"))
        written_at = int(time.time()) - 3 * 86_400
        body["entry"][0]["changes"][0]["value"]["messages"][0]["timestamp"] = str(written_at)

        assert business.post("wamid.late", body=json.dumps(body).encode()).is_taken

        business.settle(within_s=within(SETTLED_TABLE_S))
        asked = "extract(epoch FROM occurred_at)::bigint"
        assert business.read(asked, "channels_app_message", "external_id = 'wamid.late'") == [str(written_at)]

    def test_a_foreign_signature_is_refused(self, business: Business) -> None:
        body = business.body("wamid.forged")

        answer = business.post_raw(body, **{"X-Hub-Signature-256": business.signature(body, "a-test-secret")})

        assert answer.status == 401
        assert business.kept("wamid.forged") == 0
