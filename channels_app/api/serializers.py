"""The objects of channels as API.md section 4 writes them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from channels_app.api.contents import CONTENTS
from channels_app.contract import MessageType, SendsMessages
from channels_app.models import Contact, Conversation, Direction, MediaState, Message, MessageStatus, Template
from channels_app.services.records import US
from channels_app.services.templates import CATEGORIES
from integrations.api.fields import ClosedSetField, OptionalText, TimeField
from integrations.generate.strict import StrictSerializer
from storage.models import StoredFile

Data = serializers.Serializer[Any]

ERROR = {
    "type": ["object", "null"],
    "properties": {name: {"type": "string"} for name in ("code", "message", "next_action", "vendor_code", "reason")},
}
REACTIONS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "contact": {"type": ["string", "null"], "description": "null: the organization itself"},
            "emoji": {"type": "string"},
        },
    },
}
MEDIA = {
    "type": ["object", "null"],
    "properties": {
        "state": {"type": "string", "enum": list(MediaState.values)},
        "url": {"type": "string", "description": "Where the file is fetched once its state is kept."},
        "content_type": {"type": ["string", "null"]},
        "filename": {"type": ["string", "null"]},
    },
}


class MessageTypeField(ClosedSetField):
    """What may be sent."""

    values = tuple(kind.value for kind in MessageType)


class MessageStatusField(ClosedSetField):
    """How far a message has come."""

    values = tuple(MessageStatus.values)


class DirectionField(ClosedSetField):
    """Seen from the organization."""

    values = tuple(Direction.values)


class TemplateCategoryField(ClosedSetField):
    """What a template is for."""

    values = CATEGORIES

    def to_internal_value(self, data: Any) -> str:
        """Read a category, in capitals as well, which is how vendors write it."""
        return super().to_internal_value(data.lower() if isinstance(data, str) else data)


class ContactRefSerializer(serializers.ModelSerializer[Contact]):
    """Who is on the other side of a message."""

    phone = OptionalText()
    username = OptionalText()
    name = OptionalText()

    class Meta:
        model = Contact
        fields = ("id", "phone", "username", "name")


class ContactSerializer(ContactRefSerializer):
    """A person on the other side of one integration."""

    integration = serializers.UUIDField(source="integration_id")
    external_id = OptionalText(source="bsuid", help_text="The channel's own id of the person.")
    is_reachable = serializers.SerializerMethodField()
    created_at = TimeField()

    class Meta(ContactRefSerializer.Meta):
        fields = (  # type: ignore[assignment]
            *ContactRefSerializer.Meta.fields,
            "integration",
            "external_id",
            "marketing_stopped",
            "is_reachable",
            "created_at",
        )

    def get_is_reachable(self, contact: Contact) -> bool:
        """Whether the channel lets us write to them."""
        return not contact.blocked_reason


class ConversationSerializer(serializers.ModelSerializer[Conversation]):
    """All messages with one contact, or in one group."""

    integration = serializers.UUIDField(source="integration_id")
    contact = ContactRefSerializer(allow_null=True)
    group_id = OptionalText()
    last_text = OptionalText()
    last_message_at = TimeField(allow_null=True)
    last_inbound_at = TimeField(allow_null=True)
    window_closes_at = serializers.SerializerMethodField()
    created_at = TimeField()

    class Meta:
        model = Conversation
        fields = (
            "id",
            "integration",
            "contact",
            "group_id",
            "last_text",
            "last_message_at",
            "last_inbound_at",
            "window_closes_at",
            "unread_count",
            "created_at",
        )

    @extend_schema_field({"type": ["string", "null"], "format": "date-time"})
    def get_window_closes_at(self, conversation: Conversation) -> str | None:
        """Say until when free messages are taken; null where nobody wrote, or the channel knows no window."""
        provider = conversation.integration.provider_class
        window_s = provider.window_s if issubclass(provider, SendsMessages) else None
        last: datetime | None = conversation.last_inbound_at
        return TimeField().to_representation(last + timedelta(seconds=window_s)) if last and window_s else None


class MessageSerializer(serializers.ModelSerializer[Message]):
    """One message, in or out."""

    integration = serializers.UUIDField(source="integration_id")
    conversation = serializers.UUIDField(source="conversation_id")
    direction = DirectionField()
    text = OptionalText()
    content = serializers.DictField()
    status = MessageStatusField()
    external_id = OptionalText()
    contact = ContactRefSerializer(allow_null=True)
    error = serializers.SerializerMethodField()
    reply_to = OptionalText(help_text="The vendor's id of the message that is answered or acted on.")
    reactions = serializers.SerializerMethodField()
    media = serializers.SerializerMethodField()
    created_at = TimeField()
    occurred_at = TimeField()
    sent_at = TimeField(allow_null=True)
    delivered_at = TimeField(allow_null=True)
    read_at = TimeField(allow_null=True)
    failed_at = TimeField(allow_null=True)
    edited_at = TimeField(allow_null=True)

    class Meta:
        model = Message
        fields = (
            "id",
            "integration",
            "conversation",
            "direction",
            "type",
            "text",
            "content",
            "status",
            "external_id",
            "contact",
            "error",
            "reply_to",
            "reactions",
            "media",
            "is_echo",
            "is_deleted",
            "created_at",
            "occurred_at",
            "sent_at",
            "delivered_at",
            "read_at",
            "failed_at",
            "edited_at",
        )

    @extend_schema_field(ERROR)
    def get_error(self, message: Message) -> Any:
        """Return why the message failed, and what to do."""
        return message.error

    @extend_schema_field(REACTIONS)
    def get_reactions(self, message: Message) -> list[dict[str, Any]]:
        """List the reactions that stand."""
        return [
            {"contact": None if who == US else who, "emoji": reaction["emoji"]}
            for who, reaction in message.reactions.items()
            if reaction["emoji"]
        ]

    @extend_schema_field(MEDIA)
    def get_media(self, message: Message) -> dict[str, Any] | None:
        """Say where the file of the message is."""
        if not message.media_state:
            return None
        return {
            "state": message.media_state,
            "url": reverse("channel-message-media", kwargs={"message_id": message.id}),
            "content_type": message.content.get("mime_type"),
            "filename": message.content.get("filename"),
        }


class MessageInputSerializer(StrictSerializer):
    """A message to send: the member that has the name of `type` holds its content."""

    integration = serializers.CharField()
    to = serializers.CharField(
        max_length=160, help_text="A phone number with country code, or the id of a contact or conversation."
    )
    type = MessageTypeField()
    reply_to = serializers.CharField(
        required=False, allow_null=True, max_length=300, help_text="A message of the conversation: our id or theirs."
    )

    def get_fields(self) -> dict[str, Any]:
        """Add one member per type."""
        return {**super().get_fields(), **{kind.value: _content_field(kind) for kind in MessageType}}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask for the content of the type."""
        if attrs.get(attrs["type"]) is None:
            raise serializers.ValidationError({attrs["type"]: ["Give the content of the message here."]})
        return attrs


def _content_field(kind: MessageType) -> serializers.Field[Any, Any, Any, Any]:
    schema: Any = CONTENTS[kind]
    field = extend_schema_field(schema)(type(f"{kind.value.title()}ContentField", (serializers.JSONField,), {}))
    made: serializers.Field[Any, Any, Any, Any] = field(required=False, allow_null=True)
    return made


class UploadSerializer(serializers.ModelSerializer[StoredFile]):
    """A file that messages may name by its id."""

    created_at = TimeField()

    class Meta:
        model = StoredFile
        fields = ("id", "name", "content_type", "size_bytes", "sha256", "created_at")


class UploadInputSerializer(Data):
    """A multipart upload."""

    file = serializers.FileField(allow_empty_file=False, max_length=255)


class TemplateSerializer(serializers.ModelSerializer[Template]):
    """A template with the state of its review."""

    integration = serializers.UUIDField(source="integration_id")
    external_id = OptionalText()
    components = serializers.ListField(child=serializers.DictField())
    quality = OptionalText()
    reason = OptionalText()
    changed_at = TimeField(allow_null=True)
    synced_at = TimeField()

    class Meta:
        model = Template
        fields = (
            "id",
            "integration",
            "external_id",
            "name",
            "language",
            "category",
            "status",
            "components",
            "quality",
            "reason",
            "changed_at",
            "synced_at",
        )


class TemplateInputSerializer(StrictSerializer):
    """A template to submit for review."""

    integration = serializers.CharField()
    name = serializers.RegexField("^[a-z0-9_]{1,512}$", help_text="Lower-case letters, digits and underscores.")
    language = serializers.RegexField("^[a-z]{2,3}(_[A-Za-z]{2,4})?$", help_text="Such as en or pt_BR.")
    category = TemplateCategoryField()
    components = serializers.ListField(child=serializers.DictField(), allow_empty=False, max_length=20)


class ProfileSerializer(Data):
    """What people see of the business."""

    about = OptionalText()
    address = OptionalText()
    description = OptionalText()
    email = OptionalText()
    websites = serializers.ListField(child=serializers.CharField())
    vertical = OptionalText()
    picture_url = OptionalText()


class ProfileChangeSerializer(StrictSerializer):
    """Fields of the profile to change; what is absent stays."""

    about = serializers.CharField(required=False, max_length=512)
    address = serializers.CharField(required=False, max_length=512, allow_blank=True)
    description = serializers.CharField(required=False, max_length=512, allow_blank=True)
    email = serializers.EmailField(required=False, max_length=128)
    websites = serializers.ListField(required=False, child=serializers.URLField(max_length=256), max_length=10)
    vertical = serializers.CharField(required=False, max_length=64)


class AccountReportSerializer(Data):
    """How the account stands at the channel."""

    label = OptionalText()  # type: ignore[assignment]  # the contract's word; DRF has an attribute of this name
    display_phone_number = OptionalText()
    status = OptionalText()
    quality = OptionalText()
    tier = OptionalText(help_text="How many people may be written to in a day, in the vendor's words.")
    throughput = OptionalText()
    name_status = OptionalText()
    can_send = OptionalText(help_text="available, limited or blocked")
    problems = serializers.ListField(child=serializers.CharField())
