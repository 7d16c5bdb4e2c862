"""Files, templates, profile, number and blocked people."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from channels_app.contract import BusinessProfile, TemplateDraft
from integrations.contract import RequestRejected, UnexpectedResponse
from tests.wire import Wire

PHONE = "/v26.0/100000000000001"
TEMPLATES = "/v26.0/200000000000001/message_templates"
PROFILE = f"{PHONE}/whatsapp_business_profile"
MEDIA = "/v26.0/410000000000001"
LOOKASIDE = "/whatsapp_business/attachments/"
CONTENT = b"composed bytes of a test file\n"


class TestMedia:
    def test_is_uploaded_as_a_form(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("POST", f"{PHONE}/media", "media_upload__ok")

        media_id = whatsapp.upload_media(CONTENT, mime_type="image/png", filename="etiqueta.png")

        seen = wire.last("POST", f"{PHONE}/media")
        assert media_id == "410000000000001"
        assert seen.headers["content-type"].startswith("multipart/form-data")
        for part in (CONTENT, b'filename="etiqueta.png"', b"messaging_product", b"image/png"):
            assert part in seen.body

    def test_without_an_id_was_not_uploaded(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("POST", f"{PHONE}/media", "media_upload__no_id")

        with pytest.raises(UnexpectedResponse):
            whatsapp.upload_media(CONTENT, mime_type="image/png", filename="etiqueta.png")

    @pytest.mark.parametrize(
        ("mime_type", "size_bytes"),
        [
            ("image/png", 5 * 1024 * 1024 + 1),
            ("image/webp", 500 * 1024 + 1),
            ("audio/ogg; codecs=opus", 16 * 1024 * 1024 + 1),
            ("image/tiff", 10),
            ("application/pdf", 0),
        ],
    )
    def test_is_refused_before_the_upload(self, wire: Wire, whatsapp: Any, mime_type: str, size_bytes: int) -> None:
        with pytest.raises(RequestRejected) as caught:
            whatsapp.upload_media(bytes(size_bytes), mime_type=mime_type, filename="x")

        assert (caught.value.field, caught.value.reason) == ("file", "media_refused")
        assert wire.calls == []

    @pytest.mark.parametrize("write", [bytes.hex, lambda digest: base64.b64encode(digest).decode(), lambda _: "odd"])
    def test_is_downloaded_with_the_token_and_verified(self, wire: Wire, whatsapp: Any, write: Any) -> None:
        wire.answer("GET", MEDIA, "media__ok")
        wire.answer("GET", LOOKASIDE, "media_bytes__ok")

        media = whatsapp.download_media("410000000000001", sha256=write(hashlib.sha256(CONTENT).digest()))

        seen = wire.last("GET", LOOKASIDE)
        assert (media.content, media.mime_type, media.size_bytes) == (CONTENT, "image/png", len(CONTENT))
        assert seen.host == "lookaside.fbsbx.com"
        assert seen.headers["authorization"] == "Bearer EAAtest-planted-access-token"

    def test_is_never_fetched_from_another_host(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("GET", MEDIA, "media__other_host")

        with pytest.raises(UnexpectedResponse):
            whatsapp.download_media("410000000000001")

        assert [seen.host for seen in wire.calls] == ["graph.facebook.com"]

    def test_of_another_size_or_digest_is_refused(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("GET", LOOKASIDE, "media_bytes__ok")
        wire.answer("GET", MEDIA, "media__wrong_size")
        with pytest.raises(UnexpectedResponse) as caught:
            whatsapp.download_media("410000000000001")
        assert caught.value.reason == "media_size"

        wire.answer("GET", MEDIA, "media__ok")
        with pytest.raises(UnexpectedResponse) as caught:
            whatsapp.download_media("410000000000001", sha256="0" * 64)
        assert caught.value.reason == "media_digest"

    @pytest.mark.parametrize("media_id", ["../me", "1/2", "", "1?x=y", "https://example.com"])
    def test_ids_cannot_leave_their_place_in_the_path(self, wire: Wire, whatsapp: Any, media_id: str) -> None:
        with pytest.raises(RequestRejected):
            whatsapp.download_media(media_id)

        assert wire.calls == []

    def test_that_is_gone_counts_as_deleted(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("DELETE", MEDIA, "success", times=1)
        whatsapp.delete_media("410000000000001")

        wire.answer("DELETE", MEDIA, "error__100_33")
        whatsapp.delete_media("410000000000001")

        assert len(wire.calls) == 2


class TestReading:
    def test_marks_and_types_on_one_call_each(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("POST", f"{PHONE}/messages", "success")

        whatsapp.mark_as_read("wamid.theirs")
        whatsapp.send_typing("wamid.theirs")

        read = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.theirs"}
        assert [seen.json for seen in wire.calls] == [read, {**read, "typing_indicator": {"type": "text"}}]


class TestTemplates:
    def test_are_listed_over_all_pages(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("GET", TEMPLATES, "templates__page_1")
        wire.answer("GET", TEMPLATES, "templates__page_2", query={"after": "second"})

        first, second = whatsapp.list_templates()

        assert (first.name, first.language, first.status, first.quality) == (
            "order_update",
            "pt_BR",
            "approved",
            "green",
        )
        assert (second.status, second.reason, second.quality) == ("rejected", "INVALID_FORMAT", "")

    def test_a_paging_that_circles_ends(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("GET", TEMPLATES, "templates__page_1")

        assert len(whatsapp.list_templates()) == 2

    def test_are_submitted_for_approval(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("POST", TEMPLATES, "template_create__ok")
        components = ({"type": "BODY", "text": "Seu pedido {{1}} saiu."},)

        made = whatsapp.create_template(
            TemplateDraft(name="order_update", language="pt_BR", category="utility", components=components)
        )

        assert wire.last("POST", TEMPLATES).json == {
            "name": "order_update",
            "language": "pt_BR",
            "category": "UTILITY",
            "components": list(components),
        }
        assert (made.external_id, made.status, made.components) == ("600000000000003", "pending", components)

    def test_are_edited_and_deleted(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("POST", "/v26.0/600000000000003", "success")
        wire.answer("DELETE", TEMPLATES, "success")

        whatsapp.edit_template("600000000000003", category="marketing", components=[{"type": "BODY", "text": "Oi"}])
        whatsapp.delete_template("order_update", external_id="600000000000003")
        whatsapp.delete_template("order_update")

        edited, one, every = wire.calls
        assert edited.json == {"components": [{"type": "BODY", "text": "Oi"}], "category": "MARKETING"}
        assert (one.query["name"], one.query["hsm_id"]) == ("order_update", "600000000000003")
        assert "hsm_id" not in every.query


class TestProfile:
    def test_is_read(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("GET", PROFILE, "profile__ok")

        profile = whatsapp.get_profile()

        assert profile.about == "Aberto de 9h a 18h"
        assert profile.websites == ("https://example.com/",)

    def test_is_changed_in_the_given_fields_alone(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("POST", PROFILE, "success")

        whatsapp.update_profile(BusinessProfile(about="Fechado", websites=()))
        whatsapp.update_profile(BusinessProfile())

        assert [seen.json for seen in wire.calls] == [
            {"messaging_product": "whatsapp", "about": "Fechado", "websites": []}
        ]

    @pytest.mark.parametrize(
        ("profile", "field"),
        [
            (BusinessProfile(about=""), "about"),
            (BusinessProfile(about="x" * 140), "about"),
            (BusinessProfile(websites=("a", "b", "c")), "websites"),
            (BusinessProfile(websites=("x" * 257,)), "websites"),
        ],
    )
    def test_is_refused_with_the_field(self, whatsapp: Any, profile: BusinessProfile, field: str) -> None:
        with pytest.raises(RequestRejected) as caught:
            whatsapp.update_profile(profile)

        assert caught.value.field == field


class TestNumber:
    def test_is_registered_and_secured(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("POST", "*", "success")

        whatsapp.register_number("170017")
        whatsapp.deregister_number()
        whatsapp.set_pin("170017")

        whatsapp_only = {"messaging_product": "whatsapp"}
        assert [(seen.path, seen.json) for seen in wire.calls] == [
            (f"{PHONE}/register", {**whatsapp_only, "pin": "170017"}),
            (f"{PHONE}/deregister", whatsapp_only),
            (PHONE, {"pin": "170017"}),
        ]

    def test_numbers_of_the_account_are_listed(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("GET", "/v26.0/200000000000001/phone_numbers", "phone_numbers__one")

        assert whatsapp.list_phone_numbers()[0]["display_phone_number"] == "+1 555-0100-001"


class TestBlocking:
    BLOCKS = f"{PHONE}/block_users"

    def test_blocks_unblocks_and_lists(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("POST", self.BLOCKS, "block__ok")
        wire.answer("DELETE", self.BLOCKS, "success")
        wire.answer("GET", self.BLOCKS, "blocked__list")

        whatsapp.block_contacts(["+15550100101"])
        whatsapp.unblock_contacts(["+15550100101"])

        body = {"messaging_product": "whatsapp", "block_users": [{"user": "+15550100101"}]}
        assert [seen.json for seen in wire.calls] == [body, body]
        assert whatsapp.list_blocked() == ["+15550100101", "BR.20000000000000000017"]

    def test_says_who_may_be_blocked(self, wire: Wire, whatsapp: Any) -> None:
        wire.answer("POST", self.BLOCKS, "block__failed")

        with pytest.raises(RequestRejected) as caught:
            whatsapp.block_contacts(["+15550100101"])

        assert caught.value.reason == "not_blockable"
