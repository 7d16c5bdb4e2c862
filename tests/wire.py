"""
The vendor's side of the wire, answered from fixture files.

A provider under test runs over the real guard; only the transport below it is replaced, by one that knows the answers
it was given and fails on every other call. Nothing reaches the network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from core.secret import Secrets
from integrations.contract import CallReport, IntegrationContext, Provider
from integrations.outbound.guard import Guard
from transport.engine import Transport
from transport.errors import Phase, ResetByPeer
from transport.wire import Answer, Terms, WireRequest

FIXTURES = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixtures:
    """The fixture folder of one provider: bodies as files, and `index.json` with what is true of each."""

    folder: Path

    @classmethod
    def of(cls, provider: type[Provider]) -> Fixtures:
        """Find the folder beside the tests of the app whose module the provider is."""
        app = provider.__module__.partition(".")[0]
        return cls(folder=FIXTURES / app / "providers" / "fixtures" / provider.spec.key)

    @property
    def index(self) -> dict[str, dict[str, Any]]:
        """Facts by file: provenance; status, headers and error of answers; events of webhooks."""
        return self.read("index.json")

    @property
    def conformance(self) -> dict[str, Any]:
        """A connection of fake values and the answers of each scenario."""
        return self.read("conformance.json")

    def read(self, name: str) -> Any:
        """Parse a file of the folder."""
        return json.loads(self.body(name))

    def body(self, name: str) -> bytes:
        """Return the exact bytes of a file."""
        return (self.folder / name).read_bytes()

    def names(self, part: str) -> list[str]:
        """List the bodies of a part, "api" or "webhooks"."""
        return sorted(f"{part}/{path.name}" for path in (self.folder / part).iterdir())


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request as it would have left the machine."""

    method: str
    host: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON, None when there is none."""
        return json.loads(self.body) if self.body else None


@dataclass(slots=True, kw_only=True)
class Planned:
    """An answer to a method and path, and perhaps to a part of the query."""

    method: str
    path: str
    query: Mapping[str, str]
    fixture: str
    times: int | None
    reset: bool = False

    def fits(self, seen: Seen) -> bool:
        """Whether this answer is for that request and is not used up."""
        is_named = (seen.method, self.path) in ((self.method, seen.path), (self.method, "*"))
        return self.times != 0 and is_named and self.query.items() <= seen.query.items()


@dataclass(kw_only=True)
class Wire(Transport):
    """Answers one provider's calls from its fixtures; a call that was not planned fails the test."""

    provider: type[Provider]
    calls: list[Seen] = field(default_factory=list)
    reports: list[CallReport] = field(default_factory=list)
    planned: list[Planned] = field(default_factory=list)

    @cached_property
    def fixtures(self) -> Fixtures:
        """The provider's fixture folder."""
        return Fixtures.of(self.provider)

    def answer(
        self,
        method: str,
        path: str,
        fixture: str,
        *,
        query: Mapping[str, str] | None = None,
        times: int | None = None,
    ) -> None:
        """Plan an answer; later ones come first, "*" is any path, `times` None is for ever."""
        plan = Planned(method=method, path=path, query=query or {}, fixture=f"api/{fixture}.json", times=times)
        self.planned.insert(0, plan)

    def reset(self, method: str, path: str) -> None:
        """Plan a connection that breaks after the request was sent."""
        self.planned.insert(0, Planned(method=method, path=path, query={}, fixture="", times=None, reset=True))

    def play(self, scenario: str) -> None:
        """Plan the answers of a scenario of `conformance.json`."""
        for step in reversed(self.fixtures.conformance["scenarios"][scenario]):
            self.answer(**step)

    def connect(
        self,
        *,
        settings: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
        overrides: Mapping[str, str] | None = None,
        **context: Any,
    ) -> Any:
        """Make an instance of the provider with the fake connection of `conformance.json`, changed as asked."""
        connection = self.fixtures.conformance["connection"]
        opened = Secrets(connection["secrets"] if secrets is None else secrets)
        values = connection["settings"] if settings is None else settings
        facts = {"id": "", "environment": connection["environment"], **context}
        integration = IntegrationContext(provider=self.provider.spec.key, settings=values, secrets=opened, **facts)
        guard = Guard(
            spec=self.provider.spec,
            read_error=self.provider.read_error,
            report=self.reports.append,
            overrides=overrides,
            settings=values,
            secrets=opened,
            transport=self,
        )
        return self.provider(integration, guard)

    def send(self, request: WireRequest, terms: Terms) -> Answer:
        """Answer as planned, or fail."""
        seen = Seen(
            method=request.method,
            host=request.target.origin.host,
            path=request.target.path,
            query={name: values[0] for name, values in parse_qs(request.target.query, keep_blank_values=True).items()},
            headers={name.lower(): value for name, value in request.headers},
            body=request.body if isinstance(request.body, bytes) else b"".join(request.body or ()),
        )
        self.calls.append(seen)
        plan = next((plan for plan in self.planned if plan.fits(seen)), None)
        if plan is None:
            raise AssertionError(f"unplanned call: {seen.method} {seen.host}{seen.path} {sorted(seen.query)}")
        if plan.times is not None:
            plan.times -= 1
        if plan.reset:
            raise ResetByPeer(seen.host, phase=Phase.BODY)
        facts = self.fixtures.index[plan.fixture]
        body = self.fixtures.body(plan.fixture)
        headers = [("Content-Type", "application/json"), *facts.get("headers", {}).items()]
        return Answer(status=facts.get("status", 200), headers=headers, parts=iter((body,)))

    def last(self, method: str, path: str) -> Seen:
        """Return the last request of a method and path."""
        return next(seen for seen in reversed(self.calls) if (seen.method, seen.path) == (method, path))
