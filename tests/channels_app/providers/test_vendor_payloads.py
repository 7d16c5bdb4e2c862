"""Every WhatsApp and app payload that VENDOR_FIXTURES points to reads as its index says."""

from __future__ import annotations

import base64
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from channels_app.providers import _meta
from channels_app.providers.whatsapp import SPEC, WhatsAppProvider
from core.secret import Secret
from integrations.contract import InboundEvent, OutboundResponse, ProviderError, SignatureRefused
from tests.signatures import ARRIVED_AT, arrived, signed

pytestmark = pytest.mark.vendor_fixtures

SECRET = "test-app-secret"

TYPES = (
    ("messages.errors", "message.error"),
    ("messages.status", "message.status_changed"),
    ("messages.system.user_changed", "contact.changed"),
    ("messages", "message.received"),
    ("user_id_update", "contact.changed"),
    ("message_template", "template.changed"),
    ("account", "account.changed"),
    ("business", "account.changed"),
    ("phone_number", "account.changed"),
    ("permissions", "unknown"),
)
"""Start of the index's `event` -> our type; the first that fits."""

OF_OTHER_CHANNELS = ("2207", "36000", "506", "9007", "ig_oauth")
"""Error bodies of publishing on Instagram and Facebook: their rules come with those providers."""

CLASS_OF_CARD_WORD = {kind.card_word: kind for kind in ProviderError.__subclasses__() if kind.card_word}


@pytest.fixture
def meta(vendor_fixtures: Path) -> Path:
    return vendor_fixtures / "meta"


@pytest.fixture
def index(meta: Path) -> dict[str, dict[str, str]]:
    entries: dict[str, dict[str, str]] = json.loads((meta / "index.json").read_text())
    return entries


def payloads(index: dict[str, dict[str, str]]) -> list[str]:
    wanted = ("whatsapp/", "app/permissions")
    return sorted(name for name in index if name.startswith(wanted))


def events_of(path: Path) -> list[InboundEvent]:
    return list(WhatsAppProvider.parse(arrived(path.read_bytes())))


def test_all_are_verified_over_their_bytes(meta: Path, index: dict[str, dict[str, str]]) -> None:
    assert len(payloads(index)) > 60
    for name in payloads(index):
        request = signed(arrived((meta / name).read_bytes()), webhook=SPEC.webhook, secret=SECRET)  # type: ignore[arg-type]

        WhatsAppProvider.verify(request, [Secret(SECRET)])
        with pytest.raises(SignatureRefused):
            WhatsAppProvider.verify(replace(request, body=request.body + b"\n"), [Secret(SECRET)])


def test_all_become_events_of_the_kind_the_index_names(meta: Path, index: dict[str, dict[str, str]]) -> None:
    for name in payloads(index):
        if name.startswith("whatsapp/batch"):
            continue
        (event,) = events_of(meta / name)
        named = index[name]["event"]
        expected = next((kind for start, kind in TYPES if named.startswith(start)), "message.received")
        assert event.type == expected, name


def test_all_are_routed_as_the_index_says(meta: Path, index: dict[str, dict[str, str]]) -> None:
    for name in payloads(index):
        body = json.loads((meta / name).read_bytes())
        keys = {event.account_key for event in events_of(meta / name)}
        route = index[name]["routing_key"]
        entry = body["entry"][0]
        value = entry["changes"][0].get("value", {})
        if "PARTNER" in route:
            assert keys == {f"waba:{value['waba_info']['waba_id']}"}, name
        elif route.startswith("entry[].changes[].value.metadata"):
            assert keys == {f"phone_number:{value['metadata']['phone_number_id']}"}, name
        elif route.startswith("entry[].uid"):
            assert keys == {f"user:{entry['uid']}"}, name
        elif route.startswith("entry[].id"):
            assert keys == {f"waba:{entry['id']}"}, name
        else:
            assert name == "whatsapp/batch_two_wabas_two_numbers.json"


def test_keys_hold_what_the_index_calls_the_dedup_key(meta: Path, index: dict[str, dict[str, str]]) -> None:
    for name in payloads(index):
        value = json.loads((meta / name).read_bytes())["entry"][0]["changes"][0].get("value", {})
        named = index[name]["dedup_key"]
        for event in events_of(meta / name):
            if named.startswith("entry[].changes[].value.messages[].id"):
                assert event.key == value["messages"][0]["id"], name
            elif named.startswith("statuses[].id"):
                status = value["statuses"][0]
                participant = status.get("recipient_participant_id")
                parts = [status["id"], status["status"], *([participant] if participant else [])]
                assert event.key == ":".join(parts), name
            elif named.startswith("user_id_update"):
                update = value["user_id_update"][0]
                assert update["user_id"]["current"] in event.key
                assert update["timestamp"] in event.key


def test_the_batch_gives_five_events_and_an_unknown_one_for_three_accounts(meta: Path) -> None:
    events = events_of(meta / "whatsapp" / "batch_two_wabas_two_numbers.json")

    assert sorted(event.type for event in events) == sorted(
        ["message.received"] * 2 + ["message.status_changed"] * 2 + ["account.changed", "unknown"]
    )
    assert len({event.account_key for event in events}) == 3


def test_redelivery_in_any_order_gives_the_same_keys(meta: Path, index: dict[str, dict[str, str]]) -> None:
    names = payloads(index)
    first = {(event.account_key, event.key) for name in names for event in events_of(meta / name)}

    for seed in range(3):
        shuffled = [*names, *names]
        random.Random(seed).shuffle(shuffled)
        assert {(event.account_key, event.key) for name in shuffled for event in events_of(meta / name)} == first


def test_split_gives_each_account_its_own_events(meta: Path, index: dict[str, dict[str, str]]) -> None:
    for name in payloads(index):
        whole = sorted((event.account_key, event.key) for event in events_of(meta / name))
        parts = WhatsAppProvider.split(arrived((meta / name).read_bytes()))

        cut = {key: WhatsAppProvider.parse(part) for key, part in parts.items()}

        assert sorted((key, event.key) for key, events in cut.items() for event in events) == whole, name


def test_signature_vectors_pass_and_fail_as_told(meta: Path) -> None:
    for vector in json.loads((meta / "app" / "signature_vectors.json").read_text()):
        headers = {vector["header"].lower(): vector["expected_header_value"]}
        request = arrived(base64.b64decode(vector["body_base64"]), headers=headers)
        secrets = [Secret(vector["app_secret"])]
        if vector["valid"]:
            WhatsAppProvider.verify(request, secrets)
            continue
        with pytest.raises(SignatureRefused):
            WhatsAppProvider.verify(request, secrets)


def test_the_proof_and_the_challenge_are_those_of_the_samples(meta: Path) -> None:
    proof = json.loads((meta / "app" / "appsecret_proof_and_signed_request.json").read_text())
    question = json.loads((meta / "app" / "verification_request.json").read_text())
    request = replace(arrived(b""), method="GET", query=question["query"])

    made = _meta.appsecret_proof(Secret(proof["access_token"]), Secret(proof["app_secret"]))
    answer = WhatsAppProvider.answer_challenge(request, Secret(question["query"]["hub.verify_token"]))

    assert made == proof["appsecret_proof"]
    assert answer == question["expected_when_token_matches"]["body"]
    with pytest.raises(SignatureRefused):
        WhatsAppProvider.answer_challenge(request, Secret("test-other"))


def test_error_bodies_are_classified_by_the_table(meta: Path) -> None:
    seen = 0
    for path in sorted((meta / "api" / "errors").glob("*.json")):
        if any(mark in path.name for mark in OF_OTHER_CHANNELS):
            continue
        sample: dict[str, Any] = json.loads(path.read_text())
        answer = OutboundResponse(status=sample["http_status"], headers={}, body=json.dumps(sample["body"]).encode())
        rule = SPEC.rule_for(WhatsAppProvider.read_error(answer))
        seen += 1
        assert rule is not None, path.name
        assert rule.error is CLASS_OF_CARD_WORD[sample["expected_class"]], path.name
    assert seen >= 25


def test_nothing_was_made_of_the_time_of_arrival(meta: Path, index: dict[str, dict[str, str]]) -> None:
    for name in payloads(index):
        for event in events_of(meta / name):
            assert event.occurred_at != ARRIVED_AT
