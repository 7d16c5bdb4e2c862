"""
The suite's servers, databases and the fixtures that most tests share.

One embedded PostgreSQL and Redis per data folder serve all workers. A template database is migrated once per state
of the migrations, with two organizations in it; each worker gets a copy, each test a transaction.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connections
from playwright.sync_api import expect

from config import runtime

ROOT = Path(__file__).resolve().parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """Start the servers once, in the process that controls the workers; give browsers the time of a busy machine."""
    expect.set_options(timeout=20_000)
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    data_dir = _data_dir()
    data_dir.mkdir(parents=True, exist_ok=True)
    lock = (data_dir / "sessions.lock").open("w")
    with _exclusive(data_dir):
        runtime.start_postgres(data_dir)
        runtime.start_redis(data_dir)
        fcntl.flock(lock, fcntl.LOCK_SH)
    config.stash[_LOCK] = lock


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the groups, which take minutes each: at the end, one worker would wait for the other's."""
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to go on where xdist did not keep the groups together: what shares a machine's parts would collide."""
    if not session.config.getoption("loadgroup", default=False):
        return
    for item in session.items:
        if item.get_closest_marker("xdist_group") and "@" not in item.nodeid:
            raise pytest.UsageError(f"pytest-xdist did not group {item.nodeid}: do their versions fit each other?")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the servers when no other session uses them."""
    lock = config.stash.get(_LOCK, None)
    if lock is None:
        return
    data_dir = _data_dir()
    with _exclusive(data_dir):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        runtime.stop_redis(data_dir)
        runtime.stop_postgres(data_dir)
        lock.close()


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: Any) -> Iterator[None]:
    """Copy the migrated template into this worker's database, and drop the copy at the end."""
    name, data_dir = settings.TEST_DATABASE, _data_dir()
    with django_db_blocker.unblock(), _exclusive(data_dir):
        template = _template(data_dir)
        runtime.create_database(name, data_dir=data_dir, template=template)
    yield
    with django_db_blocker.unblock():
        connections.close_all()
        runtime.drop_database(name, data_dir=data_dir)


@pytest.fixture
def organization(db: None) -> Any:
    """The organization that a test works in; its schema is in the template."""
    from tenants.models import Organization

    return Organization.objects.get(slug="acme")


@pytest.fixture
def other_organization(db: None) -> Any:
    """The organization that must stay untouched."""
    from tenants.models import Organization

    return Organization.objects.get(slug="globex")


@pytest.fixture
def inside(organization: Any) -> Iterator[Any]:
    """Run the test inside the organization."""
    from tenants.context import in_organization

    with in_organization(organization):
        yield organization


@pytest.fixture
def member(organization: Any) -> Callable[..., Any]:
    """Make a user with a role: ``member("viewer")``; another organization by ``of=``."""
    from accounts.models import User
    from accounts.services import add_member

    def make(role: str, *, of: Any = None, email: str = "") -> User:
        user = User.objects.create_user(email or f"{role}@example.com", "a-long-test-password")
        add_member(user=user, schema_name=(of or organization).schema_name, role=role)
        return user

    return make


@pytest.fixture
def staff(db: None) -> Any:
    """Platform staff."""
    from accounts.models import User

    return User.objects.create_superuser("staff@example.com", "a-long-test-password")


@pytest.fixture
def api(organization: Any) -> Callable[..., Any]:
    """Make an API client: ``api()`` has every scope and the test environment."""
    from rest_framework.test import APIClient

    from accounts.services import create_api_key

    def make(*, scopes: tuple[str, ...] = ("*",), environment: str = "test", of: Any = None) -> APIClient:
        _key, text = create_api_key(
            schema_name=(of or organization).schema_name, name="test", scopes=scopes, environment=environment
        )
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
        return client

    return make


@pytest.fixture
def vendor_fixtures() -> Path:
    """The folder of vendor payloads; elsewhere than in CI these tests skip."""
    folder = os.environ.get("VENDOR_FIXTURES", "")
    if not folder:
        pytest.skip("VENDOR_FIXTURES is not set: vendor payloads are test data of CI")
    return Path(folder)


_LOCK: pytest.StashKey[Any] = pytest.StashKey()


def _data_dir() -> Path:
    return Path(settings.DATA_DIR)


class _exclusive:
    """Hold the folder's lock: one process at a time starts servers or builds the template."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "setup.lock"

    def __enter__(self) -> None:
        self.file = self.path.open("w")
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *exc: object) -> None:
        self.file.close()


def _template(data_dir: Path) -> str:
    name = f"template_{_state_of_migrations()}"
    marker = data_dir / f"{name}.ready"
    if marker.exists():
        return name
    runtime.drop_database(name, data_dir=data_dir)
    runtime.create_database(name, data_dir=data_dir)
    _use(name)
    try:
        from meter.partitions import make_partitions
        from tenants.services import build_organization, create_organization, migrate_everything
        from vault.services import PLATFORM, ensure_key

        migrate_everything()
        make_partitions()
        for slug in ("acme", "globex"):
            organization = create_organization(slug=slug, name=slug.title())
            build_organization(organization)
            ensure_key(organization.schema_name)
        ensure_key(PLATFORM)
    finally:
        connections.close_all()
        _use(settings.TEST_DATABASE)
    marker.touch()
    return name


def _use(name: str) -> None:
    for alias in connections:
        connections[alias].close()
        connections[alias].settings_dict["NAME"] = name


def _state_of_migrations() -> str:
    digest = hashlib.sha256()
    for path in sorted(
        [*ROOT.glob("*/migrations/*.py"), *ROOT.glob("tenants/*.py"), *ROOT.glob("config/runtime.py"), Path(__file__)]
    ):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
