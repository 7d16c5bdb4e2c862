"""The isolation rules of RELIABILITY section 4, each with a test that fails without it."""

from __future__ import annotations

import threading
import uuid
from contextlib import contextmanager

import pytest
from celery import current_app
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.test import RequestFactory

from dispatch.models import Link
from tenants.context import WrongOrganization, current_schema, in_organization
from tenants.middleware import OrganizationMiddleware
from tenants.models import Organization, new_schema_name
from tenants.tasks import OrganizationTask, PublicTask

pytestmark = pytest.mark.django_db


def rows(sql: str, *parameters: object) -> list[tuple]:
    """Run a query and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


class TestRequests:
    """Rule 1: a request leaves public behind, whatever happened in it."""

    def run(self, path: str, view):
        return OrganizationMiddleware(view)(RequestFactory().get(path))

    def test_works_in_the_organization_of_its_path(self, organization):
        seen = []

        self.run("/o/acme/admin/x/", lambda request: seen.append((current_schema(), request.path_info, request.path)))

        assert seen == [(organization.schema_name, "/admin/x/", "/o/acme/admin/x/")]
        assert current_schema() == "public"

    def test_leaves_public_behind_after_an_exception(self, organization):
        def fail(request):
            raise RuntimeError("view failed")

        with pytest.raises(RuntimeError):
            self.run("/o/acme/admin/", fail)

        assert current_schema() == "public"

    def test_alternating_requests_never_see_each_other(self, organization, other_organization):
        seen = [[], []]
        for _ in range(50):
            for index, slug in enumerate(("acme", "globex")):
                self.run(f"/o/{slug}/", lambda request, index=index: seen[index].append(current_schema()))

        assert set(seen[0]) == {organization.schema_name}
        assert set(seen[1]) == {other_organization.schema_name}

    @pytest.mark.parametrize("status", ["creating", "suspended", "failed"])
    def test_a_closed_organization_is_not_entered(self, organization, status):
        Organization.objects.filter(pk=organization.pk).update(status=status)
        seen = []

        self.run("/o/acme/", lambda request: seen.append(current_schema()))

        assert seen == ["public"]


class TestThreads:
    """Rule 4: a thread inherits no organization."""

    def test_a_thread_starts_in_public(self, organization):
        seen = []

        with in_organization(organization):
            thread = threading.Thread(target=lambda: seen.append(current_schema()))
            thread.start()
            thread.join()

        assert seen == ["public"]


class TestCache:
    """Rule 7: cache keys carry the schema."""

    def test_one_organization_never_reads_anothers_value(self, organization, other_organization):
        key = f"test-{uuid.uuid4()}"
        with in_organization(organization):
            cache.set(key, "ours", timeout=30)

        with in_organization(other_organization):
            assert cache.get(key) is None
        assert cache.get(key) is None
        with in_organization(organization):
            assert cache.get(key) == "ours"


class TestTasks:
    """Rule 8: a task names its organization, and runs nowhere else."""

    @contextmanager
    def task(self, body):
        @current_app.task(base=OrganizationTask, name="tests.body", shared=False)
        def run(**kwargs):
            return body()

        yield run
        current_app.tasks.pop("tests.body")

    def test_runs_in_its_organization(self, organization):
        with self.task(current_schema) as task:
            assert task(schema_name=organization.schema_name) == organization.schema_name
        assert current_schema() == "public"

    @pytest.mark.parametrize(
        "arguments", [{}, {"schema_name": ""}, {"schema_name": "public"}, {"schema_name": "org_gone"}]
    )
    def test_refuses_a_missing_or_unknown_organization(self, organization, arguments):
        with self.task(current_schema) as task, pytest.raises(WrongOrganization):
            task(**arguments)

    def test_refuses_a_suspended_organization(self, organization):
        organization.mark_suspended()

        with self.task(current_schema) as task, pytest.raises(WrongOrganization):
            task(schema_name=organization.schema_name)

    def test_leaves_public_behind_after_a_failure(self, organization):
        def fail():
            raise RuntimeError

        with self.task(fail) as task, pytest.raises(RuntimeError):
            task(schema_name=organization.schema_name)

        assert current_schema() == "public"

    def test_every_task_of_the_product_has_one_of_the_two_bases(self):
        from config.celery import app

        app.loader.import_default_modules()
        ours = [task for name, task in app.tasks.items() if not name.startswith("celery.")]

        assert ours
        assert all(isinstance(task, OrganizationTask | PublicTask) for task in ours)


class TestTables:
    """Rules 9 and 15: no table in two schemas, no admin log, no key across, few tables."""

    def test_no_table_exists_in_public_and_in_an_organization(self, organization):
        both = rows(
            "SELECT table_name FROM information_schema.tables WHERE table_schema IN ('public', %s)"
            " GROUP BY table_name HAVING count(*) > 1",
            organization.schema_name,
        )

        assert both == []

    def test_there_is_no_admin_log(self, organization):
        assert rows("SELECT to_regclass('public.django_admin_log')") == [(None,)]

    def test_no_foreign_key_crosses(self, organization):
        crossing = rows(
            "SELECT c.conname FROM pg_constraint c JOIN pg_class a ON a.oid = c.conrelid JOIN pg_class b ON b.oid ="
            " c.confrelid WHERE c.contype = 'f' AND a.relnamespace <> b.relnamespace"
        )

        assert crossing == []

    def test_an_organization_has_at_most_40_tables(self, organization):
        ((count,),) = rows(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = %s", organization.schema_name
        )

        assert 0 < count <= 40

    def test_every_public_table_of_organizations_is_under_forced_row_security(self):
        open_tables = rows(
            "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
            " AND a.attname = 'organization_schema' AND NOT (c.relrowsecurity AND c.relforcerowsecurity)"
        )

        assert open_tables == []

    def test_a_partition_cannot_be_read_around_its_parent(self, organization):
        unprotected = rows(
            "SELECT c.relname FROM pg_class c WHERE c.relispartition AND c.relkind = 'r' AND NOT c.relrowsecurity"
        )

        assert unprotected == []


class TestRowSecurity:
    """Public rows of an organization are its own, also for code that forgets to filter."""

    def link(self, schema_name: str) -> Link:
        return Link(
            id=uuid.uuid4(), organization_schema=schema_name, organization_label="x", provider="whatsapp",
            category="communication", label="x", environment="test",
        )  # fmt: skip

    def test_foreign_rows_are_invisible(self, organization, other_organization):
        self.link(organization.schema_name).save(force_insert=True)

        with in_organization(other_organization):
            assert Link.objects.count() == 0
        with in_organization(organization):
            assert Link.objects.count() == 1

    def test_foreign_rows_cannot_be_changed(self, organization, other_organization):
        self.link(organization.schema_name).save(force_insert=True)

        with in_organization(other_organization):
            assert Link.objects.update(label="stolen") == 0
            assert Link.objects.all().delete()[0] == 0

    def test_a_foreign_insert_is_refused(self, organization, other_organization):
        with (
            in_organization(other_organization),
            pytest.raises(ProgrammingError, match="row-level security"),
            transaction.atomic(),
        ):
            self.link(organization.schema_name).save(force_insert=True)


class TestRoles:
    """The role of web and workers can do no more than it needs."""

    def test_the_suite_runs_as_the_applications_role(self):
        assert rows("SELECT current_user") == [("registry_app",)]

    @pytest.mark.parametrize(
        "statement",
        [
            "CREATE TABLE public.mine (id int)",
            "CREATE SCHEMA mine",
            "DROP TABLE public.tenants_organization",
            "ALTER TABLE public.dispatch_link DISABLE ROW LEVEL SECURITY",
            "UPDATE public.audit_auditentry SET action = 'x'",
            "DELETE FROM public.audit_auditentry",
            "TRUNCATE public.audit_auditentry",
            "INSERT INTO public.tenants_schemachange (position, migration, sql) VALUES (9999, 'x', 'DROP TABLE x')",
            "UPDATE public.tenants_schemachange SET sql = 'DROP TABLE x'",
            "UPDATE public.tenants_schemastate SET position = 0",
            "DELETE FROM public.django_migrations",
        ],
    )
    def test_is_refused(self, statement):
        with pytest.raises(ProgrammingError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


class TestSchemaNames:
    """Rule 12: generated, never from a user's text."""

    def test_is_generated_in_the_safe_alphabet(self):
        names = {new_schema_name() for _ in range(100)}

        assert len(names) == 100
        assert all(name.startswith("org_") and name.isidentifier() and name == name.lower() for name in names)

    def test_the_database_refuses_any_other(self, db):
        with pytest.raises((IntegrityError, ValidationError)), transaction.atomic():
            Organization.objects.bulk_create([Organization(slug="evil", name="x", schema_name='x"; drop schema')])
