"""Are webhooks verified before they are believed, and parsed into the same events every time?"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.secret import Secret
from integrations import registry
from integrations.contract import (
    AnswersChallenge,
    FetchesDetails,
    Provider,
    ReceivesWebhooks,
    SharesCallback,
    SignatureRefused,
    UnexpectedResponse,
)
from tests.signatures import ARRIVED_AT, arrived, signed
from tests.wire import Fixtures

SECRET = "test-signing-secret"
OTHER = "test-other-secret"

MALFORMED = {
    "empty": b"",
    "html": b"<html></html>",
    "list": b'[{"object":"x"}]',
    "number": b"17",
    "nan": b'{"entry":NaN,"id":"evt_1","type":"x"}',
    "infinite": b'{"entry":1e400,"id":"evt_1","type":"x"}',
    "deep": b'{"entry":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep_enough_for_the_parser": b'{"id":"evt_1","type":"x","entry":' + b"[" * 300 + b"]" * 300 + b"}",
    "cut": b'{"entry":[{"id"',
    "not_utf8": b'{"id":"\xff\xfe"}',
    "huge_number": b'{"id":' + b"9" * 5000 + b"}",
}


def receivers() -> list[Any]:
    found = [item for item in registry.providers().values() if issubclass(item, ReceivesWebhooks)]
    return [pytest.param(item, id=item.spec.key) for item in found]


def signing() -> list[Any]:
    """List the receivers whose vendors sign at all."""
    return [item for item in receivers() if item.values[0].spec.webhook.signature]


def is_asked_for(provider: type[Any], request: Any) -> bool:
    """Tell whether all that a delivery says is read from the vendor before it is believed."""
    events = provider.parse(request)
    return issubclass(provider, FetchesDetails) and all(event.thin or event.type == "unknown" for event in events)


def refused(provider: type[Any], request: Any, secrets: list[Secret] | None = None) -> str:
    with pytest.raises(SignatureRefused) as caught:
        provider.verify(request, [Secret(SECRET)] if secrets is None else secrets)
    return caught.value.reason


class TestVerify:
    def test_accepts_an_honest_one(self, provider: type[Any], webhook: str, fixtures: Fixtures) -> None:
        request = signed(arrived(fixtures.body(webhook)), webhook=provider.spec.webhook, secret=SECRET)

        provider.verify(request, [Secret(OTHER), Secret(SECRET)])

    def test_refuses_a_tampered_one(self, provider: type[Any], webhook: str, fixtures: Fixtures) -> None:
        request = signed(arrived(fixtures.body(webhook)), webhook=provider.spec.webhook, secret=SECRET)
        if not provider.spec.webhook.signs_body:
            assert is_asked_for(provider, request)
            return

        assert refused(provider, replace(request, body=request.body + b" ")) == "wrong"

    def test_refuses_one_whose_json_was_written_anew(
        self, provider: type[Any], webhook: str, fixtures: Fixtures
    ) -> None:
        request = signed(arrived(fixtures.body(webhook)), webhook=provider.spec.webhook, secret=SECRET)
        rewritten = json.dumps(json.loads(request.body), indent=7).encode("utf-8", "surrogatepass")
        if not provider.spec.webhook.signs_body:
            assert is_asked_for(provider, replace(request, body=rewritten))
            return

        assert refused(provider, replace(request, body=rewritten)) == "wrong"


@pytest.mark.parametrize("receiver", signing())
class TestRefusal:
    BODY = b'{"object":"test"}'

    def test_refuses_a_foreign_signature(self, receiver: type[Any]) -> None:
        assert refused(receiver, signed(arrived(self.BODY), webhook=receiver.spec.webhook, secret=OTHER)) == "wrong"

    def test_refuses_a_missing_or_malformed_header(self, receiver: type[Any]) -> None:
        header = receiver.spec.webhook.signature_header

        assert refused(receiver, arrived(self.BODY)) == "missing"
        for value in ("x", "sha256=", "t=,v1=", "t=1,v1=zz", "sha256=" + "é" * 64, "\x00", "t=" + "9" * 40 + ",v1=a"):
            assert refused(receiver, arrived(self.BODY, headers={header: value})) == "malformed"

    def test_refuses_everything_without_a_secret_or_with_an_empty_one(self, receiver: type[Any]) -> None:
        request = signed(arrived(self.BODY), webhook=receiver.spec.webhook, secret="")

        assert refused(receiver, request, []) == "wrong"
        assert refused(receiver, request, [Secret("")]) == "wrong"

    def test_refuses_a_stale_or_early_one_where_the_scheme_signs_a_time(self, receiver: type[Any]) -> None:
        webhook = receiver.spec.webhook
        if not webhook.signs_time:
            assert "timestamp" not in webhook.signature
            return

        for seconds in (webhook.tolerance_s + 1, -webhook.tolerance_s - 1):
            at = ARRIVED_AT + timedelta(seconds=seconds)
            assert refused(receiver, signed(arrived(self.BODY), webhook=webhook, secret=SECRET, at=at)) == "stale"

    def test_no_refusal_shows_the_secret(self, receiver: type[Any]) -> None:
        with pytest.raises(SignatureRefused) as caught:
            receiver.verify(signed(arrived(self.BODY), webhook=receiver.spec.webhook, secret=OTHER), [Secret(SECRET)])

        assert SECRET not in repr([str(caught.value), vars(caught.value)])

    def test_a_challenge_is_answered_for_the_right_token_alone(self, receiver: type[Any]) -> None:
        if not issubclass(receiver, AnswersChallenge):
            assert receiver.spec.webhook.challenge_field is None
            return
        query = {"hub.mode": "subscribe", "hub.challenge": "1701", "hub.verify_token": SECRET}
        request = replace(arrived(b""), method="GET", query=query)

        assert receiver.answer_challenge(request, Secret(SECRET)) == "1701"
        for wrong in ({"hub.verify_token": OTHER}, {"hub.verify_token": ""}, {"hub.mode": "x"}, {"hub.challenge": ""}):
            with pytest.raises(SignatureRefused):
                receiver.answer_challenge(replace(request, query={**query, **wrong}), Secret(SECRET))
        with pytest.raises(SignatureRefused):
            receiver.answer_challenge(replace(request, query={**query, "hub.verify_token": ""}), Secret(""))


class TestParse:
    def test_gives_the_events_that_the_index_says(self, provider: type[Any], webhook: str, fixtures: Fixtures) -> None:
        events = provider.parse(arrived(fixtures.body(webhook)))

        expected = fixtures.index[webhook]["events"]
        assert [(event.type, event.account_key) for event in events] == [
            (item["type"], item["account_key"]) for item in expected
        ]
        for event, item in zip(events, expected, strict=True):
            assert event.key == item.get("key", event.key)

    def test_is_pure_with_stable_unique_keys(self, provider: type[Any], webhook: str, fixtures: Fixtures) -> None:
        request = arrived(fixtures.body(webhook))
        later = replace(request, received_at=ARRIVED_AT + timedelta(days=7), headers={"x-retry": "1"})

        events = provider.parse(request)

        assert provider.parse(later) == events
        assert len({event.key for event in events}) == len(events)

    def test_gives_what_a_database_can_store(self, provider: type[Any], webhook: str, fixtures: Fixtures) -> None:
        for event in provider.parse(arrived(fixtures.body(webhook))):
            written = json.dumps([event.data, event.raw], allow_nan=False, ensure_ascii=False)
            assert "\x00" not in written
            written.encode("utf-8")
            for name in (event.key, event.account_key, event.object_key, event.external_id):
                assert len(name) <= 250

    def test_a_split_gives_parts_with_the_same_events(
        self, provider: type[Any], webhook: str, fixtures: Fixtures
    ) -> None:
        request = arrived(fixtures.body(webhook))
        if not issubclass(provider, SharesCallback):
            assert len({event.account_key for event in provider.parse(request)}) <= 1
            return

        parts = provider.split(request)

        whole = sorted((event.account_key, event.key) for event in provider.parse(request))
        by_part = {key: provider.parse(part) for key, part in parts.items()}
        assert sorted((event.account_key, event.key) for events in by_part.values() for event in events) == whole
        assert all(event.account_key == key for key, events in by_part.items() for event in events)
        assert provider.split(request) == parts
        for key, part in parts.items():
            assert provider.parse(provider.split(part)[key]) == by_part[key]


@pytest.mark.parametrize("receiver", receivers())
class TestHostileBodies:
    @pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
    def test_a_malformed_body_is_refused_by_one_error(self, receiver: type[Any], body: bytes) -> None:
        with pytest.raises(UnexpectedResponse):
            receiver.parse(arrived(body))
        if issubclass(receiver, SharesCallback):
            with pytest.raises(UnexpectedResponse):
                receiver.split(arrived(body))

    @settings(deadline=None)
    @given(body=st.binary(max_size=60))
    def test_bytes_never_raise_anything_else(self, receiver: type[Any], body: bytes) -> None:
        _parse_or_refuse(receiver, body)

    @settings(deadline=None)
    @given(data=st.data())
    def test_a_fixture_with_one_value_replaced_never_raises_anything_else(
        self, receiver: type[Any], data: st.DataObject
    ) -> None:
        fixtures = Fixtures.of(receiver)
        tree = fixtures.read(data.draw(st.sampled_from(fixtures.names("webhooks"))))
        spoiled = _spoil(tree, data)

        _parse_or_refuse(receiver, json.dumps(spoiled).encode())


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5),
    st.just([]), st.just({}), st.just([{}]), st.just([None]), st.just({"id": {}}), st.just("9" * 300),
)  # fmt: skip


def _spoil(tree: Any, data: st.DataObject) -> Any:
    """Replace one value somewhere in a tree by junk."""
    if isinstance(tree, dict) and tree and data.draw(st.integers(0, 9)):
        name = data.draw(st.sampled_from(sorted(tree)))
        return {**tree, name: _spoil(tree[name], data)}
    if isinstance(tree, list) and tree and data.draw(st.integers(0, 9)):
        position = data.draw(st.integers(0, len(tree) - 1))
        return [*tree[:position], _spoil(tree[position], data), *tree[position + 1 :]]
    return data.draw(JUNK)


def _parse_or_refuse(receiver: type[Any], body: bytes) -> None:
    try:
        events = receiver.parse(arrived(body))
    except UnexpectedResponse:
        return
    assert receiver.parse(arrived(body)) == events
    if issubclass(receiver, SharesCallback):
        parts = receiver.split(arrived(body))
        keys = sorted(event.key for part in parts.values() for event in receiver.parse(part))
        assert keys == sorted(event.key for event in events)


def test_somebody_was_asked() -> None:
    assert {"whatsapp", "stripe"} <= set(registry.providers())
    assert all(issubclass(item, Provider) for item in registry.providers().values())
