"""PostgreSQL restarted, without connections, deadlocked, full: 503 with Retry-After, never 2xx, back by itself."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from config import runtime
from tests.faults.installation import Installation, eventually, within
from tests.faults.traffic import Answer, Business

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("faults-2")]

BACK_TABLE_S = 30
DISCONNECT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'registry_app'"
FULL_DISK = """
CREATE OR REPLACE FUNCTION public.fault_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
END $$;
CREATE TRIGGER fault_full BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION public.fault_full();
"""
"""
A disk cannot be filled by whoever runs a test, so a trigger says what PostgreSQL says then (disk_full). What a full
disk does besides, stopping the server, is what a restart does.
"""


def is_refusal(answer: Answer) -> bool:
    """Whether an answer tells the vendor to come again."""
    return answer.status == 503 and answer.retry_after.isdigit()


def connect_as(product: Installation, user: str) -> psycopg.Connection:
    folder = str(runtime.run_dir(product.data_dir) / "postgres")
    return psycopg.connect(host=folder, port=runtime.PORT, dbname=runtime.DATABASE, user=user)


@contextlib.contextmanager
def no_connections(product: Installation) -> Iterator[None]:
    """Hold every connection that the server gives, after taking the product's away."""
    held: list[psycopg.Connection] = []
    is_over = threading.Event()
    taker = threading.Thread(target=_take_all, args=(product, held, is_over), daemon=True)
    taker.start()
    try:
        eventually(lambda: _refuses(product), within_s=10, what="the server to be out of connections")
        for _ in range(3):
            product.psql(DISCONNECT.replace("WHERE", "WHERE application_name <> 'taker' AND"))
            time.sleep(0.3)  # the taker is there before whoever comes again
        yield
    finally:
        is_over.set()
        taker.join()
        for connection in held:
            connection.close()


def _take_all(product: Installation, held: list[psycopg.Connection], is_over: threading.Event) -> None:
    folder = str(runtime.run_dir(product.data_dir) / "postgres")
    address = {"host": folder, "port": runtime.PORT, "dbname": runtime.DATABASE, "user": runtime.ROLES["app"]}
    while not is_over.is_set():
        try:
            held.append(psycopg.connect(**address, application_name="taker"))
        except psycopg.OperationalError:
            time.sleep(0.01)


def _refuses(product: Installation) -> bool:
    try:
        connect_as(product, runtime.ROLES["app"]).close()
    except psycopg.OperationalError:
        return True
    return False


@contextlib.contextmanager
def full_disk(product: Installation, *tables: str) -> Iterator[None]:
    """Let every insert into some tables fail as it does on a full disk."""
    for table in tables:
        product.psql(FULL_DISK.format(table=table))
    try:
        yield
    finally:
        for table in tables:
            product.psql(f"DROP TRIGGER fault_full ON {table}")


class TestPostgres:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["restarted", "killed"])
    def test_stopped_in_the_middle_of_traffic(self, business: Business, number: signal.Signals) -> None:
        flow = business.flow(webhooks=60, messages=15)
        time.sleep(0.5)
        business.product.signal("postgres", number)

        for thread in flow:
            thread.join()

        refused = [answer for answer in business.posted.values() if not answer.is_taken]
        assert refused
        assert all(is_refusal(answer) for answer in refused)
        eventually(business.product.is_ready, within_s=within(BACK_TABLE_S), what="the product to be ready")
        business.post_again(within_s=within(BACK_TABLE_S))
        business.settle(within_s=within(2 * 120 + 10))
        business.assert_nothing_lost_or_doubled()

    def test_without_a_connection_left_refuses_and_recovers(self, business: Business) -> None:
        with no_connections(business.product):
            answers = business.post_many(6)
        assert all(is_refusal(answer) for answer in answers), answers

        business.post_again(within_s=within(BACK_TABLE_S))

        business.settle(within_s=within(BACK_TABLE_S))
        business.assert_nothing_lost_or_doubled()
        assert business.send().is_taken

    def test_a_deadlock_is_refused_and_repeated(self, business: Business) -> None:
        business.post_many(48)  # each thread of the web process has its statement prepared
        answers: list[Answer] = []
        posting = threading.Thread(target=lambda: answers.append(business.post("wamid.deadlock")))
        with connect_as(business.product, runtime.SUPERUSER) as other:
            other.execute("SET lock_timeout = '10s'")
            other.execute("LOCK TABLE dispatch_inboxkey IN SHARE MODE")
            posting.start()
            eventually(lambda: _is_waiting(business.product), within_s=5, what="the insert to wait")
            other.execute("LOCK TABLE dispatch_webhookdelivery IN SHARE MODE")  # the server ends whoever waited first
            posting.join()
            other.rollback()

        assert is_refusal(answers[0]), answers
        assert business.kept("wamid.deadlock") == 0
        business.post_again(within_s=within(BACK_TABLE_S))
        business.settle(within_s=within(BACK_TABLE_S))
        business.assert_nothing_lost_or_doubled()

    def test_a_full_disk_is_never_2xx(self, business: Business) -> None:
        with full_disk(business.product, "public.dispatch_webhookdelivery"):
            answers = business.post_many(6)
        assert all(is_refusal(answer) for answer in answers), answers

        business.post_again(within_s=within(BACK_TABLE_S))

        business.settle(within_s=within(BACK_TABLE_S))
        business.assert_nothing_lost_or_doubled()

    def test_a_full_disk_behind_the_inbox_loses_nothing(self, business: Business) -> None:
        with full_disk(business.product, f"{business.schema}.channels_app_message"):
            answers = business.post_many(6)
            eventually(lambda: any("OperationalError" in row or "DiskFull" in row for row in business.open_rows()),
                       within_s=within(BACK_TABLE_S), what="processing to fail")  # fmt: skip
        assert all(answer.is_taken for answer in answers)

        business.settle(within_s=within(BACK_TABLE_S))

        business.assert_nothing_lost_or_doubled()


def _is_waiting(product: Installation) -> bool:
    asked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'registry_app'"
    return product.psql(asked) != "0"
