"""One door: values open where they belong, keys are rotated without touching them and destroyed for good."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from core import clock
from core.secret import SecretLeak
from tenants.context import in_organization
from tenants.models import Organization
from vault import conf, keyring, services
from vault.keyring import KEYRING
from vault.keys import BadKeyRing, new_ring_entry
from vault.models import OrganizationKey
from vault.services import KeysDestroyed, SealBroken, SealContext

pytestmark = pytest.mark.django_db(databases=["default", "ingress"])

HERE = SealContext(organization_schema="org_test_here", owner="integration-1", field="credential", version=1)
THERE = replace(HERE, organization_schema="org_test_there")


def keys_of(schema: str) -> Any:
    return OrganizationKey.objects.using(conf.key_database()).filter(organization_schema=schema).order_by("version")


class TestSeal:
    def test_opens_in_its_place_and_makes_the_first_key(self) -> None:
        sealed = services.seal(b"body", HERE)

        assert services.open_bytes(sealed, HERE) == b"body"
        assert services.open_bytes(memoryview(sealed), HERE) == b"body"
        assert [key.version for key in keys_of("org_test_here")] == [1]

    def test_refuses_the_place_of_another_organization(self) -> None:
        services.seal(b"body", THERE)
        sealed = services.seal(b"body", HERE)

        with pytest.raises(SealBroken):
            services.open_bytes(sealed, THERE)

    def test_refuses_an_organization_without_a_key(self) -> None:
        sealed = services.seal(b"body", HERE)

        with pytest.raises(SealBroken):
            services.open_bytes(sealed, THERE)
        assert not keys_of("org_test_there").exists()

    def test_costs_no_query_once_the_keys_are_open(self, django_assert_num_queries: Any) -> None:
        sealed = services.seal(b"body", HERE)

        with django_assert_num_queries(0, using=conf.key_database()):
            services.seal(b"body", HERE)
            services.open_bytes(sealed, HERE)
            services.keyed_digest(b"body", organization_schema="org_test_here", purpose="inbox")

    def test_keeps_the_platforms_bodies_under_the_platforms_key(self) -> None:
        context = replace(HERE, organization_schema=services.PLATFORM)

        assert services.open_bytes(services.seal(b"batch", context), context) == b"batch"


class TestOpenSecrets:
    def test_gives_fields_that_refuse_to_be_shown(self) -> None:
        sealed = services.seal_secrets({"access_token": "test-token", "app_secret": ""}, HERE)

        secrets = services.open_secrets(sealed, HERE)

        assert list(secrets) == ["access_token"]
        assert secrets["access_token"].reveal() == "test-token"
        with pytest.raises(SecretLeak):
            str(secrets)

    @pytest.mark.parametrize("plaintext", [b"", b"{", b"[]", b'{"a":1}', b"\xff"])
    def test_refuses_what_is_no_credential_and_keeps_it_out_of_the_error(self, plaintext: bytes) -> None:
        sealed = services.seal(plaintext, HERE)

        with pytest.raises(SealBroken) as caught:
            services.open_secrets(sealed, HERE)

        assert caught.value.__context__ is None


class TestPlatformSecret:
    def test_opens_under_its_label_only(self) -> None:
        sealed = services.seal_platform_secret("test-secret", label="oauth_app:1:client_secret")

        assert services.open_platform_secret(memoryview(sealed), label="oauth_app:1:client_secret").matches(
            "test-secret"
        )
        assert services.is_platform_secret_current(sealed)
        with pytest.raises(SealBroken):
            services.open_platform_secret(sealed, label="oauth_app:2:client_secret")

    def test_says_when_an_older_key_sealed_it(self, settings: Any) -> None:
        sealed = services.seal_platform_secret("test-secret", label="x")

        settings.PLATFORM_KEYS = f"{new_ring_entry('next')},{settings.PLATFORM_KEYS}"

        assert services.open_platform_secret(sealed, label="x").matches("test-secret")
        assert not services.is_platform_secret_current(sealed)


class TestKeyedDigest:
    def test_depends_on_the_organization(self) -> None:
        digests = {
            services.keyed_digest(b"body", organization_schema=schema, purpose="inbox")
            for schema in ("org_test_here", "org_test_there", services.PLATFORM)
        }

        assert len(digests) == 3

    def test_survives_rotations(self, settings: Any) -> None:
        before = services.keyed_digest(b"body", organization_schema="org_test_here", purpose="inbox")

        services.rotate_organization_key("org_test_here")
        settings.MASTER_KEYS = f"{new_ring_entry('next')},{settings.MASTER_KEYS}"
        list(services.rewrap())
        KEYRING.forget()

        assert services.keyed_digest(b"body", organization_schema="org_test_here", purpose="inbox") == before

    def test_is_refused_after_erasure(self) -> None:
        services.ensure_key("org_test_here")
        services.destroy_keys("org_test_here")

        with pytest.raises(KeysDestroyed):
            services.keyed_digest(b"body", organization_schema="org_test_here", purpose="inbox")


class TestRotateOrganizationKey:
    def test_seals_under_the_new_version_and_opens_both(self) -> None:
        old = services.seal(b"old", HERE)

        assert services.rotate_organization_key("org_test_here") == 2

        new = services.seal(b"new", HERE)
        assert services.open_bytes(old, HERE) == b"old"
        assert services.open_bytes(new, HERE) == b"new"
        assert services.sealed_under_latest(new, "org_test_here")
        assert not services.sealed_under_latest(old, "org_test_here")

    def test_is_noticed_by_a_process_that_has_the_older_keys_open(self) -> None:
        services.ensure_key("org_test_here")
        stale = KEYRING.get("org_test_here")
        services.rotate_organization_key("org_test_here")
        sealed = services.seal(b"new", HERE)

        KEYRING._entries["org_test_here"] = stale

        assert services.open_bytes(sealed, HERE) == b"new"


class TestRewrap:
    def test_moves_every_key_and_touches_no_sealed_value(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(services, "_REWRAP_BATCH", 2)
        sealed = services.seal(b"body", HERE)
        services.rotate_organization_key("org_test_here")
        services.ensure_key("org_test_there")
        old, fresh = settings.MASTER_KEYS, new_ring_entry("next")

        settings.MASTER_KEYS = f"{fresh},{old}"
        batches = list(services.rewrap())

        settings.MASTER_KEYS = fresh
        KEYRING.forget()
        assert sum(batches) >= 3
        assert max(batches) <= 2
        assert {key.master_id for key in keys_of("org_test_here")} == {"next"}
        assert services.open_bytes(sealed, HERE) == b"body"
        assert list(services.rewrap()) == []

    def test_goes_on_where_it_was_stopped(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(services, "_REWRAP_BATCH", 1)
        for schema in ("org_test_1", "org_test_2", "org_test_3"):
            services.ensure_key(schema)
        settings.MASTER_KEYS = f"{new_ring_entry('next')},{settings.MASTER_KEYS}"

        assert next(services.rewrap()) == 1
        rest = sum(services.rewrap())

        live = OrganizationKey.objects.using(conf.key_database()).live()
        assert rest == live.count() - 1
        assert set(live.values_list("master_id", flat=True)) == {"next"}

    def test_refuses_a_ring_without_the_key_in_use(self, settings: Any) -> None:
        services.ensure_key("org_test_here")
        settings.MASTER_KEYS = new_ring_entry("next")

        with pytest.raises(BadKeyRing, match="MASTER_KEYS lacks the key"):
            list(services.rewrap())

        assert not keys_of("org_test_here").filter(master_id="next").exists()


class TestCheckMasterKeys:
    def test_passes_with_the_keys_in_use(self) -> None:
        services.ensure_key("org_test_here")

        services.check_master_keys()

    def test_refuses_other_bytes_under_a_known_id(self, settings: Any) -> None:
        services.ensure_key("org_test_here")
        settings.MASTER_KEYS = new_ring_entry(settings.MASTER_KEYS.partition(":")[0])

        with pytest.raises(BadKeyRing, match="holds another key under the id"):
            services.check_master_keys()


class TestDestroyKeys:
    def test_makes_everything_unreadable_and_keeps_the_evidence(self) -> None:
        sealed = services.seal(b"body", HERE)
        other = services.seal(b"body", THERE)
        services.rotate_organization_key("org_test_here")

        assert services.destroy_keys("org_test_here") == 2

        with pytest.raises(SealBroken):
            services.open_bytes(sealed, HERE)
        with pytest.raises(KeysDestroyed):
            services.seal(b"body", HERE)
        with pytest.raises(KeysDestroyed):
            services.rotate_organization_key("org_test_here")
        assert [bytes(key.wrapped) for key in keys_of("org_test_here")] == [b"", b""]
        assert all(key.destroyed_at for key in keys_of("org_test_here"))
        assert services.open_bytes(other, THERE) == b"body"

    def test_reaches_a_process_with_open_keys_within_five_minutes(self) -> None:
        sealed = services.seal(b"body", HERE)
        opened = KEYRING.get("org_test_here")
        services.destroy_keys("org_test_here")
        KEYRING._entries["org_test_here"] = opened

        with clock.shifted(timedelta(minutes=4, seconds=50)):
            assert services.open_bytes(sealed, HERE) == b"body"
        with clock.shifted(timedelta(minutes=5, seconds=1)), pytest.raises(SealBroken):
            services.open_bytes(sealed, HERE)


class TestKeyring:
    def test_stays_within_its_size(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(keyring, "MOST_ORGANIZATIONS", 3)
        for number in range(5):
            services.ensure_key(f"org_test_{number}")
            KEYRING.get(f"org_test_{number}")

        assert len(KEYRING) == 3
        assert list(KEYRING._entries) == ["org_test_2", "org_test_3", "org_test_4"]

    def test_shows_no_key(self) -> None:
        services.ensure_key("org_test_here")

        assert "by_version" not in repr(KEYRING.get("org_test_here"))


class TestOrganizationKey:
    def test_is_one_per_version(self) -> None:
        services.ensure_key("org_test_here")
        services.ensure_key("org_test_here")

        assert keys_of("org_test_here").count() == 1
        assert str(keys_of("org_test_here").get()) == "org_test_here v1"

    def test_is_invisible_from_another_organization(
        self, organization: Organization, other_organization: Organization
    ) -> None:
        for schema in (organization.schema_name, other_organization.schema_name):
            OrganizationKey.objects.create(organization_schema=schema, version=99, wrapped=b"x", master_id="m1")

        with in_organization(organization):
            seen = set(OrganizationKey.objects.filter(version=99).values_list("organization_schema", flat=True))

        assert seen == {organization.schema_name}

    def test_holds_no_key_in_the_clear(self) -> None:
        services.ensure_key("org_test_here")
        key = KEYRING.get("org_test_here").by_version[1]

        with connections[conf.key_database()].cursor() as cursor:
            cursor.execute("SELECT vault_organizationkey::text FROM vault_organizationkey")
            rows = " ".join(row[0] for row in cursor.fetchall())

        assert key.hex() not in rows
