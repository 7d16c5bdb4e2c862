"""
Evidence kept elsewhere: signed heads of every chain, once a day, at EVIDENCE_URL.

The chain alone cannot show that its tail was cut; a head on other storage can. Each file is written once and never
changed; its signature is made with the platform's key, which no role of the database holds. A day's file carries the
heads of the day before where a chain is gone or shorter now, so the newest file alone proves everything.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from django.conf import settings

from audit.chain import Finding, Head, Verification, heads, verify
from audit.models import PLATFORM
from core import clock
from vault import services as vault

HEADS = "heads"
_PURPOSE = "audit.evidence"
_VERSION = 1


class EvidenceUnusable(Exception):
    """EVIDENCE_URL cannot be used; the text says why and what to set."""


class Store(Protocol):
    """A place for evidence. Names are "<kind>/<name>.json"; what is there is never written again."""

    def write(self, name: str, content: bytes) -> bool:
        """Keep a file and return True; False when one of this name is there already."""

    def read(self, name: str) -> bytes:
        """Return a file."""

    def names(self, kind: str) -> list[str]:
        """Return the names of a kind's files in their order."""

    def problem(self) -> str:
        """Say why nothing can be kept here at present; empty when something can."""


class Folder:
    """Evidence in a folder: of another machine, or at least on another disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, content: bytes) -> bool:
        """Write beside and link into place: a file is there whole or not at all, and never replaced."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o400)
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def read(self, name: str) -> bytes:
        """Return a file."""
        return (self.path / name).read_bytes()

    def names(self, kind: str) -> list[str]:
        """Return the names of a kind's files in their order."""
        return sorted(path.relative_to(self.path).as_posix() for path in (self.path / kind).glob("*.json"))

    def problem(self) -> str:
        """Say whether the folder, or the nearest one that exists above it, can be written to by this process."""
        nearest = next(path for path in (self.path, *self.path.parents) if path.exists())
        if not nearest.is_dir():
            return f"{nearest} is no folder"
        return "" if os.access(nearest, os.W_OK | os.X_OK) else f"{nearest} cannot be written to"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the newest evidence says; `forged` when it does not carry our signature."""

    heads: tuple[Head, ...] = ()
    forged: tuple[Finding, ...] = ()


def open_store(url: str | None = None) -> Store | None:
    """
    Return the place that EVIDENCE_URL names; None when it is not set.

    :raises EvidenceUnusable: it cannot be used
    """
    address = settings.EVIDENCE_URL if url is None else url
    if not address:
        return None
    parts = urlsplit(address)
    make = SCHEMES.get(parts.scheme)
    if make is None:
        raise EvidenceUnusable(
            f"EVIDENCE_URL starts with {parts.scheme or 'no scheme'!r}; "
            f"use one of: {', '.join(f'{scheme}://' for scheme in SCHEMES)}."
        )
    return make(address)


def keep_heads() -> str | None:
    """
    Keep today's signed heads; return the file's name, or None when they are kept already or nowhere can be.

    :raises EvidenceUnusable: EVIDENCE_URL cannot be used
    """
    store = open_store()
    name = f"{HEADS}/{clock.now():%Y-%m-%d}.json"
    if store is None or name in store.names(HEADS):
        return None
    merged = _merged(known(store).heads, heads())
    rows = [{"chain": head.chain, "sequence": head.sequence, "digest": head.digest.hex()} for head in merged]
    return name if store.write(name, signed(HEADS, rows)) else None


def known(store: Store | None = None) -> Known:
    """
    Return the newest heads kept elsewhere, for `verify`; nothing when there are none.

    :raises EvidenceUnusable: EVIDENCE_URL cannot be used
    """
    store = store or open_store()
    names = store.names(HEADS) if store else []
    if store is None or not names:
        return Known()
    rows = opened(HEADS, store.read(names[-1]))
    if rows is None:
        return Known(forged=(Finding(kind="forged", chain=PLATFORM, sequence=0),))
    return Known(heads=tuple(_head(row) for row in rows))


def verify_with_evidence(chain: str | None = None) -> Verification:
    """
    Verify one chain or all, and compare with the newest heads kept elsewhere: a cut tail is found, too.

    :raises EvidenceUnusable: EVIDENCE_URL cannot be used
    """
    kept = known()
    of_chain = tuple(head for head in kept.heads if chain in {None, head.chain})
    found = verify(chain, known_heads=of_chain)
    return replace(found, findings=(*kept.forged, *found.findings))


def signed(kind: str, content: Any) -> bytes:
    """Return a signed file of evidence: JSON with kind, time, content and signature."""
    document = {"version": _VERSION, "kind": kind, "made_at": clock.iso(clock.now()), "content": content}
    return json.dumps(document | {"signature": _signature(document)}, indent=1).encode()


def opened(kind: str, file: bytes) -> Any:
    """Return the content of a file of evidence; None when it is of another kind or not signed by us."""
    try:
        document = json.loads(file)
        given = document.pop("signature")
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
    is_ours = isinstance(given, str) and hmac.compare_digest(given.encode(), _signature(document).encode())
    return document["content"] if is_ours and document["kind"] == kind else None


def _signature(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return vault.keyed_digest(text.encode(), organization_schema=vault.PLATFORM, purpose=_PURPOSE).hex()


def _merged(before: Sequence[Head], now: Iterable[Head]) -> list[Head]:
    """Return the longest known head of every chain: one that became shorter stays a finding for ever."""
    found = {head.chain: head for head in before}
    for head in now:
        if head.chain not in found or head.sequence >= found[head.chain].sequence:
            found[head.chain] = head
    return sorted(found.values(), key=lambda head: head.chain)


def _head(row: Mapping[str, Any]) -> Head:
    return Head(chain=row["chain"], sequence=row["sequence"], digest=bytes.fromhex(row["digest"]))


def _folder(url: str) -> Folder:
    parts = urlsplit(url)
    path = Path(unquote(parts.path))
    if parts.netloc not in {"", "localhost"} or path == Path("/") or not path.is_absolute():
        raise EvidenceUnusable("EVIDENCE_URL must name a folder of this machine in full, such as file:///mnt/evidence.")
    return Folder(path)


SCHEMES: Mapping[str, Callable[[str], Store]] = {"file": _folder}
"""What makes the store of an address, by the address's scheme."""
