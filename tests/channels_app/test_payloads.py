"""What events about messages say."""

from __future__ import annotations

from channels_app.api.payloads import messages
from channels_app.models import Message
from core.ids import new_id
from notifications.endpoints.models import PublishedEvent


class TestMessages:
    def test_say_the_message_with_the_status_of_the_moment(self, written):
        written()
        message = Message.objects.get()
        received = PublishedEvent(id=new_id(), type="message.received", object_id=str(message.pk))
        changed = PublishedEvent(
            id=new_id(), type="message.status_changed", object_id=str(message.pk), details={"status": "delivered"}
        )
        gone = PublishedEvent(id=new_id(), type="message.received", object_id=str(new_id()))

        said = messages([received, changed, gone])

        assert set(said) == {received.id, changed.id}
        assert said[received.id].environment == message.integration.environment
        assert said[received.id].data["id"] == str(message.pk)
        assert said[received.id].data["status"] == message.status
        assert said[changed.id].data["status"] == "delivered"
