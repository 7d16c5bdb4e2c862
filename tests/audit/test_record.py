"""An entry lives and dies with the action it describes, and holds nothing it should not."""

from __future__ import annotations

import pytest
import structlog
from django.db import DatabaseError, IntegrityError, connection, transaction

from audit.models import ActorKind, AuditEntry
from audit.services import Actor, OutsideTransaction, Target, record, record_alone
from tenants.context import in_organization
from tenants.models import Organization

ACTOR = Actor(kind=ActorKind.USER, id="0199-user", label="Ana")


@pytest.mark.django_db(databases=["default", "ingress"])
class TestRecord:
    def test_keeps_who_did_what_to_what(self) -> None:
        entry = record(
            action="integration.connected",
            actor=ACTOR,
            target=Target(kind="integration", id="0199-link", label="Support line"),
            details={"fields": ("access_token",), "version": 2, "nested": {"ok": True, "none": None}},
            request_id="req-1",
        )

        entry.refresh_from_db()
        assert (entry.actor_kind, entry.actor_id, entry.actor_label) == ("user", "0199-user", "Ana")
        assert (entry.target_kind, entry.target_id, entry.target_label) == ("integration", "0199-link", "Support line")
        assert entry.details == {"fields": ["access_token"], "version": 2, "nested": {"ok": True, "none": None}}
        assert entry.request_id == "req-1"
        assert entry.organization_schema is None
        assert str(entry) == f"integration.connected {entry.id}"
        assert int(entry.transaction_id) > 0

    def test_is_rolled_back_with_the_action(self) -> None:
        with transaction.atomic():
            entry = record(action="integration.connected", actor=ACTOR)
            transaction.set_rollback(True)

        assert not AuditEntry.objects.filter(pk=entry.pk).exists()

    def test_fails_the_action_when_it_cannot_be_written(self) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            record(action="Something happened", actor=ACTOR)

    def test_takes_the_request_id_of_the_request(self) -> None:
        with structlog.contextvars.bound_contextvars(request_id="req-2"):
            assert record(action="integration.tested", actor=ACTOR).request_id == "req-2"

    def test_hides_what_looks_like_a_key(self) -> None:
        entry = record(
            action="integration.tested",
            actor=Actor(kind=ActorKind.API_KEY, id="1", label="ir_live_test0000canary"),
            target=Target(kind="integration", id="1", label="Bearer test.canary"),
            details={"note": ["sent sk_live_testcanary"]},
        )

        assert "canary" not in f"{entry.actor_label} {entry.target_label} {entry.details}"

    @pytest.mark.parametrize("text", ["a\x00b", "a\ud800b", "ä" * 300], ids=["nul", "surrogate", "long"])
    def test_takes_any_text_a_person_may_have_typed(self, text: str) -> None:
        entry = record(
            action="integration.renamed",
            actor=Actor(kind=ActorKind.USER, id="1", label=text),
            target=Target(kind="integration", id="1", label=text),
            details={"name": text},
        )

        entry.refresh_from_db()
        assert entry.actor_label

    def test_keeps_an_address_as_a_digest_of_its_organization(self) -> None:
        here, there, again = (
            record(action="session.opened", actor=ACTOR, organization_schema=schema, ip_address="203.0.113.9").ip_digest
            for schema in ("org_test_here", "org_test_there", "org_test_here")
        )

        assert len(here) == 64
        assert here == again != there
        assert record(action="session.opened", actor=ACTOR).ip_digest == ""

    def test_belongs_to_the_entered_organization(
        self, organization: Organization, other_organization: Organization
    ) -> None:
        with in_organization(organization):
            entry = record(action="integration.connected", actor=ACTOR)
            assert AuditEntry.objects.filter(pk=entry.pk).exists()

        assert entry.organization_schema == entry.chain == organization.schema_name
        with in_organization(other_organization):
            assert not AuditEntry.objects.filter(pk=entry.pk).exists()

    @pytest.mark.parametrize("schema", ["public", "org_test_there"])
    def test_cannot_be_written_for_others_from_inside_an_organization(
        self, organization: Organization, schema: str
    ) -> None:
        with in_organization(organization), pytest.raises(DatabaseError, match="row-level security"):  # noqa: SIM117
            with transaction.atomic():
                record(action="integration.connected", actor=ACTOR, organization_schema=schema)


class TestTransaction:
    def test_record_refuses_to_stand_alone(self, committed: None) -> None:
        assert not connection.in_atomic_block

        with pytest.raises(OutsideTransaction, match=r"integration\.connected"):
            record(action="integration.connected", actor=ACTOR)

    def test_record_alone_commits(self, chain: str) -> None:
        entry = record_alone(action="session.opened", actor=ACTOR, organization_schema=chain)

        assert AuditEntry.objects.filter(pk=entry.pk).exists()


class TestActor:
    def test_of_the_platform_names_the_part_that_acts(self) -> None:
        assert Actor.system("sweep_health") == Actor(kind=ActorKind.SYSTEM, label="sweep_health")
        assert Actor.system().label == "system"
