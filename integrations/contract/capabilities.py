"""
What a provider can do, one mixin each. A verb of a category (sending, charging) is in that category's contract.

Class methods work for an app or an unborn integration; instance methods need the IntegrationContext.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from core.secret import Secret
from integrations.contract.provider import Outbound
from integrations.contract.results import (
    Account,
    AppContext,
    Attempt,
    InboundEvent,
    InboundRequest,
    NewCredential,
    RegisteredWebhook,
    TokenSet,
    WebhookState,
)


class ReceivesWebhooks(ABC):
    """The vendor posts facts to us."""

    @classmethod
    @abstractmethod
    def verify(cls, request: InboundRequest, secrets: Sequence[Secret]) -> None:
        """
        Check the signature over the raw bytes; any of the secrets may match.

        :raises SignatureRefused: missing, malformed, stale or wrong
        """

    @classmethod
    @abstractmethod
    def parse(cls, request: InboundRequest) -> Sequence[InboundEvent]:
        """
        Turn one delivery into events, in the vendor's order. Pure: the same bytes give the same events.

        :raises UnexpectedResponse: the body is not of the documented shape
        """


class AnswersChallenge(ABC):
    """The vendor asks once with GET whether the URL is ours."""

    @classmethod
    @abstractmethod
    def answer_challenge(cls, request: InboundRequest, verify_token: Secret) -> str:
        """
        Return the text the vendor wants to read.

        :raises SignatureRefused: the token differs or the question is malformed
        """


class SharesCallback(ABC):
    """One callback of the platform's app carries facts of many organizations."""

    @classmethod
    @abstractmethod
    def split(cls, request: InboundRequest) -> Mapping[str, InboundRequest]:
        """
        Cut one delivery into one per account key, each parseable by `parse`. Runs in the worker.

        :raises UnexpectedResponse: the body is not of the documented shape
        """


class FetchesDetails(ABC):
    """Webhooks are thin; the fact itself is read from the API."""

    @abstractmethod
    def fetch(self, event: InboundEvent) -> InboundEvent:
        """Return the event with `data` filled and `thin` false; runs outside any transaction."""


class RegistersWebhook(ABC):
    """Our webhook URL is registered through the vendor's API. A subclass may override `has_webhook`."""

    def has_webhook(self) -> bool:
        """Tell whether this integration is of a kind that the vendor posts to; where false, nobody asks the rest."""
        return True

    @abstractmethod
    def register_webhook(self, url: str) -> RegisteredWebhook:
        """Make the vendor post to `url`; safe to repeat."""

    @abstractmethod
    def unregister_webhook(self) -> None:
        """Stop the vendor from posting; safe when nothing is registered."""

    @abstractmethod
    def inspect_webhook(self) -> WebhookState:
        """Ask the vendor where it posts now."""


class ConnectsByOAuth(ABC):
    """An account is connected by the vendor's OAuth dialog."""

    @classmethod
    @abstractmethod
    def authorize_url(cls, app: AppContext, attempt: Attempt) -> str:
        """Build the address of the vendor's dialog, on the app's `base_urls`."""

    @classmethod
    @abstractmethod
    def exchange_code(cls, app: AppContext, outbound: Outbound, attempt: Attempt) -> TokenSet:
        """Trade the code of a returned attempt for tokens."""

    @classmethod
    @abstractmethod
    def list_accounts(cls, app: AppContext, outbound: Outbound, tokens: TokenSet) -> Sequence[Account]:
        """List the accounts these tokens control."""


class RefreshesTokens(ABC):
    """Access tokens end and are renewed."""

    @abstractmethod
    def refresh(self) -> TokenSet:
        """Return new tokens; called by one winner at a time."""


class RotatesCredential(ABC):
    """A new key can be made by API beside the old one: mint, prove, switch, retire."""

    @abstractmethod
    def mint(self) -> NewCredential:
        """Make a second credential at the vendor."""

    @abstractmethod
    def retire(self, old: NewCredential) -> None:
        """Remove the old credential at the vendor; safe when it is gone."""


class Reconciles(ABC):
    """Facts missed by webhooks can be listed."""

    @abstractmethod
    def list_since(self, when: datetime) -> Iterable[InboundEvent]:
        """List facts since a moment, with the same keys that the webhooks carry."""
