"""A provider described as data. Everything that can be derived from these facts is derived from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from integrations.contract.errors import ProviderError
from integrations.contract.results import VendorError

_LONGEST_CODE = 19
"""Codes are small numbers; a longer text of digits is compared as text, never turned into a number."""


class Category(StrEnum):
    """The categories of the public contract; each belongs to one app."""

    COMMUNICATION = "communication"
    PAYMENTS = "payments"
    AI = "ai"
    STORAGE = "storage"
    ANALYTICS = "analytics"
    MONITORING = "monitoring"


class Priority(IntEnum):
    """How prominently a catalogue shows a provider; 1 comes first."""

    CORE = 1
    COMMON = 2
    SPECIAL = 3


class FieldKind(StrEnum):
    """How a field is entered, checked and stored."""

    SECRET = "secret"  # noqa: S105  a kind of field
    TEXT = "text"
    URL = "url"
    CHOICE = "choice"
    BOOLEAN = "boolean"
    JSON = "json"
    FILE = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """
    One credential or settings field.

    `pattern` is a full-match regular expression. `in_query` says the vendor takes this secret only in the
    query string. `destination` says the value names a host that may receive the credential (base URLs).
    `found_by_check` says the live check fills it when it is left empty.
    """

    name: str
    label: str
    kind: FieldKind = FieldKind.TEXT
    required: bool = False
    pattern: str = ""
    help: str = ""
    example: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    default: str = ""
    max_length: int = 4000
    in_query: bool = False
    destination: bool = False
    found_by_check: bool = False

    @property
    def is_secret(self) -> bool:
        """Whether the value is write-only."""
        return self.kind is FieldKind.SECRET


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyAuth:
    """A static key in a header; `field` names the credential field that holds it."""

    field: str
    header: str = "Authorization"
    scheme: str = "Bearer"


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth2Auth:
    """
    OAuth 2 authorization code. `margin_s` is how long before its end a token is refreshed.

    `rotates` says that a refresh spends the refresh token and answers with a new one.
    """

    authorize_role: str
    token_role: str
    scopes: tuple[str, ...] = ()
    pkce: bool = False
    rotates: bool = False
    margin_s: float = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccountAuth:
    """A signed assertion made from a JSON key in `field`."""

    field: str
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DsnAuth:
    """The key is part of an address in `field`."""

    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MutualTlsAuth:
    """A client certificate and key, and optionally OAuth client credentials on top."""

    certificate_field: str
    key_field: str


Auth = ApiKeyAuth | OAuth2Auth | ServiceAccountAuth | DsnAuth | MutualTlsAuth


class Scope(StrEnum):
    """What a vendor counts a limit by."""

    APP = "app"
    PORTFOLIO = "portfolio"
    ACCOUNT = "account"
    RECIPIENT = "recipient"


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """`count` calls per `per_s` seconds, by `scope`; `operations` empty means all of them."""

    scope: Scope
    count: int
    per_s: float
    burst: int | None = None
    operations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSpec:
    """
    How a vendor's webhooks are verified, named and told apart.

    `secret_field` is the credential field that verifies the signature, `challenge_field` the one that answers
    a subscription challenge. `delivery_id_header` names a header unique per delivery; without one the body's
    digest serves, unless `repeats` says that equal bytes may be different facts. `signs_time` with
    `tolerance_s` makes a stale delivery refused. Without `signs_body` the signature covers less than the body, so that
    nothing in it is believed but what the vendor's API says when it is asked.
    """

    signature: str
    signature_header: str
    secret_field: str
    events: tuple[str, ...]
    routing_key: str
    event_key: str
    challenge_field: str | None = None
    delivery_id_header: str | None = None
    repeats: bool = False
    signs_body: bool = True
    signs_time: bool = False
    tolerance_s: float = 300.0
    response_time_s: float = 5.0
    max_bytes: int = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRule:
    """
    One line of a vendor's error table: the first rule that matches decides.

    A condition left out matches anything; `codes` may hold numbers, texts and ranges. `wait_s` is the vendor's
    usual wait, used when the answer names none; each further wait is `wait_factor` times the last. `scope` says
    what is held back where that is narrower than the integration (one recipient). `remedy` replaces the class's
    text for the user.
    """

    error: type[ProviderError]
    statuses: tuple[int | range, ...] = ()
    codes: tuple[int | str | range, ...] = ()
    subcodes: tuple[int | str, ...] = ()
    exceptions: tuple[str, ...] = ()
    reason: str = ""
    wait_s: float | None = None
    wait_factor: float = 2.0
    scope: Scope | None = None
    remedy: str = ""

    def matches(self, error: VendorError, *, exception: str = "") -> bool:
        """Whether every condition of this rule holds; an error from a webhook has status 0."""
        return (
            (not self.statuses or _is_among(error.status, self.statuses))
            and (not self.codes or _is_among(error.code, self.codes))
            and (not self.subcodes or _is_among(error.subcode, self.subcodes))
            and (not self.exceptions or exception in self.exceptions)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSpec:
    """
    How often to check, in seconds, and what one check costs in money (0: free).

    Every provider must state the cost: the clock never makes a check that costs something, or might.
    """

    period_s: float = 900.0
    cost: float | None = None

    @property
    def is_free(self) -> bool:
        """Whether the clock may check."""
        return self.cost == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageUnit:
    """A unit that is counted per integration and day, such as messages sent."""

    name: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRule:
    """A vendor call that customers may make through us: method and path pattern."""

    method: str
    path: str
    help: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFlow:
    """Personal data that goes to the vendor: what, whose, why, where, by which LGPD transfer mechanism."""

    data: str
    subjects: str
    purpose: str
    country: str
    mechanism: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSpec:
    """
    Everything true of a vendor that is not behaviour.

    `key` is the module's name, a URL part, a database value and the fixture folder; it never changes.
    `hosts` maps a role to a base URL; the role "api" is the default of an outbound call unless
    `default_role` names another. `deadlines` gives seconds per operation; others have 20.
    """

    key: str
    label: str
    category: Category
    priority: Priority
    docs_url: str
    api_version: str
    auth: Auth
    credentials: tuple[Field, ...]
    settings: tuple[Field, ...] = ()
    hosts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    default_role: str = "api"
    deadlines: Mapping[str, float] = dataclasses.field(default_factory=dict)
    limits: tuple[RateLimit, ...] = ()
    webhook: WebhookSpec | None = None
    errors: tuple[ErrorRule, ...] = ()
    health: HealthSpec = HealthSpec()
    usage: tuple[UsageUnit, ...] = ()
    proxy: tuple[ProxyRule, ...] = ()
    regions: tuple[str, ...] = ()
    compliance: tuple[str, ...] = ()
    data: tuple[DataFlow, ...] = ()

    def field(self, name: str) -> Field:
        """Find a credential or settings field by name."""
        return next(item for item in (*self.credentials, *self.settings) if item.name == name)

    def rule_for(self, error: VendorError, *, exception: str = "") -> ErrorRule | None:
        """Find the first line of the error table that matches; also used for errors that come by webhook."""
        return next((rule for rule in self.errors if rule.matches(error, exception=exception)), None)


def _is_among(value: int | str | None, wanted: tuple[int | str | range, ...]) -> bool:
    number = int(value) if isinstance(value, str) and value.isdecimal() and len(value) < _LONGEST_CODE else value
    return any(number in item if isinstance(item, range) else item in (value, number) for item in wanted)
