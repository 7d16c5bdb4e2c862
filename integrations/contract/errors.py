"""
Errors named by what to do next, each with its retry and who must act.

`message` is for the user: what happened and what to do, no internals. `internal` is for us. Neither holds
a secret or a body. A vendor's own explanation travels in `vendor_detail`, shown as it is.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Who(StrEnum):
    """Who must act before the call can succeed."""

    USER = "user"
    CALLER = "caller"
    NOBODY = "nobody"
    US = "us"


class ProviderError(Exception):
    """
    Root of everything a provider raises on purpose.

    Subclasses set the class facts; a rule or a provider may give the remedy, the vendor's code and a wait.
    `retry_after_s` grows by `wait_factor` with each try; `scope` says what is held back where that is narrower
    than the integration, such as one recipient.
    """

    card_word: ClassVar[str] = ""
    api_code: ClassVar[str] = "provider_response_unexpected"
    who: ClassVar[Who] = Who.US
    retryable: ClassVar[bool] = False
    message: ClassVar[str] = "The call to the provider failed."
    next_action: str = "Try again; if it keeps failing, write to support with the request id."
    if_given_up: ClassVar[str] = ""

    def __init__(
        self,
        internal: str = "",
        *,
        next_action: str = "",
        vendor_code: str = "",
        vendor_detail: str = "",
        retry_after_s: float | None = None,
        field: str | None = None,
        reason: str = "",
        trace_id: str = "",
        scope: str = "",
        wait_factor: float = 1.0,
    ) -> None:
        super().__init__(internal or self.message)
        self.internal = internal
        self.next_action = next_action or type(self).next_action
        self.vendor_code = vendor_code
        self.vendor_detail = vendor_detail
        self.retry_after_s = retry_after_s
        self.field = field
        self.reason = reason
        self.trace_id = trace_id
        self.scope = scope
        self.wait_factor = wait_factor

    @property
    def name(self) -> str:
        """The class's name, stored beside failed work and shown in lists."""
        return type(self).__name__

    @property
    def advice(self) -> str:
        """
        What to do for whoever waited for the answer, or whose work was given up.

        `next_action` may say that the work is tried again by itself; then nothing is.
        """
        is_default = self.next_action == type(self).next_action
        return self.if_given_up if is_default and self.if_given_up else self.next_action


class RateLimited(ProviderError):
    """The vendor asks us to slow down; wait `retry_after_s` or the class's default."""

    card_word = "rate_limit"
    api_code = "rate_limited"
    who = Who.NOBODY
    retryable = True
    message = "The provider limits how fast this account may call."
    next_action = "Nothing to do: the work is tried again when the limit allows."
    if_given_up = "Wait until the limit allows more calls, then try again."


class Unavailable(ProviderError):
    """The vendor failed this call for a passing reason: 5xx, timeout, DNS, TLS, a reset connection."""

    card_word = "temporary_failure"
    api_code = "provider_unavailable"
    who = Who.NOBODY
    retryable = True
    message = "The provider did not answer properly."
    next_action = "Nothing to do: the work is tried again by itself."
    if_given_up = "Try again in a minute; if it keeps failing, look at the provider's status page."


class ProviderOutage(Unavailable):
    """The vendor is down for many; work is held until the incident ends."""

    card_word = "provider_outage"
    message = "The provider is down."
    next_action = "Nothing to do: the work is held until the provider is back."
    if_given_up = "Try again when the provider is back; its status page says more."


class AuthenticationFailed(ProviderError):
    """The vendor does not accept the credential."""

    card_word = "authentication_error"
    api_code = "provider_authentication_failed"
    who = Who.USER
    message = "The provider does not accept this credential."
    next_action = "Reconnect the account with a valid credential."


class PermissionMissing(ProviderError):
    """The credential is real but may not do this."""

    card_word = "permission_error"
    api_code = "provider_permission_missing"
    who = Who.USER
    message = "The account or its credential lacks a permission."
    next_action = "Grant the permission at the provider, then test the connection again."


class QuotaExhausted(ProviderError):
    """The account's quota or money is used up; waiting does not help."""

    card_word = "quota_exhausted"
    api_code = "quota_exhausted"
    who = Who.USER
    message = "The account's quota at the provider is used up."
    next_action = "Raise the limit or pay the open balance at the provider."


class RequestRejected(ProviderError):
    """The vendor refuses this request as it is; `reason` names a normalized cause where there is one."""

    card_word = "invalid_request"
    api_code = "provider_rejected"
    who = Who.CALLER
    message = "The provider refused the request."
    next_action = "Correct the request; the same request will be refused again."


class NotFound(ProviderError):
    """The object does not exist at the vendor, or this credential cannot see it."""

    card_word = "not_found"
    api_code = "provider_not_found"
    who = Who.CALLER
    message = "The provider does not know this object, or this account may not see it."
    next_action = "Check the id and that it belongs to the connected account."


class Misconfigured(ProviderError):
    """The integration lacks something we need before a call makes sense; raised by us, not by the vendor."""

    api_code = "integration_not_ready"
    who = Who.USER
    message = "The integration is not ready for this."
    next_action = "Complete the integration's settings."


class UnexpectedResponse(ProviderError):
    """The vendor answered in a shape we do not know: ours to fix, the only one reported as a bug."""

    who = Who.US
    message = "The provider answered in a way we do not understand."


class SignatureRefused(ProviderError):
    """A webhook's signature is missing, malformed, stale or wrong. `reason` is one of those words."""

    api_code = "signature_refused"
    who = Who.CALLER
    message = "The signature of this webhook is not valid."
    next_action = "Sign the exact bytes of the body with the secret of this integration."
