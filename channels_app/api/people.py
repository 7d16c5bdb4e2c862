"""`/channels/contacts/` and `/channels/conversations/`."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from channels_app import services
from channels_app.api.serializers import ContactSerializer, ConversationSerializer
from channels_app.api.views import ChannelView
from integrations.api.openapi import PAGING, page_of
from integrations.api.views import get_or_404

_INTEGRATION = OpenApiParameter("integration", OpenApiTypes.UUID)


class ContactsView(ChannelView):
    """People on the other side."""

    filters = frozenset({"integration", "phone"})

    @extend_schema(
        operation_id="channels_contacts_list",
        parameters=[*PAGING, _INTEGRATION, OpenApiParameter("phone", str, description="E.164, such as +15550100101")],
        responses=page_of(ContactSerializer),
    )
    def get(self, request: Request) -> Response:
        """List contacts, the newest first."""
        return self.paginate(self.filtered(self.contacts()), ContactSerializer)

    def _condition(self, name: str, value: str) -> dict[str, object]:
        if name == "phone":
            return {"phone": f"+{value.strip().removeprefix('+')}"}  # a plus in a query is a space
        return super()._condition(name, value)


class ContactView(ChannelView):
    """One contact."""

    @extend_schema(operation_id="channels_contacts_get", responses=ContactSerializer)
    def get(self, request: Request, contact_id: str) -> Response:
        """Return one contact."""
        return Response(ContactSerializer(get_or_404(self.contacts(), contact_id)).data)


class ConversationsView(ChannelView):
    """Conversations with people and in groups."""

    filters = frozenset({"integration", "contact"})

    @extend_schema(
        operation_id="channels_conversations_list",
        parameters=[*PAGING, _INTEGRATION, OpenApiParameter("contact", OpenApiTypes.UUID)],
        responses=page_of(ConversationSerializer),
    )
    def get(self, request: Request) -> Response:
        """List conversations, the newest first."""
        return self.paginate(self.filtered(self.conversations()), ConversationSerializer)


class ConversationView(ChannelView):
    """One conversation."""

    @extend_schema(operation_id="channels_conversations_get", responses=ConversationSerializer)
    def get(self, request: Request, conversation_id: str) -> Response:
        """Return one conversation."""
        return Response(ConversationSerializer(self.get_conversation(conversation_id)).data)


class ReadView(ChannelView):
    """Marking as read."""

    @extend_schema(operation_id="channels_conversations_read", request=None, responses=ConversationSerializer)
    def post(self, request: Request, conversation_id: str) -> Response:
        """Mark what the person wrote as read, here now and at the channel shortly."""
        conversation = self.get_conversation(conversation_id)
        services.mark_read(conversation, actor=self.actor)
        return Response(ConversationSerializer(self.get_conversation(conversation_id)).data)


class TypingView(ChannelView):
    """Showing that an answer is being written."""

    @extend_schema(operation_id="channels_conversations_typing", request=None, responses={202: ConversationSerializer})
    def post(self, request: Request, conversation_id: str) -> Response:
        """Show typing for up to 25 seconds; the channel marks the person's message as read by it."""
        conversation = self.get_conversation(conversation_id)
        services.send_typing(conversation, actor=self.actor)
        return Response(ConversationSerializer(conversation).data, status=status.HTTP_202_ACCEPTED)
