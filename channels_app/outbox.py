"""
The outside work of channels: sending, marking as read, typing, fetching files.

No idempotency key exists for sending. The intent is committed before the call; where nobody knows whether a message
went out, a status that carries our id is waited for, and the message is failed rather than sent twice.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

from django.db import transaction

from channels_app import usage
from channels_app.contract import (
    Content,
    HandlesMedia,
    Media,
    MediaContent,
    MessageType,
    OutgoingMessage,
    SendsMessages,
    SentMessage,
    read_content,
)
from channels_app.models import OUTCOME_UNKNOWN, MediaState, Message, MessageStatus
from channels_app.services import media, people, records, standing, statuses
from channels_app.services.readiness import instance_with
from channels_app.services.sending import address_of, check_still_allowed
from channels_app.services.statuses import SEND
from core import clock
from core.errors import NotFoundHere, ValidationFailed
from core.fault_points import reach
from core.pace import scaled
from dispatch.models import OutboxEntry, OutboxStatus
from integrations.contract import (
    Misconfigured,
    ProviderError,
    RequestRejected,
    Unavailable,
    UnexpectedResponse,
)
from integrations.models import Integration
from storage import services as storage
from storage.models import StoredFile
from tenants.context import release_connection

NO_LONGER_ALLOWED = "no_longer_allowed"
"""The reason of a message that was accepted and then waited until a rule of the channel forbade it."""

MAYBE_SENT = "maybe_sent"
"""The reason that the guard gives a failure after which the vendor may have done what was asked."""

LOOK_AGAIN_S = scaled(60)
LOOK_FOR = timedelta(seconds=scaled(300))
"""How long a status is waited for: nearly all come within seconds of the send."""

VENDOR_MEDIA = "vendor_media_id"


class OutcomeUnknown(ProviderError):
    """Nobody can say whether the message was sent, and waiting longer will not help."""

    api_code = "provider_unavailable"
    message = "The connection broke while this message was sent, and no status has come since: it may have arrived."
    next_action = "Ask the person, or send it again if it may arrive twice."


class SendMessage:
    """
    Send one queued message, once; by no other integration, for the person knows one number.

    The channel's rules are asked again right before: what waited may find its window closed.
    """

    opens_issue: ClassVar[bool] = True

    def call(self, entry: OutboxEntry, integration: Integration | None) -> SentMessage | None:
        """
        Send; None when a status said meanwhile what became of the message.

        :raises ProviderError: its class decides about another try
        """
        message = _message(entry)
        if integration is None or message.external_id or message.status != MessageStatus.QUEUED:
            return None
        if entry.intent_at is not None:
            raise _still_unknown(entry)
        _check_again(message)
        provider = instance_with(integration, SendsMessages)
        outgoing = _with_vendor_media(_outgoing(message), provider, entry, integration)
        _set_intent(entry)
        release_connection()
        reach("message.intended")
        try:
            return provider.send(outgoing)
        except ProviderError as error:
            raise _after_send(error, entry, integration) from error

    def settle(self, entry: OutboxEntry, integration: Integration | None, result: SentMessage | None) -> None:
        """Write the vendor's id and what it says of the person; apply statuses that overtook the answer."""
        message = _message(entry)
        if message.contact is not None and result is not None:
            people.note_answer(message.contact, phone=result.phone, bsuid=result.bsuid)
        locked = _locked(entry)
        if result is not None:
            statuses.lock_external_id(result.external_id)
            statuses.adopt(locked, result.external_id)
            if locked.move_to(MessageStatus.SENT, at=clock.now()):
                locked.save()
                statuses.publish_status(locked)
            statuses.note_earlier_statuses(locked)
        if locked.external_id and integration is not None:
            records.apply_to_target(locked)
            usage.count(integration, usage.MESSAGES_OUT)

    def give_up(self, entry: OutboxEntry, integration: Integration | None, error: ProviderError) -> None:
        """Fail or expire the message with the error, and draw the consequences for the integration."""
        message = _locked(entry)
        entry.refresh_from_db(fields=["intent_at"])
        if entry.intent_at is not None:
            told = statuses.error_of_exception(OutcomeUnknown(), reason=OUTCOME_UNKNOWN)
        else:
            told = statuses.error_of_exception(error)
        is_late = entry.expires_at is not None and entry.expires_at <= clock.now()
        status = MessageStatus.EXPIRED if is_late else MessageStatus.FAILED
        if statuses.mark_failed(message, told, at=clock.now(), status=status) and integration is not None:
            standing.note_error(integration, standing.described(error))


class MarkRead:
    """Show a person that they were read."""

    def call(self, entry: OutboxEntry, integration: Integration | None) -> None:
        """Tell the vendor; safe to repeat."""
        if integration is not None:
            instance_with(integration, SendsMessages).mark_as_read(_message(entry).external_id)

    def settle(self, entry: OutboxEntry, integration: Integration | None, result: None) -> None:
        """Nothing to write: the rows say read since somebody read them."""

    def give_up(self, entry: OutboxEntry, integration: Integration | None, error: ProviderError) -> None:
        """The entry's own status says it."""


class SendTyping(MarkRead):
    """Show a person that an answer is being written."""

    def call(self, entry: OutboxEntry, integration: Integration | None) -> None:
        """Tell the vendor; safe to repeat."""
        if integration is not None:
            instance_with(integration, SendsMessages).send_typing(_message(entry).external_id)


class DownloadMedia:
    """Fetch the file of an incoming message and keep it."""

    def call(self, entry: OutboxEntry, integration: Integration | None) -> storage.WrittenFile | None:
        """Fetch, verify and write the bytes; the row is added when that is settled."""
        message = _message(entry)
        if integration is None or message.media_state == MediaState.KEPT:
            return None
        content = message.content
        provider = instance_with(integration, HandlesMedia)
        found: MediaContent = provider.download_media(content["id"], sha256=content.get("sha256", ""))
        mime_type = found.mime_type or content.get("mime_type", "")
        name = content.get("filename") or f"{message.type}-{message.id.hex[-8:]}{storage.ending_of(mime_type)}"
        return storage.write_file(name=name, content_type=mime_type, content=found.content)

    def settle(self, entry: OutboxEntry, integration: Integration | None, result: storage.WrittenFile | None) -> None:
        """Add the file's row and point the message to it."""
        if result is None or integration is None:
            return
        file = storage.record_file(result, purpose=media.RECEIVED)
        message = _locked(entry)
        message.media_file_id, message.media_state = file.id, MediaState.KEPT
        message.save(update_fields=["media_file_id", "media_state"])
        usage.count(integration, usage.MEDIA_BYTES, result.size_bytes)

    def give_up(self, entry: OutboxEntry, integration: Integration | None, error: ProviderError) -> None:
        """Say at the message that its file did not come."""
        message = _locked(entry)
        message.media_state = MediaState.FAILED
        message.save(update_fields=["media_state"])


def fail_canceled(*, object_id: str, **kwargs: Any) -> None:
    """Fail what was canceled when its integration was disconnected, sends and files; told by publishing."""
    canceled = OutboxEntry.objects.filter(link_id=object_id, status=OutboxStatus.CANCELED)
    sends, files = (
        list(canceled.filter(kind=kind).values_list("object_id", flat=True)) for kind in (SEND, records.DOWNLOAD)
    )
    unfetched = Message.objects.filter(pk__in=files, media_state=MediaState.WAITING)
    unfetched.update(media_state=MediaState.FAILED)
    rows = Message.objects.select_for_update(of=("self",)).select_related("contact")
    for message in rows.filter(pk__in=sends, status=MessageStatus.QUEUED):
        statuses.mark_failed(message, statuses.error_of_exception(_DISCONNECTED), at=clock.now())


_DISCONNECTED = Misconfigured(
    "the integration was disconnected", next_action="Connect the account again, then send the message again."
)


def _message(entry: OutboxEntry) -> Message:
    return Message.objects.select_related("contact", "conversation").get(pk=entry.object_id)


def _locked(entry: OutboxEntry) -> Message:
    rows = Message.objects.select_for_update(of=("self",)).select_related("contact", "integration")
    return rows.get(pk=entry.object_id)


def _check_again(message: Message) -> None:
    """
    Refuse what the channel's rules no longer allow.

    :raises RequestRejected: with the remedy; nothing was sent
    """
    try:
        check_still_allowed(message)
    except ValidationFailed as error:
        raise RequestRejected(
            error.detail, field=next(iter(error.errors), ""), reason=NO_LONGER_ALLOWED, next_action=error.detail
        ) from error


def _outgoing(message: Message) -> OutgoingMessage:
    kind = MessageType(message.type)
    try:
        to = message.conversation.group_id or address_of(message.contact)
    except ValidationFailed as error:
        raise RequestRejected(error.detail, field="to", next_action=error.detail) from error
    return OutgoingMessage(
        id=str(message.id),
        to=to,
        type=kind,
        content=read_content(kind, message.content),
        reply_to="" if kind is MessageType.REACTION else message.reply_to,
    )


def _with_vendor_media(
    outgoing: OutgoingMessage, provider: Any, entry: OutboxEntry, integration: Integration
) -> OutgoingMessage:
    """Upload the file that a message names by our id; a retried send uses what was uploaded before."""
    content: Content = outgoing.content
    file_id = media.own_file_id(content)
    if file_id is None or not isinstance(content, Media) or not isinstance(provider, HandlesMedia):
        return outgoing
    vendor_id = entry.details.get(VENDOR_MEDIA, "")
    if not vendor_id:
        file, data = _file(file_id)
        release_connection()
        vendor_id = provider.upload_media(data, mime_type=file.content_type, filename=content.filename or file.name)
        entry.details = {**entry.details, VENDOR_MEDIA: vendor_id}
        OutboxEntry.objects.filter(pk=entry.pk, lease_id=entry.lease_id).update(details=entry.details)
        usage.count(integration, usage.MEDIA_BYTES, file.size_bytes)
    return replace(outgoing, content=replace(content, id=vendor_id))


def _file(file_id: Any) -> tuple[StoredFile, bytes]:
    try:
        file = StoredFile.objects.get(pk=file_id)
        return file, storage.read_file(file)
    except (StoredFile.DoesNotExist, NotFoundHere) as error:
        raise RequestRejected(
            "the uploaded file is gone", field="id", next_action="Upload the file again, then send the message again."
        ) from error


def _set_intent(entry: OutboxEntry) -> None:
    """Commit that the call is about to be made; whoever lost the lease must not make it."""
    entry.intent_at = clock.now()
    mine = OutboxEntry.objects.filter(pk=entry.pk, lease_id=entry.lease_id).update(intent_at=entry.intent_at)
    if mine != 1:
        raise Unavailable("the lease ended before the call", reason="not_sent")


def _after_send(error: ProviderError, entry: OutboxEntry, integration: Integration) -> ProviderError:
    """Say what a failed send means: perhaps sent, to be looked for; or certainly not, and the class decides."""
    if _is_perhaps_sent(error):
        return Unavailable(error.internal, reason=MAYBE_SENT, retry_after_s=LOOK_AGAIN_S, trace_id=error.trace_id)
    entry.intent_at = None
    OutboxEntry.objects.filter(pk=entry.pk, lease_id=entry.lease_id).update(intent_at=None)
    if error.reason == standing.SPAM_LIMIT:
        with transaction.atomic():  # people must know at once, not after hours of waiting
            standing.note_error(integration, standing.described(error))
    return error


def _is_perhaps_sent(error: ProviderError) -> bool:
    """A vendor that names an error code answered, so it did not send; without one nobody knows."""
    if error.vendor_code:
        return False
    return isinstance(error, UnexpectedResponse) or (isinstance(error, Unavailable) and error.reason == MAYBE_SENT)


def _still_unknown(entry: OutboxEntry) -> ProviderError:
    """The call was made before and its answer is lost: keep looking for a status, then stop."""
    if entry.intent_at is not None and clock.now() - entry.intent_at < LOOK_FOR:
        return Unavailable("no status yet", reason=MAYBE_SENT, retry_after_s=LOOK_AGAIN_S)
    return OutcomeUnknown("no status came")


SEND_MESSAGE = SendMessage()
MARK_READ = MarkRead()
SEND_TYPING = SendTyping()
DOWNLOAD_MEDIA = DownloadMedia()
