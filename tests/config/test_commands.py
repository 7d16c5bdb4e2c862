"""The commands that run an installation."""

from __future__ import annotations

import importlib.util
import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import ApiKey
from accounts.services import find_api_key
from audit.models import AuditEntry
from core import clock
from dispatch import inbox
from dispatch.models import WebhookDelivery
from integrations import registry
from integrations.contract import AuthenticationFailed, PermissionMissing, Provider
from integrations.generate import docs
from integrations.generate.skeleton import write_skeleton
from integrations.models import Event
from integrations.services.connect import connect
from tenants.context import in_organization
from tenants.models import Organization
from tests.integrations.api import fictional
from tests.wire import Fixtures, Wire


def run(*words: str) -> str:
    """Run a command and return what it printed."""
    out = StringIO()
    call_command(*words, stdout=out, stderr=StringIO())
    return out.getvalue()


@pytest.fixture
def integration(organization: Any) -> Any:
    """A connected integration of the fictional vendor."""
    from audit.services import Actor

    registry.register(fictional.FictionalProvider)
    with in_organization(organization):
        yield connect(**fictional.body(), actor=Actor.system("test"))
    registry.load()


def deliver(integration: Any, organization: Any, body: bytes, *, status: str = "received", days_ago: int = 0) -> Any:
    """Store a delivery."""
    row = WebhookDelivery(
        organization_schema=organization.schema_name,
        link_id=integration.id,
        provider="fictional",
        status=status,
        received_at=clock.now() - timedelta(days=days_ago),
    )
    row.sealed_body = inbox.seal_body(body, organization_schema=organization.schema_name, delivery_id=row.id)
    row.save(force_insert=True)
    return row


class TestCreateOrganization:
    @pytest.mark.django_db(databases=["default", "owner"])
    def test_creates_builds_and_says_what_comes_next(self) -> None:
        printed = run("create_organization", "initech", "--name", "Initech")

        made = Organization.objects.get(slug="initech")
        assert (made.name, made.status, made.progress) == ("Initech", "active", 100)
        assert "/o/initech/admin/" in printed
        assert "create_api_key initech" in printed

    @pytest.mark.parametrize("slug", ["Acme", "a b", "-a", "x" * 41, "acme"])
    def test_refuses_slugs_in_one_line(self, slug: str, organization: Any) -> None:
        with pytest.raises(CommandError) as caught:
            run("create_organization", "--name", "X", "--", slug)

        assert "slug" in str(caught.value)


class TestCreateApiKey:
    def test_prints_the_key_once_and_leaves_an_entry(self, organization: Any) -> None:
        printed = run("create_api_key", "acme", "--scopes", "integrations:read", "usage:read", "--environment", "test")

        found = find_api_key(f"Bearer {printed.strip()}")
        assert found is not None
        assert found.api_key.scopes == ["integrations:read", "usage:read"]
        assert found.api_key.environment == "test"
        assert AuditEntry.objects.get(action="api_key.created").actor_label == "create_api_key"

    def test_takes_commas_between_scopes(self, organization: Any) -> None:
        text = run("create_api_key", "acme", "--scopes", "integrations:read,usage:read", "audit:read").strip()

        assert find_api_key(f"Bearer {text}").api_key.scopes == ["integrations:read", "usage:read", "audit:read"]

    def test_refuses_unknown_scopes_and_organizations(self, organization: Any) -> None:
        with pytest.raises(CommandError, match="flying:read"):
            run("create_api_key", "acme", "--scopes", "flying:read")
        with pytest.raises(CommandError, match="acme, globex"):
            run("create_api_key", "nobody", "--scopes", "*")
        assert ApiKey.objects.count() == 0


class TestProviders:
    def test_prints_a_table_and_json(self) -> None:
        assert "whatsapp" in run("providers")

        entries = {entry["key"]: entry for entry in json.loads(run("providers", "--json"))}

        schema = entries["whatsapp"]["connect_schema"]
        assert schema["properties"]["provider"]["const"] == "whatsapp"
        assert "access_token" in schema["properties"]["credentials"]["required"]


class TestCheckIntegrations:
    def test_tests_live_and_fails_when_one_does(self, integration: Any, monkeypatch: Any) -> None:
        assert "Numbers: ok in" in run("check_integrations", "--organization", "acme", "--provider", "fictional")
        assert "0 tested" in run("check_integrations", "--organization", "globex")

        monkeypatch.setitem(fictional.FAILURES, fictional.GOOD, fictional.FAILURES[fictional.WRONG])

        with pytest.raises(CommandError, match="1 of 1"):
            run("check_integrations")


class TestSweep:
    @pytest.mark.django_db(databases=["default", "owner"])
    def test_works_off_what_is_due(self, integration: Any, organization: Any) -> None:
        rows = [deliver(integration, organization, f"fact-{number}".encode()) for number in range(7)]

        printed = run("sweep")

        assert "Worked off: 7 deliveries" in printed
        assert {row.status for row in WebhookDelivery.objects.filter(id__in=[row.id for row in rows])} == {"processed"}
        with in_organization(organization):
            assert Event.objects.count() == 7


class TestReplayDeliveries:
    WORDS = ("replay_deliveries", "--organization", "acme", "--provider", "fictional")

    def test_replays_what_was_chosen_and_nothing_else(self, integration: Any, organization: Any) -> None:
        old = deliver(integration, organization, b"old", status="dead", days_ago=3)
        dead = deliver(integration, organization, b"dead", status="dead")
        done = deliver(integration, organization, b"done", status="processed")
        since = (clock.now() - timedelta(days=1)).date().isoformat()

        dry = run(*self.WORDS, "--since", since, "--dry-run")
        assert "1 deliveries would be replayed" in dry
        printed = run(*self.WORDS, "--since", since)

        assert "1 deliveries are processed again" in printed
        found = {row.id: row.status for row in WebhookDelivery.objects.all()}
        assert (found[old.id], found[dead.id], found[done.id]) == ("dead", "received", "processed")

    @pytest.mark.parametrize(
        "words", [["--since", "soon"], ["--since", "2026-02-30"], ["--since", "2026-02-02", "--until", "2026-02-01"]]
    )
    def test_refuses_times_it_cannot_read(self, organization: Any, words: list[str]) -> None:
        with pytest.raises(CommandError, match="since"):
            run(*self.WORDS, *words)

    def test_refuses_a_provider_that_does_not_exist(self, organization: Any) -> None:
        with pytest.raises(CommandError, match="no provider 'whatsap'"):
            run("replay_deliveries", "--organization", "acme", "--provider", "whatsap", "--since", "2026-11-02")


class TestDocumentProviders:
    def test_the_pages_in_the_repository_are_fresh(self) -> None:
        assert "fresh" in run("document_providers", "--check")

    def test_finds_changed_missing_and_abandoned_pages(self, tmp_path: Path) -> None:
        (tmp_path / "whatsapp.md").write_text("old")
        (tmp_path / "gone.md").write_text("of a provider that left")

        stale = docs.stale_pages(tmp_path)

        assert set(stale) == {f"{key}.md" for key in registry.providers()} | {"gone.md"}
        assert stale["gone.md"] is None
        assert "`access_token`" in str(stale["whatsapp.md"])


class TestNewProvider:
    def test_writes_a_provider_that_answers_the_questions_of_every_provider(self, tmp_path: Path) -> None:
        files = write_skeleton(tmp_path, app="analytics", key="new_vendor")
        provider = _provider(files[0])

        assert provider.spec.key == "new_vendor"
        assert _wire(provider, files, "ok").connect().check().account.external_id == "acct_test_1"
        with pytest.raises(AuthenticationFailed):
            _wire(provider, files, "unauthorized").connect().check()
        with pytest.raises(PermissionMissing):
            _wire(provider, files, "unproved").connect().check()
        compile(files[1].read_text(), str(files[1]), "exec")
        assert files[1].name == "test_new_vendor.py"

    @pytest.mark.parametrize("key", ["class", "A", "1a", "a-b", "a/../b", "x" * 40, ""])
    def test_refuses_keys_that_name_no_module(self, key: str) -> None:
        with pytest.raises(CommandError, match="key"):
            run("newprovider", "analytics", key)

    def test_overwrites_nothing(self) -> None:
        with pytest.raises(CommandError, match="exists"):
            run("newprovider", "channels_app", "whatsapp")


class TestDoctor:
    @pytest.mark.django_db
    def test_finds_nothing_wrong_here_and_shows_no_secret(self, settings: Any) -> None:
        printed = run("doctor")

        assert "ERROR" not in printed
        assert "row-level security: forced on every table" in printed
        assert "audit_auditentry: append-only" in printed
        assert {"CACHE_URL", "ALLOW_PROVIDER_OVERRIDES"} <= set(printed.split())
        for secret in (settings.SECRET_KEY, settings.MASTER_KEYS, settings.PLATFORM_KEYS):
            assert secret not in printed

    @pytest.mark.django_db
    def test_fails_on_what_production_must_not_be(self, settings: Any) -> None:
        settings.ENVIRONMENT_NAME = "production"
        settings.SANDBOX = True
        settings.HAS_SEPARATE_OWNER = False
        settings.EVIDENCE_URL = ""
        out = StringIO()

        with pytest.raises(CommandError, match="must be fixed"):
            call_command("doctor", stdout=out)

        wrong = [line.split()[1].rstrip(":") for line in out.getvalue().splitlines() if line.startswith("ERROR")]
        assert {"EVIDENCE_URL", "SANDBOX", "ADMIN_HOST"} <= set(wrong)
        assert "one role for everything" in out.getvalue()

    @pytest.mark.django_db
    def test_says_that_redis_is_away(self, settings: Any) -> None:
        settings.REDIS_URL = "redis://127.0.0.1:1/0"
        out = StringIO()

        with pytest.raises(CommandError):
            call_command("doctor", stdout=out)

        assert "Redis: cannot be looked at" in out.getvalue()


def _provider(path: Path) -> type[Provider]:
    spec = importlib.util.spec_from_file_location("new_vendor", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    provider: type[Provider] = module.PROVIDER
    return provider


def _wire(provider: type[Provider], files: list[Path], scenario: str) -> Wire:
    wire = Wire(provider=provider)
    folder = next(path.parent for path in files if path.name == "index.json")
    wire.__dict__["fixtures"] = Fixtures(folder=folder)
    wire.play(scenario)
    return wire
