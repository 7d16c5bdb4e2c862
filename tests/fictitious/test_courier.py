"""The process that renews tokens: it outlives its starter, and what it cannot survive itself ends well or is said."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connections

from audit.models import AuditEntry
from config import runtime
from dispatch.models import Link
from integrations.models import Integration
from integrations.services import courier_process, tokens
from meter.models import Call
from tenants.context import in_organization
from tests.fictitious.conftest import Shop
from tests.fictitious.race.driver import Callers, lock_of
from tests.fictitious.test_tokens import opened, states
from tests.fictitious.vendor import Parcelbox

WITHIN_S = 20.0
"""A courier starts in about 2 s on a machine that is not busy."""


def until(is_true: Callable[[], bool]) -> None:
    """Wait for something that other processes do."""
    end = time.monotonic() + WITHIN_S
    while not is_true():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.05)


def versions(shop: Shop) -> list[int]:
    """The versions that were stored, oldest first."""
    with in_organization(shop.organization):
        found = [version for version, _state, _sealed in states(shop.integration)]
    connections.close_all()
    return found


@contextmanager
def no_database() -> Iterator[None]:
    """Turn everybody out of the test's database and let nobody in."""
    connections.close_all()
    data_dir, name = Path(settings.DATA_DIR), settings.TEST_DATABASE
    turn_out = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    runtime.psql(data_dir, f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false', database="postgres")
    try:
        runtime.psql(data_dir, turn_out, database="postgres")
        yield
    finally:
        runtime.psql(data_dir, f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true', database="postgres")


class TestCallerDies:
    @pytest.mark.parametrize("point", ["token.courier_sent", "token.claimed"])
    def test_the_tokens_are_renewed_all_the_same(
        self, committed: Shop, vendor: Parcelbox, callers: Callers, point: str, settings: Any
    ) -> None:
        callers.arm(point)

        callers.send(1)

        assert callers.collect() == [None]
        if point == "token.claimed":  # nobody sent a courier: the sweep, or whoever asks next, does
            assert vendor.count("/token") == 0
            callers.send(1, processes=2)
            assert len([seen for seen in callers.collect() if seen is not None]) == 2
        until(lambda: versions(committed) == [1, 2])
        assert vendor.count("/token") == 1
        with in_organization(committed.organization):
            assert opened(committed.integration)["refresh_token"] == committed.merchant.refresh_token

    def test_the_courier_is_no_child_of_anybody_that_is_stopped(
        self, committed: Shop, vendor: Parcelbox, callers: Callers
    ) -> None:
        vendor.late_s = 2.0
        [caller] = callers.send(1)
        until(lambda: vendor.count("/token") == 1)
        with in_organization(committed.organization):
            assert Link.objects.get(pk=committed.integration.pk).refresh_id is not None

        os.kill(caller, 9)

        assert callers.collect() == [None]
        until(lambda: versions(committed) == [1, 2])
        assert os.getpgid(callers.host.pid) not in {os.getpgid(pid) for pid in couriers()}


class TestCourierDies:
    @pytest.mark.parametrize("point", ["token.before_call", "token.stored"])
    def test_nothing_is_lost_before_the_call_and_after_storing(
        self, committed: Shop, vendor: Parcelbox, callers: Callers, point: str
    ) -> None:
        callers.arm(point)

        callers.send(1)
        [seen] = callers.collect()

        assert seen is not None
        assert seen[0]["token"] == committed.merchant.access_token
        assert vendor.count("/token") == 1
        assert vendor.revoked == []
        assert versions(committed) == [1, 2]

    def test_what_dies_between_the_answer_and_its_storing_is_said(
        self, committed: Shop, vendor: Parcelbox, callers: Callers
    ) -> None:
        callers.arm("token.after_call")

        callers.send(1)
        [seen] = callers.collect()

        assert seen is not None
        assert "AuthenticationFailed" in seen[0]["error"]
        assert vendor.revoked == ["mer_9"]
        assert vendor.count("/token") == 2
        with in_organization(committed.organization):
            integration = Integration.objects.get()
            assert integration.status == "needs_reauth"
            assert integration.health_next_action
            link = Link.objects.get(pk=integration.pk)
            assert (link.next_refresh_at, link.refresh_id) == (None, None)


class TestDatabaseAway:
    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the courier notice that the database is away, instead of waiting in the pool until it is back."""
        monkeypatch.setenv("RACE_DATABASE_WAIT_S", "0.5")

    def test_the_answer_is_stored_when_it_is_back(self, committed: Shop, vendor: Parcelbox, callers: Callers) -> None:
        vendor.late_s = 1.0
        callers.send(1)
        until(lambda: vendor.count("/token") == 1)

        with no_database():
            time.sleep(2.5)  # the answer comes and cannot be stored

        callers.collect()
        until(lambda: versions(committed) == [1, 2])
        assert vendor.count("/token") == 1
        with in_organization(committed.organization):
            assert opened(committed.integration)["refresh_token"] == committed.merchant.refresh_token
            assert AuditEntry.objects.filter(action="token.refreshed").count() == 1


class TestSweep:
    def test_sends_a_courier_and_does_not_wait(
        self, committed: Shop, vendor: Parcelbox, callers: Callers, settings: Any
    ) -> None:
        vendor.late_s = 1.0
        with in_organization(committed.organization):
            tokens._ask(committed.integration, 1, None)
        connections.close_all()
        callers.sweep()

        assert versions(committed) == [1]
        until(lambda: versions(committed) == [1, 2])
        assert vendor.count("/token") == 1
        with in_organization(committed.organization):
            assert Call.objects.filter(operation="refresh").count() == 1


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Path]:
    """The lock of a courier of the test's database at full pace: when it is idle it stays for ten seconds."""
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.fictitious.race.settings")
    monkeypatch.setenv("TEST_DATA_DIR", str(settings.DATA_DIR))
    monkeypatch.setenv("TEST_DATABASE_NAME", settings.TEST_DATABASE)
    monkeypatch.setenv("PROVIDER_URL_PARCELBOX", settings.PROVIDER_OVERRIDES["parcelbox"][""])
    monkeypatch.setenv("TIME_SCALE", "1")
    lock = courier_process.lock_file(tmp_path, "here/one")
    yield lock
    assert courier_process.stop(tmp_path, wait_s=WITHIN_S)


def ask(shop: Shop) -> None:
    """Want new tokens, and wait for nothing."""
    with in_organization(shop.organization):
        tokens._ask(shop.integration, 1, None)
    connections.close_all()


class TestStop:
    def test_one_that_is_idle_ends_at_once(self, committed: Shop, vendor: Parcelbox, lock: Path) -> None:
        ask(committed)
        courier_process.ensure(lock, folder=settings.BASE_DIR)
        until(lambda: versions(committed) == [1, 2])
        time.sleep(0.5)
        assert courier_process.is_at_work(lock)

        assert courier_process.stop(lock.parent, wait_s=3.0)

    def test_one_at_work_stores_what_the_vendor_answers_first(
        self, committed: Shop, vendor: Parcelbox, lock: Path
    ) -> None:
        vendor.late_s = 2.0
        ask(committed)
        courier_process.ensure(lock, folder=settings.BASE_DIR)
        until(lambda: vendor.count("/token") == 1)

        assert not courier_process.stop(lock.parent, wait_s=0)

        assert versions(committed) == [1]
        assert courier_process.stop(lock.parent, wait_s=5.0)
        assert versions(committed) == [1, 2]

    def test_nobody_else_is_asked(self, tmp_path: Path) -> None:
        left = courier_process.lock_file(tmp_path, "here/one")
        left.write_text(str(os.getpid()))  # of a courier that was killed; the number is another process's by now

        assert courier_process.stop(tmp_path, wait_s=0)

    def test_one_that_ended_leaves_no_number(self, tmp_path: Path) -> None:
        left = courier_process.lock_file(tmp_path, "here/one")

        with courier_process.held(left):
            assert left.read_text() == str(os.getpid())

        assert left.read_text() == ""


class TestProcess:
    def test_there_is_one_per_database(self, tmp_path: Path) -> None:
        lock = courier_process.lock_file(tmp_path, "here/one")

        with courier_process.held(lock) as first, courier_process.held(lock) as second:
            assert (first, second) == (True, False)
            assert courier_process.is_at_work(lock)
            assert not courier_process.ensure(lock, folder=tmp_path)
        assert not courier_process.is_at_work(lock)
        assert courier_process.lock_file(tmp_path, "here/two") != lock

    def test_one_that_finds_another_at_work_ends_at_once(self, tmp_path: Path) -> None:
        lock = courier_process.lock_file(tmp_path, "here/one")

        with courier_process.held(lock):
            started_at = time.monotonic()
            courier_process._main(lock)

        assert time.monotonic() - started_at < 2

    def test_its_name_stays_while_the_machine_runs(self, tmp_path: Path) -> None:
        lock, other = tmp_path / "one.lock", tmp_path / "two.lock"

        assert courier_process.identity(lock) == courier_process.identity(lock) != courier_process.identity(other)

    def test_nothing_secret_is_on_its_command_line(self, committed: Shop, vendor: Parcelbox, callers: Callers) -> None:
        vendor.late_s = 1.0
        secrets = set(committed.merchant.credentials.values())
        callers.send(1)
        until(lambda: vendor.count("/token") == 1)

        [pid] = couriers()
        told = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()

        assert not [secret for secret in secrets if secret.encode() in told]
        callers.collect()


def couriers() -> list[int]:
    """The processes that hold the lock of the test's couriers."""
    lock = lock_of(Path(settings.DATA_DIR), settings.TEST_DATABASE)
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if str(lock).encode() in words:
            found.append(int(folder.name))
    return found
