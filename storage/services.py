"""
Keeping files of the entered organization, for every room above.

Bytes are written before a transaction is opened and the row inside it: a crash between leaves bytes that nothing
points to, never a row without its bytes.
"""

from __future__ import annotations

import hashlib
import mimetypes
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from django.conf import settings
from django.db import transaction

from core.errors import NotFoundHere, ValidationFailed
from core.ids import new_id
from storage.contract import StoresObjects
from storage.local import LocalDisk
from storage.models import StoredFile
from tenants.context import require_organization

MAX_BYTES = 100 * 1024 * 1024
"""The largest file that any channel moves (a WhatsApp document)."""

_CONTENT_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}(; ?[\w.+-]+=[\w.+-]+)*", re.ASCII)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\:*?\"<>|]+")
_NAME_LENGTH = 200
UNKNOWN_TYPE = "application/octet-stream"


class FileTooLarge(ValidationFailed):
    """The file exceeds the cap."""

    status = 413
    code = "payload_too_large"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFile:
    """Bytes that are in the store and have no row yet."""

    id: UUID
    name: str
    content_type: str
    size_bytes: int
    sha256: str
    location: str


def keep_file(
    *, name: str, content_type: str, content: bytes | Iterable[bytes], purpose: str, max_bytes: int = MAX_BYTES
) -> StoredFile:
    """
    Write a file and its row; not inside a transaction.

    :raises FileTooLarge: it is longer than `max_bytes`; nothing is kept
    """
    written = write_file(name=name, content_type=content_type, content=content, max_bytes=max_bytes)
    return record_file(written, purpose=purpose)


def write_file(
    *, name: str, content_type: str, content: bytes | Iterable[bytes], max_bytes: int = MAX_BYTES
) -> WrittenFile:
    """
    Write bytes to the store, measured and digested on the way.

    :param name: what a person called it; kept as a label, never as a path
    :raises FileTooLarge: there are more than `max_bytes`; nothing is kept
    """
    file_id = new_id()
    location = f"{require_organization()}/{file_id.hex[-2:]}/{file_id}"
    measured = _Measured(content if not isinstance(content, bytes) else [content], max_bytes=max_bytes)
    _store().write(location, measured)
    return WrittenFile(
        id=file_id,
        name=safe_name(name),
        content_type=content_type if _CONTENT_TYPE.fullmatch(content_type) else UNKNOWN_TYPE,
        size_bytes=measured.size_bytes,
        sha256=measured.digest.hexdigest(),
        location=location,
    )


def record_file(written: WrittenFile, *, purpose: str) -> StoredFile:
    """Add the row of written bytes, in the caller's transaction."""
    return StoredFile.objects.create(
        id=written.id,
        name=written.name,
        content_type=written.content_type,
        size_bytes=written.size_bytes,
        sha256=written.sha256,
        location=written.location,
        purpose=purpose,
    )


def open_file(file: StoredFile) -> BinaryIO:
    """
    Open a file for reading; the caller closes it.

    :raises NotFoundHere: its bytes are gone
    """
    try:
        return _store().open(_own_location(file))
    except FileNotFoundError:
        raise NotFoundHere("The content of this file is no longer kept.") from None


def read_file(file: StoredFile) -> bytes:
    """Return a whole file; at most `MAX_BYTES`."""
    with open_file(file) as opened:
        return opened.read()


def delete_file(file: StoredFile) -> None:
    """Delete the row now and the bytes once that is committed."""
    location = _own_location(file)
    file.delete()
    transaction.on_commit(lambda: _store().delete(location))


def safe_name(name: str) -> str:
    """Make a name that no file system and no header can misread."""
    cleaned = _UNSAFE.sub("_", name.encode("utf-8", "replace").decode()).strip(" .")
    stem, dot, ending = cleaned.rpartition(".")
    short = f"{stem[: _NAME_LENGTH - 20]}{dot}{ending[:19]}" if stem else cleaned[:_NAME_LENGTH]
    return short or "file"


def ending_of(content_type: str) -> str:
    """Return the ending of a file name that fits a content type, such as ".jpg"; nothing where none is known."""
    return mimetypes.guess_extension(content_type.partition(";")[0].strip()) or ""


def _own_location(file: StoredFile) -> str:
    """A row leads to its own organization's folder, whatever it says."""
    if not file.location.startswith(f"{require_organization()}/"):
        raise NotFoundHere("There is no such file.")
    return file.location


def _store() -> StoresObjects:
    return LocalDisk(Path(settings.MEDIA_ROOT))


@dataclass(slots=True)
class _Measured:
    """Passes chunks on, counting and digesting them; stops at the cap."""

    chunks: Iterable[bytes]
    max_bytes: int
    size_bytes: int = 0
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            self.size_bytes += len(chunk)
            if self.size_bytes > self.max_bytes:
                raise FileTooLarge(f"The file is larger than {self.max_bytes // 1024 // 1024} MB.")
            self.digest.update(chunk)
            yield chunk
