"""`/channels/messages/` and `/channels/media/`: sending, listing, files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from django.core.exceptions import RequestDataTooBig
from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from channels_app import services
from channels_app.api.serializers import (
    MessageInputSerializer,
    MessageSerializer,
    UploadInputSerializer,
    UploadSerializer,
)
from channels_app.api.views import ChannelView, one_of
from channels_app.models import Direction, Message, MessageStatus
from integrations.api.openapi import PAGING, page_of
from integrations.api.views import get_or_404
from storage.services import MAX_BYTES, open_file

CLOSED_SETS: Mapping[str, frozenset[str]] = {
    "direction": frozenset(Direction.values),
    "status": frozenset(MessageStatus.values),
}
_IDS = ("integration", "conversation", "contact")

FRAME_BYTES = 64 * 1024
"""What multipart adds around a file: boundaries, headers, a few fields."""


class MessagesView(ChannelView):
    """Messages, in and out."""

    filters = frozenset({*_IDS, *CLOSED_SETS, "since"})

    @extend_schema(
        operation_id="channels_messages_list",
        parameters=[
            *PAGING,
            *(OpenApiParameter(name, OpenApiTypes.UUID) for name in _IDS),
            *(OpenApiParameter(name, str, enum=sorted(values)) for name, values in CLOSED_SETS.items()),
            OpenApiParameter("since", OpenApiTypes.DATETIME, description="Made at or after this time."),
        ],
        responses=page_of(MessageSerializer),
    )
    def get(self, request: Request) -> Response:
        """List messages, the newest first."""
        for name, allowed in CLOSED_SETS.items():
            one_of(name, self.query.get(name, ""), allowed)
        return self.paginate(self.filtered(self.messages()), MessageSerializer)

    @extend_schema(
        operation_id="channels_messages_send", request=MessageInputSerializer, responses={202: MessageSerializer}
    )
    def post(self, request: Request) -> Response:
        """Accept a message; the channel's rules are checked first, a worker sends it, its status tells the rest."""
        values = self.validated(MessageInputSerializer)
        message = services.send_message(
            integration=self.get_integration(values["integration"]),
            to=values["to"],
            type=values["type"],
            content=values[values["type"]],
            reply_to=values.get("reply_to") or "",
            actor=self.actor,
        )
        return Response(
            MessageSerializer(message).data,
            status=status.HTTP_202_ACCEPTED,
            headers={"Location": f"{request.path}{message.id}/"},
        )


class MessageView(ChannelView):
    """One message."""

    @extend_schema(operation_id="channels_messages_get", responses=MessageSerializer)
    def get(self, request: Request, message_id: str) -> Response:
        """Return one message."""
        return Response(MessageSerializer(get_or_404(self.messages(), message_id)).data)


class MessageMediaView(ChannelView):
    """The file of a message."""

    scope = "media"

    @extend_schema(
        operation_id="channels_messages_media", responses={(200, "application/octet-stream"): OpenApiTypes.BINARY}
    )
    def get(self, request: Request, message_id: str) -> FileResponse:
        """Return the file as a download; 409 `media_not_ready` while it is being fetched from the channel."""
        message = cast(Message, get_or_404(self.messages(), message_id))
        file = services.media_of_message(message)
        return FileResponse(
            open_file(file),
            as_attachment=True,
            filename=file.name,
            content_type=file.content_type,
            headers={"X-Content-Type-Options": "nosniff"},
        )


class MediaView(ChannelView):
    """Files to send."""

    scope = "media"
    parser_classes = (MultiPartParser,)  # type: ignore[assignment]  # the one address that takes no JSON

    @extend_schema(
        operation_id="channels_media_upload",
        request={"multipart/form-data": UploadInputSerializer},
        responses={201: UploadSerializer},
    )
    def post(self, request: Request) -> Response:
        """Keep a file of up to 100 MB; a message names it by the id, and it goes to the vendor when that is sent."""
        if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_BYTES + FRAME_BYTES:
            raise RequestDataTooBig("an upload over the cap")
        upload = self.validated(UploadInputSerializer)["file"]
        file = services.keep_upload(
            environment=self.environment,
            name=upload.name or "file",
            content_type=upload.content_type or "",
            chunks=upload.chunks(),
            actor=self.actor,
        )
        return Response(UploadSerializer(file).data, status=status.HTTP_201_CREATED)
