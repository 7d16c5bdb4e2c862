"""WhatsApp Cloud API: one phone number of one WhatsApp Business Account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from channels_app.contract import (
    AccountReport,
    BlocksContacts,
    BusinessProfile,
    EditsProfile,
    HandlesMedia,
    ManagesTemplates,
    MediaContent,
    MessageType,
    OutgoingMessage,
    RegistersNumber,
    ReportsAccount,
    SendsMessages,
    SentMessage,
    TemplateDraft,
    TemplateInfo,
)
from channels_app.providers import _meta, _whatsapp_check, _whatsapp_messages, _whatsapp_webhook
from channels_app.providers._meta_json import items, obj, split_body, text
from channels_app.providers._whatsapp_api import PAGE, CloudApi, segment
from channels_app.providers._whatsapp_events import account_key, read_events
from channels_app.providers._whatsapp_media import DOCUMENT_BYTES, check_upload, verified
from channels_app.providers._whatsapp_people import phone
from channels_app.providers._whatsapp_spec import DAY_S, SPEC
from core.secret import Secret
from integrations.contract import (
    Account,
    AnswersChallenge,
    CheckResult,
    InboundEvent,
    InboundRequest,
    IntegrationContext,
    LimitReading,
    NotFound,
    OutboundResponse,
    Provider,
    ProviderSpec,
    ReceivesWebhooks,
    RegisteredWebhook,
    RegistersWebhook,
    RequestRejected,
    Scope,
    SharesCallback,
    UnexpectedResponse,
    VendorError,
    WebhookState,
    read_json_object,
)

TEMPLATE_FIELDS = "id,name,language,status,category,components,quality_score,rejected_reason"
PROFILE_FIELDS = "about,address,description,email,profile_picture_url,websites,vertical"

_OWNERS = {Scope.APP: "app_id", Scope.PORTFOLIO: "waba_id"}
"""Scope of a limit -> the setting that names whose it is."""

WHATSAPP = {"messaging_product": "whatsapp"}


class WhatsAppProvider(
    SendsMessages,
    HandlesMedia,
    ManagesTemplates,
    EditsProfile,
    ReportsAccount,
    RegistersNumber,
    BlocksContacts,
    RegistersWebhook,
    SharesCallback,
    AnswersChallenge,
    ReceivesWebhooks,
    Provider,
):
    """WhatsApp: messages, files, templates, profile and number of one integration."""

    spec: ClassVar[ProviderSpec] = SPEC
    window_s: ClassVar[float | None] = DAY_S
    types_outside_window: ClassVar[frozenset[MessageType]] = frozenset({MessageType.TEMPLATE})

    @cached_property
    def api(self) -> CloudApi:
        """The calls of this integration."""
        return CloudApi(self.integration, self.outbound)

    def check(self) -> CheckResult:
        """
        Prove token, number and account: four or five free calls.

        :raises ProviderError: naming the field of the form that is to blame
        """
        return _whatsapp_check.run_check(self.api)

    def probe(self) -> Account | None:
        """
        Read the number, which takes a token of its account; ask for the whole check when it is not perfectly well.

        :raises ProviderError: the token may not read it
        """
        return _whatsapp_check.run_probe(self.api)

    @classmethod
    def read_error(cls, response: OutboundResponse) -> VendorError:
        """Read a Graph error and the wait that its usage headers name."""
        return _meta.read_error(response)

    @classmethod
    def read_limits(cls, response: OutboundResponse) -> Sequence[LimitReading]:
        """Read Meta's usage headers."""
        return _meta.read_limits(response)

    @classmethod
    def limit_owner(cls, integration: IntegrationContext, scope: Scope) -> str:
        """Name the Meta app and the WhatsApp Business Account, which several numbers may share."""
        return str(integration.settings.get(_OWNERS.get(scope, ""), "") or "")

    @classmethod
    def verify(cls, request: InboundRequest, secrets: Sequence[Secret]) -> None:
        """Check X-Hub-Signature-256 over the raw bytes with the app's secret; any of them may match."""
        _meta.verify_signature(request, secrets)

    @classmethod
    def answer_challenge(cls, request: InboundRequest, verify_token: Secret) -> str:
        """Return `hub.challenge` when the verify token is ours."""
        return _meta.answer_challenge(request, verify_token)

    @classmethod
    def parse(cls, request: InboundRequest) -> Sequence[InboundEvent]:
        """
        Turn one callback into events: every entry, change, message, status and error; nothing is dropped.

        :raises UnexpectedResponse: not JSON, not an object, or not storable
        """
        return read_events(read_json_object(request.body), body=request.body)

    @classmethod
    def split(cls, request: InboundRequest) -> Mapping[str, InboundRequest]:
        """Cut one callback by phone number and account; what names neither is under ""."""
        return split_body(request, account_key=account_key)

    def register_webhook(self, url: str) -> RegisteredWebhook:
        """Set `url` as the override of the account, or of the number where the account's serves another one."""
        return _whatsapp_webhook.register(self.api, url)

    def unregister_webhook(self) -> None:
        """Remove our override; end the subscription when no other number needs it."""
        _whatsapp_webhook.unregister(self.api)

    def inspect_webhook(self) -> WebhookState:
        """Ask where messages of this number are posted."""
        return _whatsapp_webhook.inspect(self.api)

    @classmethod
    def check_message(cls, message: OutgoingMessage) -> None:
        """Check recipient, lengths and required members of a message."""
        _whatsapp_messages.check_message(message)

    def send(self, message: OutgoingMessage) -> SentMessage:
        """
        Send one message; our id travels as `biz_opaque_callback_data` and comes back in its statuses.

        The Cloud API knows no idempotency key: after Unavailable look for a status before sending again.
        """
        body = _whatsapp_messages.write_message(message)
        answer = self._post_message(body, operation="send", subject=text(body.get("to") or body.get("recipient")))
        sent, contact = _first(answer, "messages"), _first(answer, "contacts")
        if not _is_answer_to(contact, body):
            contact = {}
        if not text(sent.get("id")):
            raise UnexpectedResponse("the answer to a send names no message id")
        return SentMessage(
            external_id=text(sent.get("id")),
            phone=phone(contact.get("wa_id")),
            bsuid=text(contact.get("user_id")) or None,
            vendor_status=text(sent.get("message_status")),
        )

    def mark_as_read(self, external_id: str) -> None:
        """Mark a message of the last 30 days, and what came before it, as read."""
        self._post_message({**WHATSAPP, "status": "read", "message_id": external_id}, operation="mark_as_read")

    def send_typing(self, external_id: str) -> None:
        """Show typing for 25 s or until the answer; marks the message as read too."""
        body = {**WHATSAPP, "status": "read", "message_id": external_id, "typing_indicator": {"type": "text"}}
        self._post_message(body, operation="send_typing")

    def upload_media(self, content: bytes, *, mime_type: str, filename: str) -> str:
        """Upload a file, which lives 30 days, and return its id."""
        check_upload(content, mime_type=mime_type)
        answer = self.api.call(
            "POST",
            f"/{self.api.phone_number_id}/media",
            operation="upload_media",
            data={**WHATSAPP, "type": mime_type},
            files={"file": (filename, content, mime_type)},
        )
        return _required(answer, "id")

    def download_media(self, media_id: str, *, sha256: str = "") -> MediaContent:
        """Download a file whose address, good for five minutes, is asked for first; its host must be Meta's."""
        about = self.api.get(f"/{segment(media_id, field='media_id')}", operation="read_media")
        response = self.outbound.request(
            "GET",
            _required(about, "url"),
            operation="download_media",
            role="media",
            bearer=self.api.access_token,
            max_bytes=DOCUMENT_BYTES,
        )
        return verified(response.body, announced=about, sha256=sha256)

    def delete_media(self, media_id: str) -> None:
        """Delete a file; one that is gone already is fine."""
        try:
            self.api.delete(f"/{segment(media_id, field='media_id')}", operation="delete_media")
        except NotFound:
            return

    def list_templates(self) -> Sequence[TemplateInfo]:
        """List all templates of the account, page by page."""
        path = f"/{self.api.waba_id}/message_templates"
        rows = self.api.pages(path, operation="list_templates", params={"fields": TEMPLATE_FIELDS, **PAGE})
        return [_template(row) for row in rows]

    def create_template(self, draft: TemplateDraft) -> TemplateInfo:
        """Submit a template; its approval arrives by webhook."""
        body = {
            "name": draft.name,
            "language": draft.language,
            "category": draft.category.upper(),
            "components": [dict(component) for component in draft.components],
        }
        answer = self.api.post(f"/{self.api.waba_id}/message_templates", body, operation="create_template")
        _required(answer, "id")
        return _template({**body, **answer})

    def edit_template(self, external_id: str, *, category: str = "", components: Sequence[Mapping[str, Any]]) -> None:
        """Change a template's components and perhaps its category; it is reviewed anew."""
        body: dict[str, Any] = {"components": [dict(component) for component in components]}
        if category:
            body["category"] = category.upper()
        self.api.post(f"/{segment(external_id, field='template')}", body, operation="edit_template")

    def delete_template(self, name: str, *, external_id: str = "") -> None:
        """Delete one language by its id, or all of a name; an approved name stays blocked for 30 days."""
        params = {"name": name, **({"hsm_id": external_id} if external_id else {})}
        self.api.delete(f"/{self.api.waba_id}/message_templates", operation="delete_template", params=params)

    def get_profile(self) -> BusinessProfile:
        """Read the business profile."""
        answer = self.api.get(self._profile_path, operation="get_profile", params={"fields": PROFILE_FIELDS})
        data = _first(answer, "data")
        return BusinessProfile(
            about=text(data.get("about")) or None,
            address=text(data.get("address")) or None,
            description=text(data.get("description")) or None,
            email=text(data.get("email")) or None,
            websites=tuple(text(site) for site in items(data.get("websites"))),
            vertical=text(data.get("vertical")) or None,
            picture_url=text(data.get("profile_picture_url")) or None,
        )

    def update_profile(self, profile: BusinessProfile) -> None:
        """Change the profile's fields that are not None."""
        _whatsapp_messages.check_profile(profile)
        fields = ("about", "address", "description", "email", "websites", "vertical")
        changes = {name: value for name in fields if (value := getattr(profile, name)) is not None}
        if not changes:
            return
        self.api.post(self._profile_path, {**WHATSAPP, **changes}, operation="update_profile")

    def report_account(self) -> AccountReport:
        """Ask for quality, messaging limit, throughput and health of the number."""
        return _whatsapp_check.report_account(self.api)

    def list_phone_numbers(self) -> Sequence[Mapping[str, str]]:
        """List the account's numbers: id, display_phone_number, verified_name, quality_rating."""
        fields = ("id", "display_phone_number", "verified_name", "quality_rating")
        params = {"fields": ",".join(fields), **PAGE}
        rows = self.api.pages(f"/{self.api.waba_id}/phone_numbers", operation="list_phone_numbers", params=params)
        return [{name: text(row.get(name)) for name in fields} for row in rows]

    def register_number(self, pin: str) -> None:
        """Register the number for the Cloud API."""
        self.api.post(f"/{self.api.phone_number_id}/register", {**WHATSAPP, "pin": pin}, operation="register_number")

    def deregister_number(self) -> None:
        """Take the number off the Cloud API."""
        self.api.post(f"/{self.api.phone_number_id}/deregister", WHATSAPP, operation="deregister_number")

    def set_pin(self, pin: str) -> None:
        """Set the pin of two-step verification; it cannot be read back."""
        self.api.post(f"/{self.api.phone_number_id}", {"pin": pin}, operation="set_pin")

    def block_contacts(self, contacts: Sequence[str]) -> None:
        """Block people who wrote in the last 24 hours."""
        self._change_blocks("POST", contacts, operation="block_contacts")

    def unblock_contacts(self, contacts: Sequence[str]) -> None:
        """Let people write again."""
        self._change_blocks("DELETE", contacts, operation="unblock_contacts")

    def list_blocked(self) -> Sequence[str]:
        """List blocked people by phone, or by user id."""
        rows = self.api.pages(self._blocks_path, operation="list_blocked", params=PAGE)
        return [phone(row.get("wa_id")) or text(row.get("user_id")) or text(row.get("wa_id")) for row in rows]

    @property
    def _profile_path(self) -> str:
        return f"/{self.api.phone_number_id}/whatsapp_business_profile"

    @property
    def _blocks_path(self) -> str:
        return f"/{self.api.phone_number_id}/block_users"

    def _post_message(self, body: Mapping[str, Any], *, operation: str, subject: str = "") -> Mapping[str, Any]:
        return self.api.post(f"/{self.api.phone_number_id}/messages", body, operation=operation, subject=subject)

    def _change_blocks(self, method: str, contacts: Sequence[str], *, operation: str) -> None:
        body = {**WHATSAPP, "block_users": [{"user": contact} for contact in contacts]}
        answer = self.api.call(method, self._blocks_path, operation=operation, json=body)
        failed = [obj(user) for user in items(obj(answer.get("block_users")).get("failed_users"))]
        if failed:
            raise RequestRejected(
                f"{len(failed)} of {len(contacts)} people were not changed",
                field="contacts",
                reason="not_blockable",
                next_action="Only people who wrote to this number in the last 24 hours can be blocked.",
            )


def _first(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return obj(next(iter(items(answer.get(name))), None))


def _is_answer_to(contact: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Whether an answer speaks of the person we wrote to: it repeats what we gave. Nobody else's ids are learned."""
    given, asked = text(contact.get("input")), text(body.get("to") or body.get("recipient"))
    return not given or given == asked or (phone(given) is not None and phone(given) == phone(asked))


def _required(answer: Mapping[str, Any], name: str) -> str:
    value = text(answer.get(name))
    if not value:
        raise UnexpectedResponse(f"the answer lacks {name}")
    return value


def _template(row: Mapping[str, Any]) -> TemplateInfo:
    reason = text(row.get("rejected_reason"))
    return TemplateInfo(
        external_id=text(row.get("id")),
        name=text(row.get("name")),
        language=text(row.get("language")),
        status=text(row.get("status")).lower(),
        category=text(row.get("category")).lower(),
        components=tuple(component for component in items(row.get("components")) if isinstance(component, dict)),
        quality=text(obj(row.get("quality_score")).get("score")).lower(),
        reason="" if reason == "NONE" else reason,
    )


PROVIDER = WhatsAppProvider
