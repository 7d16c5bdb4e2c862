"""The base of every provider and the door through which it reaches its vendor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from core.secret import Secret, Secrets
from integrations.contract.limits import LimitReading, read_common_limits
from integrations.contract.results import Account, CheckResult, IntegrationContext, OutboundResponse, VendorError
from integrations.contract.spec import ProviderSpec, Scope

AUTHORIZE = "authorize"
"""The operation of a call that only fetches a short token: its success proves nothing of what it is fetched for."""


class Outbound(Protocol):
    """
    The only way out. Every byte leaves through `transport`: total deadline, byte cap, no redirects.

    `url` is a path on the host of `role`, or an absolute URL on one of the spec's hosts, the integration's
    `destination` fields or an operator override; a credential goes nowhere else.
    """

    def request(
        self,
        method: str,
        url: str,
        *,
        operation: str,
        role: str | None = None,
        bearer: Secret | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        data: Mapping[str, Any] | bytes | None = None,
        files: Mapping[str, Any] | None = None,
        deadline_s: float | None = None,
        max_bytes: int | None = None,
        subject: str = "",
    ) -> OutboundResponse:
        """
        Call the vendor and return an answer below 400.

        :param operation: the verb's name; selects the deadline and the limits, and labels the call
        :param subject: whom the call is about, where the spec has a limit by recipient
        :param params: query of the URL; stripped from every log and error
        :param max_bytes: cap of the answer after decompression; default 5 MB
        :raises ProviderError: by the spec's error rules, or Unavailable when no proper answer came
        :raises RateLimited: with reason "held_back": a limit is reached, and nothing was sent
        :raises Unavailable: with reason "breaker_open": too many calls failed, and nothing was sent
        """
        ...

    def base_url(self, role: str | None = None) -> str:
        """Return the base URL of a role, overrides applied; for SDKs that take one."""
        ...

    def requests_session(self) -> Any:
        """Return a `requests.Session` on our transport, for SDKs built on requests."""
        ...

    def httpx_client(self) -> Any:
        """Return an `httpx2.Client` on our transport, for SDKs built on httpx2."""
        ...


class Provider(ABC):
    """
    One vendor's behaviour. Pure: no ORM, Django, request, task or HTML; no SDK import at module level.

    A subclass must set `spec` and implement `check`. It may override `probe`, `read_error`, `read_limits`,
    `limit_owner` and `validate`, and adds capabilities as mixins. It should not touch `__init__`.
    """

    spec: ClassVar[ProviderSpec]

    def __init__(self, integration: IntegrationContext, outbound: Outbound) -> None:
        self.integration = integration
        self.outbound = outbound

    @abstractmethod
    def check(self) -> CheckResult:
        """
        Prove that the credential works: cheap, free, read-only.

        :raises ProviderError: it does not; never returns a failure
        """

    def probe(self) -> Account | None:
        """
        Prove credential and account with one free call that only reads; for a provider whose `check` takes several.

        The account that answered says that all is as the last check found it; None asks for a whole check.

        :raises ProviderError: the credential does not work
        """
        return None

    @classmethod
    def validate(cls, settings: Mapping[str, Any], secrets: Secrets) -> Mapping[str, Sequence[str]]:
        """Return errors that a pattern cannot express, by the field's name; empty when all is well."""
        return {}

    @classmethod
    def read_error(cls, response: OutboundResponse) -> VendorError:
        """Read the facts of an error answer; must not fail on any body."""
        return VendorError(status=response.status)

    @classmethod
    def read_limits(cls, response: OutboundResponse) -> Sequence[LimitReading]:
        """Read what an answer's headers say of the vendor's limits; must not fail on any value. The body is empty."""
        return read_common_limits(response)

    @classmethod
    def limit_owner(cls, integration: IntegrationContext, scope: Scope) -> str:
        """
        Name whose limit counts in a scope: the app's or the portfolio's id at the vendor.

        Integrations that name the same one share its limit. Empty: the integration has a limit of its own.
        """
        return ""
