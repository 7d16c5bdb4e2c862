"""The contract's own defaults: what a provider gets that overrides nothing."""

from __future__ import annotations

import pytest

from core.secret import Secrets
from integrations.contract import (
    CheckResult,
    ErrorRule,
    Field,
    FieldKind,
    NotFound,
    OutboundResponse,
    Provider,
    RateLimited,
    RequestRejected,
    UnexpectedResponse,
    VendorError,
    read_json_object,
)


class Plain(Provider):
    def check(self) -> CheckResult:
        raise NotImplementedError


class TestProvider:
    def test_finds_no_special_errors_and_reads_the_status_alone(self) -> None:
        answer = OutboundResponse(status=418, headers={}, body=b"{")

        assert Plain.validate({}, Secrets({})) == {}
        assert Plain.read_error(answer) == VendorError(status=418)


class TestField:
    def test_is_secret_by_its_kind_alone(self) -> None:
        assert Field(name="key", label="Key", kind=FieldKind.SECRET).is_secret
        assert not Field(name="secret", label="Secret").is_secret


class TestErrorRule:
    @pytest.mark.parametrize(
        ("rule", "error", "is_match"),
        [
            (ErrorRule(error=NotFound), VendorError(status=500), True),
            (ErrorRule(error=NotFound, statuses=(404,)), VendorError(status=404), True),
            (ErrorRule(error=NotFound, statuses=(range(400, 500),)), VendorError(status=500), False),
            (ErrorRule(error=NotFound, codes=(33,)), VendorError(status=0, code="33"), True),
            (ErrorRule(error=NotFound, codes=(33,)), VendorError(status=0, code=None), False),
            (ErrorRule(error=NotFound, codes=("gone",)), VendorError(status=0, code="gone"), True),
            (ErrorRule(error=NotFound, codes=(range(200, 300),)), VendorError(status=0, code=200), True),
            (ErrorRule(error=NotFound, codes=(range(200, 300),)), VendorError(status=0, code="text"), False),
            (ErrorRule(error=NotFound, codes=(9,)), VendorError(status=0, code="9" * 5000), False),
            (ErrorRule(error=NotFound, codes=(100,), subcodes=(33,)), VendorError(status=0, code=100), False),
            (
                ErrorRule(error=NotFound, codes=(100,), subcodes=(33,)),
                VendorError(status=0, code=100, subcode=33),
                True,
            ),
        ],
    )
    def test_matches_when_all_its_conditions_hold(self, rule: ErrorRule, error: VendorError, is_match: bool) -> None:
        assert rule.matches(error) is is_match

    def test_of_exceptions_matches_no_answer(self) -> None:
        rule = ErrorRule(error=RateLimited, exceptions=("TooMany",))

        assert rule.matches(VendorError(status=0), exception="TooMany")
        assert not rule.matches(VendorError(status=429))


class TestReadJsonObject:
    def test_replaces_what_a_database_refuses_in_names_and_values(self) -> None:
        body = b'{"a\\u0000": ["\\ud800", {"b": "\\u0000"}], "n": 1e300, "i": 17, "t": true, "z": null}'

        assert read_json_object(body) == {
            "a\ufffd": ["\ufffd", {"b": "\ufffd"}],
            "n": 1e300,
            "i": 17,
            "t": True,
            "z": None,
        }

    def test_keeps_pairs_of_surrogates(self) -> None:
        assert read_json_object(b'{"a": "\\ud83d\\ude00"}') == {"a": "😀"}

    def test_takes_64_levels_and_no_more(self) -> None:
        def nested(levels: int) -> bytes:
            return b'{"a":' * levels + b"1" + b"}" * levels

        assert read_json_object(nested(64))
        with pytest.raises(UnexpectedResponse):
            read_json_object(nested(65))

    def test_says_nothing_of_the_body(self) -> None:
        with pytest.raises(UnexpectedResponse) as caught:
            read_json_object(b'{"token": "test-planted"')

        assert "planted" not in repr([str(caught.value), caught.value.__cause__])
        assert not isinstance(caught.value, RequestRejected)
