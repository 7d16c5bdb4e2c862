"""What channels give out and erase of a person."""

from __future__ import annotations

import json

import pytest

from channels_app.models import Contact, Conversation, Message
from channels_app.personal_data import PERSONAL_DATA, Erased
from integrations.models import Event
from storage.models import StoredFile
from storage.services import keep_file
from tenants.context import in_organization
from tests.channels_app.conftest import PHONE


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    """Files of a test go away with it."""
    settings.MEDIA_ROOT = str(tmp_path)


class TestExport:
    def test_gives_all_that_was_said(self, written):
        written("My size is M")
        written("Somebody else's", phone="+15550100144")

        (person,) = PERSONAL_DATA.export(phone=PHONE)

        assert person["contact"]["phone"] == PHONE
        assert [message["text"] for message in person["messages"]] == ["My size is M"]

    def test_gives_nothing_for_nobody(self, written):
        written()

        assert PERSONAL_DATA.export() == []
        assert PERSONAL_DATA.export(phone="+15550100999") == []


class TestErase:
    def test_leaves_nothing_of_the_person(self, written):
        written("My size is M")
        file = keep_file(name="me.png", content_type="image/png", content=b"x", purpose="test")
        Message.objects.update(media_file_id=file.id, media_state="kept")
        other = written("Somebody else's", phone="+15550100144")

        erased = PERSONAL_DATA.erase(phone=PHONE)

        assert erased == Erased(contacts=1, messages=1, files=1, events=1)
        assert not StoredFile.objects.exists()
        rows = [*Contact.objects.values(), *Message.objects.values(), *Conversation.objects.values()]
        text = json.dumps([*rows, *Event.objects.values("data", "raw")], default=str)
        assert "My size" not in text
        assert PHONE.removeprefix("+") not in text
        assert other.messages.get().text == "Somebody else's"

    def test_leaves_the_other_organization_untouched(self, written, other_organization):
        written()

        with in_organization(other_organization):
            assert PERSONAL_DATA.erase(phone=PHONE).contacts == 0

        assert Contact.objects.get().phone == PHONE
