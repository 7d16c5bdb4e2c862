"""What is kept elsewhere shows what the chain alone cannot: that its end is gone."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit import evidence
from audit.chain import Finding, Head
from audit.checks import check_evidence
from audit.evidence import EvidenceUnusable, keep_heads, known, open_store, verify_with_evidence
from audit.models import AuditChainLink, AuditEntry
from audit.watch import watch
from core import clock
from tests.audit.conftest import link_settled

OWNER = "owner"
Write = Callable[..., AuditEntry]


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    """An empty place for evidence."""
    settings.EVIDENCE_URL = f"file://{tmp_path}/evidence"
    return tmp_path / "evidence"


def cut_off(chain: str, *, last: int) -> None:
    """Remove the end of a chain, entries and links, as only the owner can."""
    links = AuditChainLink.objects.using(OWNER).filter(organization_schema=chain, sequence__gt=last)
    AuditEntry.objects.using(OWNER).filter(pk__in=list(links.values_list("entry_id", flat=True))).delete()
    links.delete()


class TestKeepHeads:
    def test_keeps_one_signed_file_a_day_that_nothing_changes(self, folder: Path, chain: str, write: Write) -> None:
        write(chain)
        link_settled()

        name = keep_heads()

        assert name == f"heads/{clock.now():%Y-%m-%d}.json"
        content = (folder / name).read_bytes()
        assert chain in [row["chain"] for row in json.loads(content)["content"]]
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o400
        write(chain)
        link_settled()
        assert keep_heads() is None
        assert (folder / name).read_bytes() == content
        assert [path.name for path in (folder / "heads").iterdir()] == [Path(name).name]

    def test_loses_a_race_without_harm(self, folder: Path) -> None:
        store = open_store()
        assert store is not None

        assert store.write("heads/2026-01-01.json", b"first")
        assert not store.write("heads/2026-01-01.json", b"second")
        assert store.read("heads/2026-01-01.json") == b"first"

    def test_keeps_nothing_without_a_place(self, settings: Any, committed: None) -> None:
        settings.EVIDENCE_URL = ""

        assert keep_heads() is None
        assert known().heads == ()

    def test_remembers_a_longer_head_and_a_chain_that_is_gone(self, folder: Path, chain: str, write: Write) -> None:
        other = chain + "_b"
        for name in (chain, chain, other):
            write(name)
        link_settled()
        keep_heads()
        cut_off(chain, last=1)
        cut_off(other, last=0)

        with clock.shifted(timedelta(days=1)):
            assert keep_heads() is not None

        mine = {head.chain: head.sequence for head in known().heads if head.chain.startswith(chain)}
        assert mine == {chain: 2, other: 1}


class TestVerifyWithEvidence:
    def test_finds_a_cut_tail(self, folder: Path, chain: str, write: Write) -> None:
        for _ in range(3):
            write(chain)
        link_settled()
        keep_heads()
        assert verify_with_evidence(chain).is_intact
        cut_off(chain, last=2)

        found = verify_with_evidence(chain)

        assert list(found.findings) == [Finding(kind="cut", chain=chain, sequence=3)]
        assert found.known == 1

    def test_finds_a_tail_that_was_written_anew(self, folder: Path, chain: str, write: Write) -> None:
        for _ in range(2):
            write(chain)
        link_settled()
        keep_heads()
        cut_off(chain, last=1)
        write(chain, "entry.invented")
        link_settled()

        assert [finding.kind for finding in verify_with_evidence(chain).findings] == ["cut"]

    @pytest.mark.parametrize(
        "change",
        [
            lambda text: text.replace('"sequence": ', '"sequence": 1'),
            lambda text: text.replace('"kind": "heads"', '"kind": "tombstones"'),
            lambda text: json.dumps({**json.loads(text), "signature": "00" * 32}),
            lambda text: json.dumps({**json.loads(text), "signature": None}),
            lambda text: text[:-5],
            lambda text: "[]",
        ],
        ids=["another head", "another kind", "another signature", "no signature", "cut off", "another shape"],
    )
    def test_finds_evidence_that_we_did_not_sign(
        self, folder: Path, chain: str, write: Write, change: Callable[[str], str]
    ) -> None:
        write(chain)
        link_settled()
        path = folder / str(keep_heads())
        path.chmod(0o600)
        path.write_text(change(path.read_text()))

        found = verify_with_evidence(chain)

        assert [finding.kind for finding in found.findings] == ["forged"]

    def test_the_command_fails_on_a_cut_tail(self, folder: Path, chain: str, write: Write) -> None:
        for _ in range(2):
            write(chain)
        link_settled()
        keep_heads()
        cut_off(chain, last=1)
        err = StringIO()

        with pytest.raises(CommandError, match="damaged"):
            call_command("verify_audit", stdout=StringIO(), stderr=err)

        assert f"cut: link 2 of {chain}, entry None" in err.getvalue()


class TestWatch:
    def test_verifies_and_keeps_heads(self, folder: Path, chain: str, write: Write) -> None:
        with clock.shifted(-timedelta(hours=5)):
            write(chain)
        link_settled(everything=True)

        seen = watch()

        assert seen.chains >= 1
        assert seen.links >= 1
        assert seen.kept is not None
        assert Head(chain=chain, sequence=1, digest=_digest(chain)) in known().heads

    def test_finds_a_chain_that_is_gone_as_a_whole(self, folder: Path, chain: str, write: Write) -> None:
        write(chain)
        link_settled()
        watch()
        cut_off(chain, last=0)

        assert Finding(kind="cut", chain=chain, sequence=1) in watch().findings

    def test_goes_on_where_the_time_was_up(self, folder: Path, chain: str, write: Write) -> None:
        for letter in "abc":
            write(f"{chain}_{letter}")
        link_settled()
        every = len(evidence.heads())

        rounds = [watch(budget_s=0) for _ in range(every)]

        assert {seen.chains for seen in rounds} == {1}
        assert sum(seen.links for seen in rounds) == watch().links


class TestOpenStore:
    @pytest.mark.parametrize(
        ("url", "text"),
        [
            ("s3://bucket/evidence", "starts with 's3'; use one of: file://"),
            ("/srv/evidence", "starts with 'no scheme'"),
            ("file://host/evidence", "must name a folder of this machine in full"),
            ("file:///", "must name a folder of this machine in full"),
        ],
    )
    def test_refuses_what_it_cannot_use_and_says_so_at_start(self, settings: Any, url: str, text: str) -> None:
        settings.EVIDENCE_URL = url

        with pytest.raises(EvidenceUnusable, match=text):
            open_store()

        assert [message.id for message in check_evidence(None)] == ["audit.E001"]

    def test_takes_a_folder_that_is_made_when_needed(self, folder: Path) -> None:
        assert check_evidence(None) == []
        assert not folder.exists()

    def test_warns_of_a_place_that_is_no_folder(self, folder: Path) -> None:
        folder.write_text("")

        assert [message.id for message in check_evidence(None)] == ["audit.W002"]

    def test_warns_in_production_without_a_place(self, settings: Any) -> None:
        settings.EVIDENCE_URL = ""
        assert check_evidence(None) == []

        settings.ENVIRONMENT_NAME = "production"
        assert [message.id for message in check_evidence(None)] == ["audit.W001"]


def _digest(chain: str) -> bytes:
    return bytes(AuditChainLink.objects.get(organization_schema=chain, sequence=1).digest)
