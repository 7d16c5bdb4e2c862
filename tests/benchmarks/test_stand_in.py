"""The stand-in answers what the sandbox answers, and the product's own provider accepts it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks import stand_in
from benchmarks.load import LOOPBACK
from billing.providers.stripe import PROVIDER
from core.secret import Secrets
from integrations.contract import CallReport, IntegrationContext
from integrations.outbound.guard import Guard
from sandbox.vendors.stripe import ACCOUNT

LATENCY_S = 0.02


@pytest.fixture
def vendor() -> Iterator[str]:
    """A stand-in in a thread, for one test."""
    with socket.socket() as found:
        found.bind((LOOPBACK, 0))
        port = found.getsockname()[1]
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(lambda: stand_in.StandIn(LATENCY_S), LOOPBACK, port))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield f"http://{LOOPBACK}:{port}"
    server.close()
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


class TestStandIn:
    def test_answers_the_check_of_each_key_with_its_account_after_the_latency(self, vendor: str) -> None:
        reports: list[CallReport] = []
        for number in (7, 7, 8):
            context = IntegrationContext(
                id="", provider="stripe", environment="test", settings={},
                secrets=Secrets({"secret_key": f"{stand_in.KEY}{number}"}),
            )  # fmt: skip
            guard = Guard(
                spec=PROVIDER.spec, read_error=PROVIDER.read_error, report=reports.append, overrides={"": vendor}
            )
            checked = PROVIDER(context, guard).check()
            assert checked.account.external_id == f"acct_bench{number}"
            assert all(verdict.ok for verdict in checked.verdicts)

        assert [report.status for report in reports] == [200, 200, 200]
        assert min(report.duration_ms for report in reports) >= 1000 * LATENCY_S

    def test_has_the_fields_of_the_sandbox(self) -> None:
        def shape(value: Any) -> Any:
            return {name: shape(item) for name, item in value.items()} if isinstance(value, dict) else type(value)

        assert shape(stand_in.ACCOUNT) == shape(ACCOUNT)
