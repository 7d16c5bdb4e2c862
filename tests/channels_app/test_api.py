"""The addresses of channels, over HTTP."""

from __future__ import annotations

from datetime import timedelta

import pytest

from channels_app.models import Message, Template
from core import clock
from dispatch.models import OutboxEntry
from tenants.context import in_organization, in_public_schema
from tests.channels_app.conftest import PHONE, let_in, text_from

BASE = "/api/v1/channels"
MESSAGES = f"{BASE}/messages/"
VENDOR_MESSAGES = "/v26.0/100000000000001/messages"
PROFILE = "/v26.0/100000000000001/whatsapp_business_profile"
TEMPLATES = "/v26.0/200000000000001/message_templates"
NOBODY = "01930000-0000-7000-8000-00000000dead"


@pytest.fixture
def client(api, integration):
    """A client with every scope of the test environment, outside any organization as a request is."""
    return api()


@pytest.fixture
def post(client, integration):
    """Send a message by the API."""

    def run(**body):
        body = {"integration": str(integration.id), "to": PHONE, "type": "text", "text": {"body": "Hi"}, **body}
        return client.post(MESSAGES, body, format="json")

    return run


class TestSendingOverHttp:
    def test_answers_202_with_the_message(self, post, integration, written):
        conversation = written()

        answer = post()

        assert answer.status_code == 202
        body = answer.json()
        assert body["status"] == "queued"
        assert body["direction"] == "outbound"
        assert (body["integration"], body["conversation"]) == (str(integration.id), str(conversation.id))
        assert body["text"] == body["content"]["body"] == "Hi"
        assert body["contact"]["phone"] == PHONE
        assert body["external_id"] is body["error"] is body["sent_at"] is None
        assert body["created_at"].endswith("Z")
        assert answer["Location"] == f"{MESSAGES}{body['id']}/"

    def test_is_found_with_its_new_status(self, post, client, vendor, written, work):
        written()
        vendor.answer("POST", VENDOR_MESSAGES, "send__ok")
        message_id = post().json()["id"]

        work()

        body = client.get(f"{MESSAGES}{message_id}/").json()
        assert body["status"] == "sent"
        assert body["external_id"].startswith("wamid.")

    def test_the_same_key_sends_once(self, client, integration, written):
        written()
        body = {"integration": str(integration.id), "to": PHONE, "type": "text", "text": {"body": "Hi"}}

        first, second = (client.post(MESSAGES, body, format="json", headers={"Idempotency-Key": "k1"}) for _ in "ab")
        other = client.post(MESSAGES, {**body, "to": "+1"}, format="json", headers={"Idempotency-Key": "k1"})

        assert first.json() == second.json()
        assert other.status_code == 409
        assert OutboxEntry.objects.filter(kind="message.send").count() == 1

    def test_a_closed_window_is_422_with_the_remedy(self, post, written):
        written(ago=timedelta(days=2))

        answer = post()

        assert answer.status_code == 422
        problem = answer.json()
        assert answer["Content-Type"] == "application/problem+json"
        assert problem["code"] == "validation_failed"
        assert "approved template" in problem["detail"]

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"text": None}, "text"),
            ({"text": {"boddy": "Hi"}}, "text.body"),
            ({"type": "smoke"}, "type"),
            ({"type": "image"}, "image"),
            ({"to": ""}, "to"),
            ({"tpye": "text"}, "tpye"),
            ({"reply_to": "wamid.unknown"}, "reply_to"),
            ({"to": 5}, "to"),
        ],
    )
    def test_names_the_field(self, post, written, body, field):
        written()

        answer = post(**body)

        assert answer.status_code == 422
        assert field in answer.json()["errors"]

    def test_a_disabled_integration_is_not_ready(self, post, integration, written):
        written()
        integration.mark_disabled()
        integration.save()

        answer = post()

        assert (answer.status_code, answer.json()["code"]) == (422, "integration_not_ready")

    @pytest.mark.parametrize("integration_id", [NOBODY, "me", "1; DROP TABLE"])
    def test_an_unknown_integration_is_404(self, post, integration_id):
        assert post(integration=integration_id).status_code == 404


class TestWhoSeesWhat:
    def test_a_live_key_sees_no_test_rows(self, api, integration, written):
        conversation = written()
        message = Message.objects.get()
        live = api(environment="live")

        assert live.get(MESSAGES).json()["results"] == []
        assert live.get(f"{MESSAGES}{message.id}/").status_code == 404
        assert live.get(f"{MESSAGES}?integration={integration.id}").status_code == 404
        assert live.get(f"{BASE}/contacts/").json()["results"] == []
        assert live.post(f"{BASE}/conversations/{conversation.id}/read/").status_code == 404

    def test_another_organization_sees_nothing(self, api, integration, written, other_organization):
        conversation = written()
        message = Message.objects.get()
        template = Template.objects.create(integration=integration, name="a", language="en", status="approved")
        with in_public_schema():
            foreign = api(of=other_organization)

        gets = [
            f"{MESSAGES}{message.id}/", f"{MESSAGES}{message.id}/media/", f"{MESSAGES}?integration={integration.id}",
            f"{MESSAGES}?contact={message.contact_id}", f"{BASE}/contacts/{message.contact_id}/",
            f"{BASE}/conversations/{conversation.id}/", f"{BASE}/accounts/{integration.id}/",
            f"{BASE}/accounts/{integration.id}/profile/", f"{BASE}/templates/{template.id}/",
            f"{BASE}/templates/?integration={integration.id}",
        ]  # fmt: skip
        assert {foreign.get(path).status_code for path in gets} == {404}
        posts = [f"{BASE}/conversations/{conversation.id}/{act}/" for act in ("read", "typing")]
        assert {foreign.post(path).status_code for path in posts} == {404}
        assert foreign.delete(f"{BASE}/templates/{template.id}/").status_code == 404
        with in_organization(other_organization):
            assert not OutboxEntry.objects.exists()

    @pytest.mark.parametrize(
        ("method", "path", "scope"),
        [
            ("get", MESSAGES, "messages:read"),
            ("post", MESSAGES, "messages:write"),
            ("get", f"{BASE}/contacts/", "messages:read"),
            ("get", f"{BASE}/templates/", "templates:read"),
            ("post", f"{BASE}/templates/", "templates:write"),
            ("post", f"{BASE}/media/", "media:write"),
            ("get", f"{MESSAGES}{NOBODY}/media/", "media:read"),
        ],
    )
    def test_asks_for_its_scope(self, api, integration, method, path, scope):
        answer = getattr(api(scopes=("audit:read",)), method)(path)

        assert answer.status_code == 403
        assert scope in answer.json()["detail"]


class TestLists:
    def test_filters_messages(self, client, integration, written):
        written("one")
        conversation = written("two", phone="+15550100144")

        def texts(query: str) -> list[str]:
            return [row["text"] for row in client.get(f"{MESSAGES}?{query}").json()["results"]]

        assert texts("") == ["two", "one"]
        assert texts(f"contact={conversation.contact_id}") == ["two"]
        assert texts(f"conversation={conversation.id}&direction=inbound&status=delivered") == ["two"]
        assert texts("direction=outbound") == []
        assert texts("since=2200-01-01T00:00:00Z") == []
        assert texts(f"integration={integration.id}&since=2020-01-01T00:00:00%2B00:00") == ["two", "one"]

    @pytest.mark.parametrize(
        "query",
        [
            "status=gone",
            "direction=up",
            "since=yesterday",
            "since=2026-13-01",
            "since=0001-01-01T00:00:00%2B23:59",
            "since=9999-12-31T23:59:59-23:00",
            "a=b",
        ],
    )
    def test_refuses_unknown_filters(self, client, query):
        assert client.get(f"{MESSAGES}?{query}").status_code == 422

    def test_a_page_costs_few_statements(self, client, integration, written, django_assert_max_num_queries):
        for number in range(10):
            let_in(integration, text_from(f"+1555010010{number}", "Hi", at=clock.now()))

        with django_assert_max_num_queries(8):
            rows = client.get(f"{MESSAGES}?limit=10").json()["results"]

        assert len(rows) == 10

    def test_shows_reactions_and_files(self, client, deliver):
        deliver("message_image__caption")
        deliver("message_reaction__emoji")

        reaction, image = client.get(MESSAGES).json()["results"]

        assert reaction["type"] == "reaction"
        assert image["media"] == {
            "state": "waiting",
            "url": f"{MESSAGES}{image['id']}/media/",
            "content_type": "image/jpeg",
            "filename": None,
        }

    def test_conversations_say_until_when_free_messages_are_taken(self, client, written):
        conversation = written()

        (row,) = client.get(f"{BASE}/conversations/").json()["results"]

        assert row["window_closes_at"] == clock.iso(conversation.last_inbound_at + timedelta(hours=24))
        assert (row["unread_count"], row["last_text"]) == (1, "Hello")

    def test_contacts_are_found_by_phone(self, client, written):
        written()
        written(phone="+15550100144")

        rows = client.get(f"{BASE}/contacts/", {"phone": PHONE}).json()["results"]

        assert [row["phone"] for row in rows] == [PHONE]
        assert rows[0]["is_reachable"]


class TestConversations:
    def test_reads(self, client, vendor, written, work):
        conversation = written()
        vendor.answer("POST", VENDOR_MESSAGES, "success")

        answer = client.post(f"{BASE}/conversations/{conversation.id}/read/")
        work()

        assert (answer.status_code, answer.json()["unread_count"]) == (200, 0)
        assert vendor.calls[0].json["status"] == "read"

    def test_types(self, client, vendor, written, work):
        conversation = written()
        vendor.answer("POST", VENDOR_MESSAGES, "success")

        answer = client.post(f"{BASE}/conversations/{conversation.id}/typing/")
        work()

        assert answer.status_code == 202
        assert vendor.calls[0].json["typing_indicator"] == {"type": "text"}


class TestFiles:
    @pytest.fixture(autouse=True)
    def folder(self, settings, tmp_path):
        """Files of a test go away with it."""
        settings.MEDIA_ROOT = str(tmp_path)

    def upload(self, client, name="label.png", content=b"\x89PNG test", content_type="image/png"):
        from django.core.files.uploadedfile import SimpleUploadedFile

        file = SimpleUploadedFile(name, content, content_type=content_type)
        return client.post(f"{BASE}/media/", {"file": file}, format="multipart")

    def test_an_upload_is_sent_and_read_back(self, client, post, written):
        written()

        file = self.upload(client)
        message = post(type="image", text=None, image={"id": file.json()["id"], "caption": "Label"})
        content = client.get(message.json()["media"]["url"])

        assert (file.status_code, message.status_code) == (201, 202)
        assert b"".join(content.streaming_content) == b"\x89PNG test"
        assert content["Content-Type"] == "image/png"
        assert content["Content-Disposition"].startswith("attachment")

    def test_a_live_upload_is_not_for_test_integrations(self, api, post, written):
        written()
        file = self.upload(api(environment="live"))

        answer = post(type="image", text=None, image={"id": file.json()["id"]})

        assert "image.id" in answer.json()["errors"]

    def test_a_file_of_the_wrong_kind_is_refused(self, client, post, written):
        written()
        file = self.upload(client, name="a.pdf", content_type="application/pdf")

        answer = post(type="image", text=None, image={"id": file.json()["id"]})

        assert "image.id" in answer.json()["errors"]

    @pytest.mark.parametrize("content", [b"", None])
    def test_nothing_is_no_upload(self, client, content):
        if content is None:
            answer = client.post(f"{BASE}/media/", {}, format="multipart")
        else:
            answer = self.upload(client, content=content)

        assert answer.status_code == 422
        assert "file" in answer.json()["errors"]

    def test_a_file_on_its_way_is_409(self, client, deliver):
        deliver("message_image__caption")

        answer = client.get(f"{MESSAGES}{Message.objects.get().id}/media/")

        assert (answer.status_code, answer.json()["code"]) == (409, "media_not_ready")
        assert int(answer["Retry-After"]) > 0

    def test_a_text_has_no_file(self, client, written):
        written()

        assert client.get(f"{MESSAGES}{Message.objects.get().id}/media/").status_code == 404


class TestAccounts:
    def test_reads_and_changes_the_profile(self, client, integration, vendor):
        vendor.answer("GET", PROFILE, "profile__ok")
        vendor.answer("POST", PROFILE, "success")
        path = f"{BASE}/accounts/{integration.id}/profile/"

        shown = client.get(path).json()
        changed = client.patch(path, {"about": "Open till six"}, format="json")

        assert set(shown) == {"about", "address", "description", "email", "websites", "vertical", "picture_url"}
        assert changed.status_code == 200
        assert vendor.last("POST", PROFILE).json == {"messaging_product": "whatsapp", "about": "Open till six"}

    def test_a_lapsed_credential_is_said_and_noted(self, client, organization, integration, vendor):
        vendor.answer("GET", "*", "error__190")

        answer = client.get(f"{BASE}/accounts/{integration.id}/profile/")

        assert (answer.status_code, answer.json()["code"]) == (422, "provider_authentication_failed")
        with in_organization(organization):
            integration.refresh_from_db()
        assert integration.status == "needs_reauth"

    def test_reports_the_account(self, client, integration, vendor):
        vendor.play("ok")

        body = client.get(f"{BASE}/accounts/{integration.id}/").json()

        assert body["can_send"] == "available"


class TestTemplatesOverHttp:
    def test_are_listed_as_the_vendor_has_them(self, client, integration, vendor):
        vendor.answer("GET", TEMPLATES, "templates__page_2")
        vendor.answer("GET", TEMPLATES, "templates__page_1", times=1)

        rows = client.get(f"{BASE}/templates/?integration={integration.id}").json()["results"]
        client.get(f"{BASE}/templates/?integration={integration.id}")

        assert "order_update" in {row["name"] for row in rows}
        assert len(vendor.calls) == 2

    def test_are_submitted_and_deleted(self, client, organization, integration, vendor):
        vendor.answer("POST", TEMPLATES, "template_create__ok")
        vendor.answer("DELETE", TEMPLATES, "success")
        body = {
            "integration": str(integration.id),
            "name": "order_update",
            "language": "pt_BR",
            "category": "UTILITY",  # the vendor's spelling is taken as well
            "components": [{"type": "BODY", "text": "Hi"}],
        }

        made = client.post(f"{BASE}/templates/", body, format="json")
        again = client.post(f"{BASE}/templates/", body, format="json")
        gone = client.delete(f"{BASE}/templates/{made.json()['id']}/")

        assert (made.status_code, again.status_code, gone.status_code) == (201, 409, 204)
        assert made.json()["status"] == "pending"
        with in_organization(organization):
            assert not Template.objects.exists()

    @pytest.mark.parametrize(
        ("change", "field"),
        [({"name": "Not Allowed"}, "name"), ({"category": "spam"}, "category"), ({"components": []}, "components")],
    )
    def test_names_the_field(self, client, integration, change, field):
        body = {"integration": str(integration.id), "name": "a", "language": "en", "category": "utility"}

        answer = client.post(f"{BASE}/templates/", {**body, "components": [{}], **change}, format="json")

        assert answer.status_code == 422
        assert field in answer.json()["errors"]
