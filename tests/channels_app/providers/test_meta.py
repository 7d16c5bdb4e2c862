"""What the Meta channels share: versions, proofs, errors, the cutting of bodies."""

from __future__ import annotations

import json
from datetime import date

import pytest

from channels_app.providers import _meta
from channels_app.providers._meta_json import bounded, digest, moment
from channels_app.providers.whatsapp import WhatsAppProvider
from core.secret import Secret
from integrations.contract import Misconfigured, OutboundResponse
from tests.signatures import arrived


class TestGraphVersion:
    def test_is_the_default_unless_the_operator_sets_one(self) -> None:
        assert _meta.graph_version({}) == "v26.0"
        assert _meta.graph_version({"graph_version": "v24.0"}) == "v24.0"

    @pytest.mark.parametrize("version", ["v21.0", "v18.0", "26.0", "v26", "v26.0/me", "latest"])
    def test_is_refused_when_old_or_malformed(self, version: str) -> None:
        with pytest.raises(Misconfigured) as caught:
            _meta.graph_version({"graph_version": version})

        assert "META_GRAPH_VERSION" in caught.value.next_action

    def test_that_ends_within_half_a_year_warns(self) -> None:
        assert "2027-05-20" in _meta.version_warning("v22.0", today=date(2026, 11, 23))
        assert _meta.version_warning("v22.0", today=date(2026, 11, 20)) == ""
        assert _meta.version_warning("v26.0", today=date(2030, 1, 1)) == ""


class TestProof:
    def test_is_the_hmac_of_the_token_under_the_secret(self) -> None:
        proof = _meta.appsecret_proof(Secret("test-token"), Secret("test-secret"))

        assert proof == "4bd72343ca044f8aab1d98f07606cdb1cf47df0c089ff7b5b2df44e40d869970"


class TestReadError:
    def answer(self, body: object, headers: dict[str, str] | None = None) -> OutboundResponse:
        return OutboundResponse(status=400, headers=headers or {}, body=json.dumps(body).encode())

    def test_prefers_the_most_helpful_sentence(self) -> None:
        error = {"message": "(#100) x", "code": 100, "error_data": {"details": "body.text is too long"}}

        assert _meta.read_error(self.answer({"error": error})).detail == "body.text is too long"
        assert _meta.read_error(self.answer({"error": {"message": "(#100) x", "code": 100}})).detail == "(#100) x"

    @pytest.mark.parametrize("body", [[], 7, None, {"error": "text"}, {"error": {"code": [1], "error_data": "text"}}])
    def test_survives_any_body(self, body: object) -> None:
        assert _meta.read_error(self.answer(body)).status == 400

    def test_reads_the_longest_wait_of_the_usage_headers_in_minutes(self) -> None:
        usage = {"1": [{"estimated_time_to_regain_access": 0}], "2": [{"estimated_time_to_regain_access": 19}]}
        headers = {"x-business-use-case-usage": json.dumps(usage), "x-app-usage": '{"call_count":28}'}

        assert _meta.read_error(self.answer({}, headers)).retry_after_s == 19 * 60
        assert _meta.read_error(self.answer({}, {"x-app-usage": "no json"})).retry_after_s is None


class TestKeys:
    def test_do_not_depend_on_the_order_of_names(self) -> None:
        assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
        assert digest([1, 2]) != digest([2, 1])

    def test_stay_short_enough_for_an_index(self) -> None:
        assert bounded("k" * 200) == "k" * 200
        assert len(bounded("k" * 201)) == 64

    def test_times_are_seconds_or_milliseconds(self) -> None:
        assert moment("1795430000") == moment(1795430000000)
        assert moment("ontem") is moment(None) is moment(True) is moment([]) is moment("9" * 30) is None


class TestSplit:
    def test_leaves_out_what_is_of_other_accounts(self) -> None:
        body = json.dumps(
            {
                "object": "whatsapp_business_account",
                "entry": [
                    {
                        "id": "1",
                        "changes": [
                            {"field": "messages", "value": {"metadata": {"phone_number_id": "10"}, "messages": []}},
                            {"field": "messages", "value": {"metadata": {"phone_number_id": "11"}, "statuses": []}},
                            {"field": "account_update", "value": {"event": "ACCOUNT_DELETED"}},
                        ],
                    }
                ],
            }
        ).encode()

        parts = WhatsAppProvider.split(arrived(body))

        assert set(parts) == {"phone_number:10", "phone_number:11", "waba:1"}
        for key, part in parts.items():
            own = key.partition(":")[2]
            others = {"10", "11"} - {own}
            assert not [other for other in others if f'"{other}"'.encode() in part.body]

    def test_keeps_the_vendors_numbers_and_words_as_they_were(self) -> None:
        value = {"metadata": {"phone_number_id": "10"}, "n": 49.234939575195, "m": 6.9993596076965, "w": "á😀/"}
        body = json.dumps(
            {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"value": value}]}]}
        )

        part = json.loads(WhatsAppProvider.split(arrived(body.encode()))["phone_number:10"].body)

        assert part["entry"][0]["changes"][0]["value"] == value

    def test_three_megabytes_of_updates_stay_quick_to_read(self) -> None:
        status = {"status": "sent", "timestamp": "1795430000", "recipient_id": "15550100101", "pad": "x" * 2500}
        statuses = [{"id": f"wamid.test{number}", **status} for number in range(1000)]
        value = {"metadata": {"phone_number_id": "10"}, "statuses": statuses}
        body = {
            "object": "whatsapp_business_account",
            "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}],
        }

        events = WhatsAppProvider.parse(arrived(json.dumps(body).encode()))

        assert len(events) == 1000


class TestLimits:
    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            ({}, []),
            ({"x-app-usage": '{"call_count":28,"total_time":85,"total_cputime":2}'}, [("app", 0.85, None, None)]),
            ({"x-app-usage": "no json"}, []),
            ({"x-app-usage": '{"call_count":"many","total_time":NaN}'}, [("app", 0.0, None, None)]),
            (
                {"x-business-use-case-usage": '{"200000000000001":[{"type":"whatsapp","call_count":100,'
                 '"estimated_time_to_regain_access":19}]}'},
                [("portfolio", 1.0, 1140.0, None)],
            ),
            (
                {"x-business-use-case-usage": '{"1":[{"call_count":5}],"2":[{"total_cputime":91}],"3":7}'},
                [("portfolio", 0.05, None, None), ("portfolio", 0.91, None, None)],
            ),
            (
                {"x-ad-account-usage": '{"acc_id_util_pct":95.5,"reset_time_duration":100}'},
                [("account", 0.955, None, 100.0)],
            ),
            ({"retry-after": "30"}, []),
        ],
    )  # fmt: skip
    def test_are_read_from_the_usage_headers(
        self, headers: dict[str, str], expected: list[tuple[str, float, float | None, float | None]]
    ) -> None:
        readings = WhatsAppProvider.read_limits(OutboundResponse(status=200, headers=headers, body=b""))

        assert [(str(one.scope), round(one.used or 0.0, 3), one.wait_s, one.reset_s) for one in readings] == expected
