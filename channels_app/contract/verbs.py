"""The verbs of the communication category, one mixin each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from channels_app.contract.outgoing import (
    AccountReport,
    BusinessProfile,
    MediaContent,
    MessageType,
    OutgoingMessage,
    SentMessage,
    TemplateDraft,
    TemplateInfo,
)


class SendsMessages(ABC):
    """Messages go to people. `window_s` is how long after a person wrote anything may be sent; None: always."""

    window_s: ClassVar[float | None] = None
    types_outside_window: ClassVar[frozenset[MessageType]] = frozenset(MessageType)

    @classmethod
    @abstractmethod
    def check_message(cls, message: OutgoingMessage) -> None:
        """
        Check a message against the vendor's limits, without a call; asked before a message is accepted.

        :raises RequestRejected: with the field, the reason and what to do
        """

    @abstractmethod
    def send(self, message: OutgoingMessage) -> SentMessage:
        """
        Send one message, once.

        :raises Unavailable: perhaps sent; look for a status that carries our id before sending again
        """

    @abstractmethod
    def mark_as_read(self, external_id: str) -> None:
        """Show a person that their message, and what they wrote before it, was read."""

    @abstractmethod
    def send_typing(self, external_id: str) -> None:
        """Show that an answer to this message is being written; it counts as read."""


class HandlesMedia(ABC):
    """Files are kept at the vendor for a while."""

    @abstractmethod
    def upload_media(self, content: bytes, *, mime_type: str, filename: str) -> str:
        """Upload a file and return its id at the vendor."""

    @abstractmethod
    def download_media(self, media_id: str, *, sha256: str = "") -> MediaContent:
        """
        Download a file and verify its size and digest.

        :param sha256: the digest the webhook named, base64 or hexadecimal
        :raises UnexpectedResponse: the bytes are not those that were announced
        """

    @abstractmethod
    def delete_media(self, media_id: str) -> None:
        """Delete a file at the vendor; safe when it is gone."""


class ManagesTemplates(ABC):
    """Templates are approved by the vendor before they may be sent."""

    @abstractmethod
    def list_templates(self) -> Sequence[TemplateInfo]:
        """List all templates of the account."""

    @abstractmethod
    def create_template(self, draft: TemplateDraft) -> TemplateInfo:
        """Submit a template; approval comes later, by webhook."""

    @abstractmethod
    def edit_template(self, external_id: str, *, category: str = "", components: Sequence[Mapping[str, Any]]) -> None:
        """Change a template; it is approved anew."""

    @abstractmethod
    def delete_template(self, name: str, *, external_id: str = "") -> None:
        """Delete a template: one language by its id, all of them without."""


class EditsProfile(ABC):
    """The business shows a profile."""

    @abstractmethod
    def get_profile(self) -> BusinessProfile:
        """Read the profile."""

    @abstractmethod
    def update_profile(self, profile: BusinessProfile) -> None:
        """Change the fields that are not None."""


class ReportsAccount(ABC):
    """The vendor grades the account."""

    @abstractmethod
    def report_account(self) -> AccountReport:
        """Ask for quality, limits and whether messages can be sent."""


class RegistersNumber(ABC):
    """A phone number is switched on and off at the vendor."""

    @abstractmethod
    def register_number(self, pin: str) -> None:
        """Switch the number on with its six-digit pin."""

    @abstractmethod
    def deregister_number(self) -> None:
        """Switch the number off."""

    @abstractmethod
    def set_pin(self, pin: str) -> None:
        """Set the six-digit pin of the number's two-step verification."""


class BlocksContacts(ABC):
    """People can be kept from writing."""

    @abstractmethod
    def block_contacts(self, contacts: Sequence[str]) -> None:
        """Block people by phone or user id."""

    @abstractmethod
    def unblock_contacts(self, contacts: Sequence[str]) -> None:
        """Let people write again."""

    @abstractmethod
    def list_blocked(self) -> Sequence[str]:
        """List the blocked people's ids."""
