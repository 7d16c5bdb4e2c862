"""Is the spec of every provider sane, and its fixture folder complete?"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from integrations.contract import (
    ApiKeyAuth,
    FieldKind,
    OutboundResponse,
    Provider,
    ReceivesWebhooks,
    UnexpectedResponse,
)
from tests.wire import Fixtures

PROVENANCES = {"composed", "documented", "recorded"}


class TestSpec:
    def test_key_is_the_name_of_its_module(self, provider: type[Provider]) -> None:
        assert provider.__module__.rpartition(".")[2].lstrip("_").startswith(provider.spec.key)
        assert re.fullmatch("[a-z][a-z0-9_]{1,30}", provider.spec.key)

    def test_fields_have_unique_names_labels_and_patterns_that_fit_their_examples(
        self, provider: type[Provider]
    ) -> None:
        fields = [*provider.spec.credentials, *provider.spec.settings]

        assert len({field.name for field in fields}) == len(fields)
        for field in fields:
            assert field.label, field.name
            assert field.help, field.name
            assert not field.pattern or re.fullmatch(field.pattern, field.example), field.name

    def test_says_what_a_check_costs(self, provider: type[Provider]) -> None:
        assert provider.spec.health.cost is not None
        assert provider.spec.health.cost >= 0
        assert provider.spec.health.period_s >= 60

    def test_no_setting_is_a_secret(self, provider: type[Provider]) -> None:
        assert not [field.name for field in provider.spec.settings if field.kind is FieldKind.SECRET]

    def test_hosts_are_https_and_hold_the_default_role(self, provider: type[Provider]) -> None:
        destinations = [item.name for item in (*provider.spec.credentials, *provider.spec.settings) if item.destination]
        assert provider.spec.default_role in [*provider.spec.hosts, *destinations]
        for base in provider.spec.hosts.values():
            assert urlsplit(base).scheme == "https"
            assert not urlsplit(base).query

    def test_names_in_auth_and_webhook_are_fields(self, provider: type[Provider]) -> None:
        spec = provider.spec
        names = [spec.auth.field] if isinstance(spec.auth, ApiKeyAuth) else []
        names += [spec.webhook.secret_field, spec.webhook.challenge_field or ""] if spec.webhook else []

        for name in filter(None, names):
            assert spec.field(name).name == name

    def test_error_rules_decide_and_none_calls_an_expected_error_a_bug(self, provider: type[Provider]) -> None:
        for rule in provider.spec.errors:
            assert rule.statuses or rule.codes or rule.subcodes or rule.exceptions
            assert rule.error is not UnexpectedResponse

    def test_personal_data_flows_name_country_and_mechanism(self, provider: type[Provider]) -> None:
        assert provider.spec.data
        for flow in provider.spec.data:
            assert all((flow.data, flow.subjects, flow.purpose, flow.country, flow.mechanism))

    def test_receives_webhooks_exactly_when_the_spec_says_so(self, provider: type[Provider]) -> None:
        assert issubclass(provider, ReceivesWebhooks) == (provider.spec.webhook is not None)


class TestFixtures:
    def test_every_file_is_in_the_index_with_its_provenance(self, fixtures: Fixtures, provider: type[Provider]) -> None:
        parts = ["api", "webhooks"] if provider.spec.webhook else ["api"]
        files = {name for part in parts for name in fixtures.names(part)}

        assert files == set(fixtures.index)
        assert {facts["provenance"] for facts in fixtures.index.values()} <= PROVENANCES

    def test_every_declared_event_has_one(self, fixtures: Fixtures, provider: type[Provider]) -> None:
        declared = set(provider.spec.webhook.events) if provider.spec.webhook else set()
        shown = {event["type"] for facts in fixtures.index.values() for event in facts.get("events", ())}

        assert declared == shown

    def test_every_error_rule_is_the_first_match_of_one(self, fixtures: Fixtures, provider: type[Provider]) -> None:
        hit = set()
        for name, facts in fixtures.index.items():
            if name.startswith("api/error__"):
                hit.add(provider.spec.rule_for(provider.read_error(_response(fixtures, name, facts))))

        # What is known by an exception has no answer; the provider's own test raises it.
        missed = [rule for rule in provider.spec.errors if rule not in hit and not rule.exceptions]

        assert not missed


def _response(fixtures: Fixtures, name: str, facts: dict[str, Any]) -> OutboundResponse:
    headers = {key.lower(): value for key, value in facts.get("headers", {}).items()}
    return OutboundResponse(status=facts.get("status", 200), headers=headers, body=fixtures.body(name))
