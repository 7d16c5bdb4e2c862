"""One door to plaintext: people are written down, machines counted, other organizations shut out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache

from audit.models import AuditEntry
from core.secret import SecretLeak
from integrations.contract import Misconfigured
from integrations.models import Credential
from integrations.services import credentials
from integrations.services.credentials import OF_PEOPLE, Purpose, open_for
from tenants.context import in_organization
from tests.fictitious.conftest import ACTOR, Shop
from vault.services import SealBroken

pytestmark = pytest.mark.django_db


class TestOpenFor:
    @pytest.mark.parametrize("purpose", sorted(OF_PEOPLE))
    def test_a_person_leaves_an_audit_entry_or_gets_nothing(self, inside_shop: Shop, purpose: Purpose) -> None:
        with pytest.raises(ValueError, match="actor"):
            open_for(inside_shop.integration, purpose)
        assert not AuditEntry.objects.filter(action="credential.opened").exists()

        open_for(inside_shop.integration, purpose, actor=ACTOR)

        entry = AuditEntry.objects.get(action="credential.opened")
        assert entry.details == {"purpose": purpose.value, "version": 1}

    def test_a_person_gets_nothing_when_the_entry_cannot_be_written(
        self, inside_shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(**kwargs: Any) -> None:
            raise RuntimeError("the trail is full")

        monkeypatch.setattr(credentials, "record", refuse)

        with pytest.raises(RuntimeError):
            open_for(inside_shop.integration, Purpose.REVEAL, actor=ACTOR)

    @pytest.mark.parametrize("purpose", sorted(set(Purpose) - OF_PEOPLE))
    def test_a_machine_is_counted_and_writes_nothing(self, inside_shop: Shop, purpose: Purpose) -> None:
        open_for(inside_shop.integration, purpose)

        assert not AuditEntry.objects.filter(action="credential.opened").exists()

    def test_what_was_opened_has_no_text(self, inside_shop: Shop) -> None:
        opened = open_for(inside_shop.integration, Purpose.CALL)

        with pytest.raises(SecretLeak):
            str(opened)

    def test_a_blob_copied_to_another_organization_opens_nowhere(self, shop: Shop, other_shop: Shop) -> None:
        with in_organization(shop.organization):
            stolen = bytes(Credential.objects.get().sealed or b"")
        with in_organization(other_shop.organization):
            Credential.objects.update(sealed=stolen)

            with pytest.raises(SealBroken):
                open_for(other_shop.integration, Purpose.CALL)


class TestOpenMany:
    def test_opens_counts_and_leaves_out_what_is_broken(
        self, organization: Any, open_shop: Callable[..., Shop]
    ) -> None:
        shops = [open_shop(organization, number) for number in (1, 2, 3)]
        with in_organization(organization):
            Credential.objects.filter(integration=shops[1].integration).update(sealed=b"broken")
            rows = list(Credential.objects.select_related("integration").order_by("integration_id"))

            opened = dict(credentials.open_many(rows, Purpose.CHECK))
            open_for(shops[0].integration, Purpose.CHECK)

            tokens = {secrets["access_token"].reveal() for secrets in opened.values()}
            assert tokens == {"pat_test_1first", "pat_test_3first"}
            counts = [cache.get(credentials._counter(row, Purpose.CHECK)) for row in rows]
            assert counts == [2, 1, 1]

    @pytest.mark.parametrize("purpose", sorted(OF_PEOPLE))
    def test_is_not_for_people(self, inside_shop: Shop, purpose: Purpose) -> None:
        rows = list(Credential.objects.select_related("integration"))

        with pytest.raises(ValueError, match="person"):
            dict(credentials.open_many(rows, purpose))
        with pytest.raises(ValueError, match="person"):
            credentials.open_loaded(rows[0], purpose)


class TestVersions:
    def test_one_serves_and_the_older_ones_stay_readable_by_number(self, inside_shop: Shop) -> None:
        credentials.store(inside_shop.integration, {"access_token": "pat_test_two"})

        assert open_for(inside_shop.integration, Purpose.CALL)["access_token"].reveal() == "pat_test_two"
        previous = credentials.open_previous(inside_shop.integration, 1)
        assert previous is not None
        assert previous["access_token"].reveal() == "pat_test_1first"
        assert credentials.open_previous(inside_shop.integration, 2) is None

    def test_a_destroyed_one_is_gone_and_the_current_one_cannot_be(self, inside_shop: Shop) -> None:
        credentials.store(inside_shop.integration, {"access_token": "pat_test_two"})

        for version in (1, 2):
            credentials.destroy_version(inside_shop.integration, version)

        assert credentials.open_previous(inside_shop.integration, 1) is None
        assert open_for(inside_shop.integration, Purpose.CALL)

    def test_shows_four_characters_of_a_long_secret_and_none_of_a_short_one(self, inside_shop: Shop) -> None:
        long = credentials.store(inside_shop.integration, {"access_token": "pat_test_long_enough"})
        short = credentials.store(inside_shop.integration, {"access_token": "pat_test_1"})

        assert (long.last4, short.last4) == ("ough", "")
        assert long.fields == ["access_token"]
        assert long.fingerprint != short.fingerprint

    def test_after_the_last_one_the_user_is_asked_to_reconnect(self, inside_shop: Shop) -> None:
        assert credentials.destroy_all(inside_shop.integration) == 1

        with pytest.raises(Misconfigured) as caught:
            open_for(inside_shop.integration, Purpose.CALL)

        assert "Reconnect" in caught.value.next_action
