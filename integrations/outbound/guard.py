"""The door through which one integration reaches its vendor: gate, call, map the error, report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import requests

from core.secret import Secret, Secrets
from integrations.contract.errors import ProviderError
from integrations.contract.limits import read_common_limits
from integrations.contract.results import OutboundResponse
from integrations.contract.spec import MutualTlsAuth, ProviderSpec
from integrations.outbound.bodies import encode_body, encode_query
from integrations.outbound.calls import Caller, Report
from integrations.outbound.destinations import Destination, Destinations
from integrations.outbound.gate import Gate, OpenGate
from integrations.outbound.mapping import ReadError, ReadLimits
from integrations.outbound.sdk import SdkClients
from transport.engine import Transport, shared
from transport.policy import EgressPolicy
from transport.target import Target
from transport.tls import ClientCertificate
from transport.wire import DEFAULT_DEADLINE_S, DEFAULT_MAX_BYTES, Terms, WireRequest

if TYPE_CHECKING:
    from transport.httpx_transport import PlainClient


class Guard:
    """
    Implements `integrations.contract.Outbound` for one integration, an app, or a form that is not stored yet.

    It takes values only and keeps nothing between calls but sockets.

    :param owner: the integration's id; keys connections with a client certificate
    :param overrides: the operator's base URLs by role, "" for all roles
    :param settings: the integration's settings, for destination fields
    :param secrets: its opened credential, for destination fields in it, for client certificates, and to be hidden
        where the vendor's answer repeats a part of it
    :param egress_allow: private destinations that customers' URLs may reach, each host:port
    :param report: told once of every call that was tried; what it raises reaches the caller
    :param gate: asked before every call, and told what each answer says of the limits; none lets all pass
    """

    def __init__(
        self,
        *,
        spec: ProviderSpec,
        read_error: ReadError,
        report: Report,
        read_limits: ReadLimits = read_common_limits,
        owner: str = "",
        overrides: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
        secrets: Secrets | None = None,
        egress_allow: Iterable[str] = (),
        gate: Gate | None = None,
        transport: Transport | None = None,
    ) -> None:
        self._spec = spec
        self._certificate = _certificate(spec, owner, secrets)
        self._destinations = Destinations(
            spec,
            overrides=overrides or {},
            settings=settings or {},
            secrets=secrets,
            customers=EgressPolicy.for_customers(",".join(egress_allow)),
        )
        self._caller = Caller(
            spec=spec,
            read_error=read_error,
            read_limits=read_limits,
            report=report,
            gate=gate or OpenGate(),
            transport=transport or shared(),
            secrets=secrets,
        )
        self._sdk = SdkClients(spec=spec, caller=self._caller, destinations=self._destinations, terms_for=self._terms)

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
        """Call the vendor; see `Outbound.request`."""
        target, destination = self._destinations.resolve(url, role)
        target = _with_query(target, encode_query(params or {}))
        body, content_type = encode_body(json=json, data=data, files=files)
        request = WireRequest(
            method=method.upper(), target=target, headers=_headers(headers, bearer, content_type), body=body
        )
        terms = self._terms(destination, operation, deadline_s=deadline_s, max_bytes=max_bytes)
        return self._caller.fetch(request, terms, operation=operation, subject=subject)

    def base_url(self, role: str | None = None) -> str:
        """Return the base URL of a role without a slash at its end, overrides applied."""
        return self._destinations.of_role(role).effective.shown.rstrip("/")

    def requests_session(self, *, operation: str = "sdk") -> requests.Session:
        """Return a session for an SDK; `operation` selects the deadline and labels its calls."""
        return self._sdk.session(operation)

    def httpx_client(self, *, operation: str = "sdk") -> PlainClient:
        """Return an `httpx2.Client` for an SDK; `operation` selects the deadline and labels its calls."""
        return self._sdk.client(operation)

    def explain(self, error: Exception, *, operation: str = "sdk") -> ProviderError | None:
        """
        Turn what an SDK raised into a ProviderError, by the spec's rules or by what was seen underneath.

        None means that it is not the vendor's doing but a defect of ours.
        """
        return self._sdk.explain(error, operation)

    def _terms(
        self,
        destination: Destination,
        operation: str,
        *,
        deadline_s: float | None = None,
        max_bytes: int | None = None,
    ) -> Terms:
        return Terms(
            policy=destination.policy,
            deadline_s=deadline_s or self._spec.deadlines.get(operation, DEFAULT_DEADLINE_S),
            max_bytes=max_bytes or DEFAULT_MAX_BYTES,
            certificate=self._certificate,
        )


def _certificate(spec: ProviderSpec, owner: str, secrets: Secrets | None) -> ClientCertificate | None:
    auth = spec.auth
    if not isinstance(auth, MutualTlsAuth) or secrets is None:
        return None
    if auth.certificate_field not in secrets or auth.key_field not in secrets:
        return None
    return ClientCertificate(
        integration_id=owner, certificate=secrets[auth.certificate_field], private_key=secrets[auth.key_field]
    )


def _with_query(target: Target, query: str) -> Target:
    joined = "&".join(part for part in (target.query, query) if part)
    return Target(origin=target.origin, path=target.path, query=joined)


def _headers(given: Mapping[str, str] | None, bearer: Secret | None, content_type: str) -> tuple[tuple[str, str], ...]:
    """Put headers together: the caller's Content-Type wins over the body's, the bearer over the caller's."""
    headers = {"content-type": ("Content-Type", content_type)} if content_type else {}
    headers |= {name.lower(): (name, value) for name, value in (given or {}).items()}
    if content_type.startswith("multipart/"):
        headers["content-type"] = ("Content-Type", content_type)
    if bearer is not None:
        headers["authorization"] = ("Authorization", f"Bearer {bearer.reveal()}")
    return tuple(headers.values())
