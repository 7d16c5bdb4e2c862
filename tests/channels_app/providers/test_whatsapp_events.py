"""What WhatsApp's webhooks mean in normalized words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from channels_app.contract import STATUS_RANKS
from channels_app.providers._whatsapp_account import people_per_day
from integrations.contract import InboundEvent

Parsed = Callable[[str], list[InboundEvent]]

BSUID = "BR.20000000000000000017"
PHONE = "+15550100101"


class TestPeople:
    @pytest.mark.parametrize(
        ("name", "external_id", "bsuid", "phone"),
        [
            ("message_text__phone", PHONE, None, PHONE),
            ("message_text__bsuid_and_phone", BSUID, BSUID, PHONE),
            ("message_text__bsuid_only", BSUID, BSUID, None),
            ("message_text__bsuid_inside_from", BSUID, BSUID, None),
            ("message_contacts__request", BSUID, BSUID, PHONE),
            ("message_text__no_sender", "", None, None),
            ("message_text__bad_timestamp", "nobody", None, None),
        ],
    )
    def test_are_found_by_user_id_or_phone(
        self, parsed: Parsed, name: str, external_id: str, bsuid: str | None, phone: str | None
    ) -> None:
        (event,) = parsed(name)

        contact = event.data["contact"]
        assert (contact["external_id"], contact["bsuid"], contact["phone"]) == (external_id, bsuid, phone)
        assert contact["name"] == "Joana Exemplo"

    def test_have_a_username_without_its_sign(self, parsed: Parsed) -> None:
        assert parsed("message_text__bsuid_only")[0].data["contact"]["username"] == "joana.exemplo"

    def test_one_conversation_is_handled_in_order(self, parsed: Parsed) -> None:
        assert parsed("message_text__phone")[0].object_key == f"contact:{PHONE}"
        assert parsed("message_text__group")[0].object_key == "group:120363000000000017@g.us"


class TestMessages:
    def test_a_text_keeps_its_accents_and_emoji(self, parsed: Parsed) -> None:
        (event,) = parsed("message_text__phone")

        assert event.data["text"] == "Olá! Vocês têm a camiseta azul no tamanho M? 😀"
        assert event.data["direction"] == "inbound"
        assert event.occurred_at == datetime.fromtimestamp(1795430101, UTC)
        assert event.external_id == event.key == event.data["external_id"]

    def test_a_time_that_cannot_be_read_is_none(self, parsed: Parsed) -> None:
        assert parsed("message_text__bad_timestamp")[0].occurred_at is None

    @pytest.mark.parametrize(
        ("name", "kind", "text", "content"),
        [
            ("message_button__quick_reply", "button", "Confirmar", {"text": "Confirmar", "payload": "confirm-17"}),
            ("message_reaction__removed", "reaction", "", {"emoji": "", "target": "wamid.dGVzdC0sent-by-us"}),
            ("message_revoke__plain", "revoke", "", {"target": "wamid.dGVzdC0text-phone"}),
            ("message_unsupported__subtype", "unsupported", "", {"kind": "poll"}),
            ("message_unknown__legacy", "unsupported", "", {"kind": ""}),
            ("message_new_kind__stored", "hologram", "", {"value": {"beam": 3}}),
            (
                "message_edit__text",
                "edit",
                "tamanho G",
                {"target": "wamid.dGVzdC0text-phone", "type": "text", "content": {"body": "tamanho G"}},
            ),
        ],
    )
    def test_content_is_normalized_by_type(
        self, parsed: Parsed, name: str, kind: str, text: str, content: dict[str, Any]
    ) -> None:
        (event,) = parsed(name)

        assert (event.data["type"], event.data["text"], event.data["content"]) == (kind, text, content)

    def test_an_interactive_answer_names_what_was_tapped(self, parsed: Parsed) -> None:
        assert parsed("message_interactive__button_reply")[0].data["content"]["id"] == "size-m"
        assert parsed("message_interactive__list_reply")[0].data["content"]["description"] == "azul marinho"

    def test_a_flow_answer_is_read_and_kept_as_text_where_it_cannot_be(self, parsed: Parsed) -> None:
        answer = parsed("message_interactive__flow")[0].data["content"]["response"]
        broken = parsed("message_interactive__flow_unreadable")[0].data["content"]["response"]

        assert answer == {"flow_token": "test", "size": "M", "amount": 2}
        assert broken == '{"a":1e999'

    def test_a_file_is_named_with_its_digest(self, parsed: Parsed) -> None:
        media = parsed("message_image__caption")[0].data["media"]

        assert media["id"] == "400000000000001"
        assert media["caption"] == "a etiqueta"
        assert media["url"].startswith("https://lookaside.fbsbx.com/")
        assert parsed("message_audio__voice")[0].data["media"]["voice"] is True
        assert parsed("message_text__phone")[0].data["media"] is None

    def test_replies_forwards_and_advertisements_are_told(self, parsed: Parsed) -> None:
        assert parsed("message_text__reply")[0].data["reply_to"]["external_id"] == "wamid.dGVzdC0sent-by-us"
        assert parsed("message_text__forwarded")[0].data["reply_to"]["forwarded"] is True
        assert parsed("message_text__referral")[0].data["referral"]["source_type"] == "ad"

    def test_an_echo_goes_out_to_the_customer(self, parsed: Parsed) -> None:
        (event,) = parsed("smb_message_echoes__text")

        assert event.data["direction"] == "outbound"
        assert event.data["contact"]["phone"] == PHONE

    def test_what_a_database_refuses_is_replaced(self, parsed: Parsed) -> None:
        assert parsed("hostile__nul_and_surrogates")[0].data["text"] == "a\ufffdb\ufffdc"

    def test_a_message_twice_in_one_post_is_one_event(self, parsed: Parsed) -> None:
        assert len(parsed("batch__same_message_twice")) == 1


class TestStatuses:
    def test_carry_our_id_and_price(self, parsed: Parsed) -> None:
        (event,) = parsed("status_sent__pricing")

        assert event.data["callback_data"] == "01930000-0000-7000-8000-000000000017"
        assert event.data["pricing"] == {"model": "pmp", "kind": "regular", "category": "utility"}
        assert event.object_key == f"message:{event.external_id}"

    def test_rank_so_that_the_highest_wins_in_any_order(self, parsed: Parsed) -> None:
        names = ("status_sent__pricing", "status_failed__window_closed", "status_read__plain", "status_played__voice")

        ranks = [parsed(name)[0].data["rank"] for name in names]

        assert ranks == sorted(ranks)
        assert STATUS_RANKS["sent"] < STATUS_RANKS["failed"] < STATUS_RANKS["delivered"] < STATUS_RANKS["read"]

    def test_played_is_read_in_public(self, parsed: Parsed) -> None:
        data = parsed("status_played__voice")[0].data

        assert (data["status"], data["vendor_status"]) == ("read", "played")

    def test_of_a_group_name_the_participant(self, parsed: Parsed) -> None:
        data = parsed("status_read__group")[0].data

        assert data["group_id"] == "120363000000000017@g.us"
        assert data["contact"]["bsuid"] == BSUID

    def test_explain_a_failure_with_the_remedy(self, parsed: Parsed) -> None:
        (error,) = parsed("status_failed__window_closed")[0].data["errors"]

        assert (error["error"], error["reason"], error["retryable"]) == ("RequestRejected", "window_closed", False)
        assert "template" in error["remedy"]

    def test_know_how_long_to_wait(self, parsed: Parsed) -> None:
        (error,) = parsed("status_failed__pair_limit")[0].data["errors"]

        assert (error["error"], error["retry_after_s"]) == ("RateLimited", 1.0)

    def test_equal_errors_of_one_body_stay_two(self, parsed: Parsed) -> None:
        first, second = parsed("errors__twice_with_contact")

        assert first.key != second.key
        assert first.data["error"]["error"] == "AuthenticationFailed"


class TestContacts:
    def test_a_changed_number_names_old_and_new(self, parsed: Parsed) -> None:
        for name in ("message_system__number_changed", "message_system__number_changed_legacy"):
            data = parsed(name)[0].data
            assert (data["kind"], data["previous"]["phone"], data["current"]["phone"]) == (
                "phone",
                PHONE,
                "+15550100122",
            )

    def test_a_changed_user_id_does_not_guess_the_old_one(self, parsed: Parsed) -> None:
        data = parsed("message_system__user_id_changed")[0].data

        assert (data["previous"]["external_id"], data["current"]["bsuid"]) == ("", "BR.20000000000000000099")

    def test_a_user_id_update_names_both(self, parsed: Parsed) -> None:
        data = parsed("user_id_update__bsuid")[0].data

        assert (data["previous"]["bsuid"], data["current"]["bsuid"]) == (BSUID, "BR.20000000000000000099")
        assert data["current"]["phone"] == PHONE

    def test_wishes_about_marketing_are_read(self, parsed: Parsed) -> None:
        assert parsed("user_preferences__stop")[0].data["allowed"] is False
        assert parsed("user_preferences__resume")[0].data["allowed"] is True


class TestAccount:
    @pytest.mark.parametrize(
        ("name", "topic", "effect"),
        [
            ("account_update__deleted", "existence", "disconnected"),
            ("account_update__violation", "violation", "degraded"),
            ("account_update__restriction", "restriction", "restricted"),
            ("account_update__disable", "ban", "restricted"),
            ("account_update__schedule", "ban", "degraded"),
            ("account_update__reinstated", "ban", "restored"),
            ("account_update__offboarded", "partner", "disconnected"),
            ("account_update__reconnected", "partner", "restored"),
            ("account_update__new_word", "account", "none"),
            ("account_update__partner_added", "partner", "none"),
            ("account_update__partner_removed", "partner", "disconnected"),
            ("account_update__partner_app_uninstalled", "partner", "disconnected"),
            ("account_alerts__critical", "alert:OBA_PROBLEM", "degraded"),
            ("account_alerts__warning", "alert:LIMIT_DEFERRED", "none"),
            ("account_review__rejected", "review", "degraded"),
            ("account_review__approved", "review", "restored"),
            ("account_settings__changed", "settings", "none"),
            ("business_username__approved", "username", "none"),
            ("phone_number_name__rejected", "name", "degraded"),
            ("phone_number_quality__flagged", "quality", "degraded"),
            ("phone_number_quality__throughput", "quality", "none"),
            ("security__pin_changed", "security", "none"),
        ],
    )
    def test_news_have_a_topic_an_effect_and_a_sentence(
        self, parsed: Parsed, name: str, topic: str, effect: str
    ) -> None:
        data = parsed(name)[0].data

        assert (data["topic"], data["effect"]) == (topic, effect)
        assert data["cause"].endswith((".", ")"))

    def test_a_restriction_says_what_and_until_when(self, parsed: Parsed) -> None:
        data = parsed("account_update__restriction")[0].data

        assert len(data["capabilities"]) == 2
        assert data["until"] == "2026-12-01T04:40:00.000Z"
        assert data["display_phone_number"] == "15550100001"

    def test_the_messaging_limit_may_be_a_number_or_a_tier(self, parsed: Parsed) -> None:
        assert parsed("business_capability__number")[0].data["facts"]["tier"] == "2000"
        assert parsed("business_capability__tier")[0].data["facts"]["tier"] == "TIER_10K"
        assert parsed("business_capability__number")[0].data["facts"]["people_per_day"] == "2000"
        assert parsed("business_capability__tier")[0].data["facts"]["people_per_day"] == "10000"

    @pytest.mark.parametrize(
        ("tier", "people"),
        [("TIER_250", "250"), ("TIER_100K", "100000"), ("TIER_UNLIMITED", "unlimited"), ("-1", "unlimited"),
         ("", ""), ("TIER_NOT_SET", "")],
    )  # fmt: skip
    def test_the_messaging_limit_becomes_a_number_of_people(self, tier: str, people: str) -> None:
        assert people_per_day(tier) == people


class TestTemplates:
    @pytest.mark.parametrize(
        ("name", "change", "facts"),
        [
            ("template_status__approved", "status", {"status": "approved", "category": "utility", "reason": ""}),
            ("template_status__rejected", "status", {"status": "rejected", "reason": "Parameters stand side by side."}),
            ("template_status__flagged", "status", {"status": "flagged", "effective_at": "December 1, 2026"}),
            ("template_quality__red", "quality", {"quality": "red", "status": None}),
            ("template_components__new_body", "components", {"status": None}),
            ("template_category__marketing", "category", {"category": "marketing"}),
        ],
    )
    def test_changes_are_told_by_kind(
        self, parsed: Parsed, name: str, change: str, facts: dict[str, str | None]
    ) -> None:
        data = parsed(name)[0].data

        assert (data["external_id"], data["name"], data["language"]) == ("600000000000001", "order_update", "pt_BR")
        assert data["change"] == change
        assert {field: data[field] for field in facts} == facts
