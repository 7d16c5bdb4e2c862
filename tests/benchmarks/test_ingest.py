"""The ingest benchmark: its requests are what the product accepts, and a small run ends well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.webhooks import APP_SECRET, BODY_BYTES, WRONG_SECRET, signed_post
from channels_app.providers.whatsapp import PROVIDER
from core import clock
from core.secret import Secret
from integrations.contract import InboundRequest, SignatureRefused

ROOT = Path(__file__).resolve().parents[2]


def read(request: bytes) -> InboundRequest:
    """Read the bytes of a request as the view would."""
    head, body = request.split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")[1:]
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return InboundRequest(method="POST", headers=headers, query={}, body=body, received_at=clock.now())


class TestSignedPost:
    def test_is_one_kilobyte_that_the_provider_verifies_and_parses(self) -> None:
        inbound = read(signed_post("token", port=8000, number=7, secret=APP_SECRET))

        PROVIDER.verify(inbound, [Secret(APP_SECRET)])
        (event,) = PROVIDER.parse(inbound)

        assert len(inbound.body) == BODY_BYTES == int(inbound.headers["content-length"])
        assert "wamid.bench000000007" in event.key

    def test_is_refused_with_the_wrong_secret(self) -> None:
        inbound = read(signed_post("token", port=8000, number=7, secret=WRONG_SECRET))

        with pytest.raises(SignatureRefused):
            PROVIDER.verify(inbound, [Secret(APP_SECRET)])

    def test_is_never_the_same_twice(self) -> None:
        bodies = {read(signed_post("token", port=8000, number=number, secret=APP_SECRET)).body for number in range(50)}

        assert len(bodies) == 50


@pytest.mark.processes
class TestRun:
    def test_measures_what_was_stored_and_leaves_nothing(self, tmp_path: Path) -> None:
        results, folder = tmp_path / "results.json", ROOT / ".data-bench-test"
        environment = {
            **os.environ,
            "BENCH_ROUNDS": "1",
            "BENCH_SCALE": "0.05",
            "BENCH_DATA_DIR": folder.name,
            "BENCH_RESULTS": str(results),
        }

        done = subprocess.run(
            [sys.executable, "-m", "benchmarks", "ingest"],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip

        assert done.returncode == 0, done.stderr
        figures = json.loads(results.read_text())["ingest"]["figures"]
        assert figures["statements"] == 2
        assert figures["honest"]["16"]["per_second"]["median"] > 0
        assert figures["ratio"]["16"]["median"] > 0
        assert max(figures["pss_mb"]) < 160
        assert not folder.exists()

    def test_names_the_benchmarks_there_are(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks", "nothing"], cwd=ROOT, capture_output=True, text=True, check=False
        )

        assert done.returncode == 2
        assert "ingest, organizations" in done.stderr
