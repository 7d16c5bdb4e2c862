"""The values that pass between the framework and a provider. Frozen; secrets only as `Secret`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core.secret import Secret, Secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountKey:
    """
    What a webhook names to say whose it is, such as ``phone_number:1065``.

    An exclusive key belongs to one integration on the whole platform. A `shared` key may serve several
    integrations of one organization (two numbers of one WhatsApp Business Account), never of two.
    """

    value: str
    shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account at the vendor, as it is shown and picked."""

    external_id: str
    label: str
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether one capability works with this credential, and if not, why and what to do."""

    capability: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """
    What a live check proved.

    `account_keys` are those this credential was shown to control, by a call that only the controller can
    make. `degraded` explains an account that works but not fully. `found` fills settings left empty.
    """

    account: Account
    account_keys: tuple[AccountKey, ...]
    verdicts: tuple[Verdict, ...]
    environment: str | None = None
    degraded: str = ""
    found: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundRequest:
    """One HTTP hit of a vendor: header names in lower case, raw body, our time of arrival."""

    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundEvent:
    """
    One fact in a webhook.

    `type` is normalized ("message.received") or "unknown"; `key` is the vendor's event key, the same for every
    redelivery; `account_key` says whose, and "" means whoever owns the link that received it (a vendor whose own
    endpoints name no account): such an event is never routed from a shared URL. `object_key` names the object on
    which handling is serialized. `data` is JSON in the shape its category documents, `raw` the vendor's own part.
    `thin` asks for `fetch`.
    """

    type: str
    key: str
    account_key: str
    occurred_at: datetime | None
    data: Mapping[str, Any]
    raw: Mapping[str, Any]
    object_key: str = ""
    external_id: str = ""
    thin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrationContext:
    """
    What an instance of a provider knows: ids, settings and opened secrets; no ORM object.

    Of an account that was connected through an OAuth app, `secrets` also has the app's: `client_id`, and its secrets
    by the names that the app keeps them under, but for those that are fields of the credential.
    """

    id: str
    provider: str
    environment: str
    settings: Mapping[str, Any]
    secrets: Secrets = field(repr=False)
    account_external_id: str = ""
    webhook_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppContext:
    """
    An OAuth app: the platform's or an organization's own.

    `base_urls` are the base URLs by role, the operator's overrides applied: for addresses that a browser opens.
    """

    provider: str
    client_id: str
    secrets: Secrets = field(repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)
    base_urls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One run of an OAuth dialog."""

    state: str
    redirect_uri: str
    scopes: tuple[str, ...] = ()
    code_challenge: str = ""
    code_verifier: Secret | None = field(default=None, repr=False)
    code: Secret | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSet:
    """Tokens of one grant; `refresh_token` is None when the vendor keeps the old one."""

    access_token: Secret = field(repr=False)
    refresh_token: Secret | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    scopes: tuple[str, ...] = ()
    account_external_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCredential:
    """A credential minted at the vendor beside the old one."""

    secrets: Secrets = field(repr=False)
    external_id: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredWebhook:
    """What a registration gave: our URL as the vendor knows it, its id there, new secrets to seal."""

    url: str
    external_id: str = ""
    secrets: Secrets = field(default_factory=lambda: Secrets({}), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookState:
    """What the vendor says about our webhook now."""

    registered: bool
    url: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorError:
    """The facts of an error answer by which the spec's rules decide."""

    status: int
    code: int | str | None = None
    subcode: int | str | None = None
    detail: str = ""
    trace_id: str = ""
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundResponse:
    """A vendor's answer, read whole under the byte cap; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """
        Parse the body.

        :raises ValueError: the body is not JSON
        """
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReport:
    """What the guard saw of one call; stored by the service, never holding a body or a query."""

    operation: str
    method: str
    url: str
    status: int | None
    duration_ms: float
    started_at: datetime
    error: str = ""
    vendor_code: str = ""
    trace_id: str = ""
    request_bytes: int = 0
    response_bytes: int = 0
