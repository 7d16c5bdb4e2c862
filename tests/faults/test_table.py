"""Every row of the fault table (RELIABILITY section 6) and the tests that prove it; the names are checked here."""

from __future__ import annotations

import ast
from functools import cache

import pytest

from config.processes import PROJECT_ROOT

HERE = "tests/faults"
ENGINE = "tests/transport/test_engine.py"
KILLED = f"{HERE}/test_killed_processes.py"
REDIS = f"{HERE}/test_redis.py"
VENDOR = f"{HERE}/test_vendor.py"
POLICY = "tests/transport/test_policy.py"
TLS = "tests/transport/test_tls.py"

TABLE: dict[str, tuple[str, ...]] = {
    "kill -9 web before commit": (f"{KILLED}::TestWeb::test_killed_before_the_commit_has_promised_nothing",),
    "kill -9 web after commit": (
        f"{KILLED}::TestWeb::test_killed_after_the_commit_loses_nothing_and_a_repetition_changes_nothing",
        f"{KILLED}::TestWeb::test_the_whole_part_killed_in_the_middle_of_traffic_starts_again",
    ),
    "kill -9 worker at claim, provider call, before commit, before ack": (
        f"{KILLED}::TestWorker::test_killed_while_it_processes_has_one_effect",
        f"{KILLED}::TestWorker::test_killed_while_it_sends_sends_once",
        f"{KILLED}::TestWorker::test_killed_in_the_middle_of_a_vendors_call_sends_once",
        f"{KILLED}::TestWorker::test_the_whole_part_killed_in_the_middle_of_traffic_starts_again",
        f"{KILLED}::TestWorker::test_one_child_killed_is_replaced_without_a_word",
    ),
    "a delivery that kills its worker": (
        f"{KILLED}::TestWorker::test_a_delivery_that_kills_it_five_times_is_set_aside_and_blocks_nothing",
    ),
    "a worker that runs and consumes nothing": (
        f"{KILLED}::TestCanary::test_a_worker_that_runs_but_consumes_nothing_is_ended_and_replaced",
        "tests/config/test_canary.py::TestSilence::test_proves_nothing_while_redis_is_away_nor_soon_after",
    ),
    "kill -9 beat, two beats": (
        f"{KILLED}::TestBeat::test_killed_is_restarted_and_the_sweeps_go_on",
        f"{KILLED}::TestBeat::test_two_of_them_double_nothing",
    ),
    "Redis down 10 min, restarted empty": (f"{REDIS}::TestRedis::test_down_and_restarted_empty_loses_nothing",),
    "Redis hangs": (f"{REDIS}::TestRedis::test_that_hangs_delays_nobody",),
    "Redis flushed": (f"{REDIS}::TestRedis::test_flushed_in_the_middle_of_traffic_is_refilled",),
    "Redis full": (f"{REDIS}::TestRedis::test_full_is_refilled_when_there_is_room_again",),
    "Postgres restart": (f"{HERE}/test_postgres.py::TestPostgres::test_stopped_in_the_middle_of_traffic",),
    "Postgres has no connections": (
        f"{HERE}/test_postgres.py::TestPostgres::test_without_a_connection_left_refuses_and_recovers",
    ),
    "Postgres deadlock": (f"{HERE}/test_postgres.py::TestPostgres::test_a_deadlock_is_refused_and_repeated",),
    "Postgres disk full": (
        f"{HERE}/test_postgres.py::TestPostgres::test_a_full_disk_is_never_2xx",
        f"{HERE}/test_postgres.py::TestPostgres::test_a_full_disk_behind_the_inbox_loses_nothing",
    ),
    "provider 429 (Retry-After seconds or date)": (
        f"{VENDOR}::TestLimits::test_429_makes_the_whole_integration_wait_as_long_as_the_vendor_says",
    ),
    "provider 5xx": (
        f"{VENDOR}::TestFailures::test_5xx_is_tried_again_and_sent_once",
        f"{VENDOR}::TestFailures::test_five_failures_open_the_breaker_which_closes_by_itself",
    ),
    "provider refused": (f"{VENDOR}::TestFailures::test_refused_connections_are_tried_again_and_sent_once",),
    "provider TLS": (
        f"{TLS}::TestVerification::test_refuses_a_certificate_of_another_name",
        f"{TLS}::TestVerification::test_refuses_an_unknown_authority",
        f"{TLS}::TestVerification::test_reports_what_does_not_speak_tls",
    ),
    "provider DNS": (f"{POLICY}::TestTrusted::test_says_when_a_name_has_no_address",),
    "provider slow drip, hangs": (
        f"{VENDOR}::TestSlowness::test_every_call_ends_at_its_deadline_and_nothing_is_sent_twice",
        f"{ENGINE}::TestDeadline::test_ends_a_slow_answer_in_time",
        f"{ENGINE}::TestDeadline::test_bounds_the_silence_of_a_stream",
        f"{ENGINE}::TestDeadline::test_covers_name_resolution",
        f"{ENGINE}::TestDeadline::test_covers_the_tls_handshake",
    ),
    "malformed JSON, HTML, empty, > 5 MB, gzip bomb, redirect": (
        f"{VENDOR}::TestNonsense::test_every_kind_ends_in_a_typed_error_and_at_most_one_message",
        f"{ENGINE}::TestCaps::test_stops_a_bomb_while_it_unpacks",
        f"{ENGINE}::TestCaps::test_refuses_a_body_over_the_cap",
        f"{ENGINE}::TestSend::test_returns_a_redirect_instead_of_following_it",
    ),
    "NUL escape, lone surrogate, 1e400, 100,000-deep arrays": (
        f"{HERE}/test_bodies.py::TestHostileBodies::test_are_taken_kept_and_set_aside_without_holding_up_the_rest",
        f"{HERE}/test_bodies.py::TestHostileBodies::test_of_a_flood_the_worker_survives",
    ),
    "duplicates x100 at once": (f"{HERE}/test_bodies.py::TestRepetitions::test_a_hundred_at_once_are_one_message",),
    "out of order": (f"{HERE}/test_bodies.py::TestRepetitions::test_statuses_out_of_order_end_at_the_last",),
    "late": (f"{HERE}/test_bodies.py::TestRepetitions::test_three_days_late_is_kept_at_its_own_time",),
    "replayed signature": (
        f"{HERE}/test_bodies.py::TestRepetitions::test_a_replay_after_the_fact_changes_nothing",
        f"{HERE}/test_bodies.py::TestRepetitions::test_the_same_message_in_other_bytes_is_one_message",
    ),
    "clock skew 10 min": (
        "tests/conformance/test_webhooks.py::TestRefusal::test_refuses_a_stale_or_early_one_where_the_scheme_signs_a_time",
    ),
    "secret rotated at the provider": (
        "tests/fictitious/test_rotation.py::TestRotate::test_webhooks_of_the_new_key_are_verified_at_once",
    ),
    "20 workers refresh one token": (
        "tests/fictitious/test_tokens.py::TestManyWorkers::test_one_makes_the_call",
        "tests/fictitious/test_refresh_race.py::TestRace::test_loses_nothing_in_the_first_rounds",
    ),
    "migration stopped half way": (
        f"{HERE}/test_migrations.py::TestMigration::test_stopped_half_way_is_completed_by_the_next_run",
    ),
    "audit write fails": ("tests/audit/test_record.py::TestRecord::test_fails_the_action_when_it_cannot_be_written",),
    "user-supplied URL to private address, rebinding, redirect": (
        f"{POLICY}::TestCustomersDestinations::test_refuses_when_any_address_is_private",
        f"{POLICY}::TestCustomersDestinations::test_connects_to_the_address_it_checked_when_the_name_is_rebound",
        f"{POLICY}::TestCustomersDestinations::test_refuses_a_name_rebound_on_the_next_call",
        f"{ENGINE}::TestSend::test_returns_a_redirect_instead_of_following_it",
    ),
}  # fmt: skip


@cache
def names_in(path: str) -> frozenset[str]:
    """Return the tests of a file as `Class::test`."""
    tree = ast.parse((PROJECT_ROOT / path).read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return frozenset(f"{owner.name}::{node.name}" for owner in classes for node in owner.body
                     if isinstance(node, ast.FunctionDef))  # fmt: skip


class TestTheTable:
    @pytest.mark.parametrize("row", TABLE)
    def test_has_a_test_for_every_row(self, row: str) -> None:
        assert TABLE[row]
        for name in TABLE[row]:
            path, _, test = name.partition("::")
            assert test in names_in(path), name
