"""Files on the local disk, one folder per organization, readable by this user alone."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from storage.contract import StoresObjects

_LOCATION = re.compile(r"[a-z][a-z0-9_]{2,40}(/[0-9a-f][0-9a-f-]{1,40}){1,3}")
"""A schema name and then parts of an id: nothing in it comes from a person, and nothing leads upward."""


class LocalDisk(StoresObjects):
    """A folder as a store. A file appears under its name when it is complete and on disk."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, location: str, content: Iterable[bytes]) -> None:
        """Write beside the place, flush to disk, then rename into it."""
        path = self._path(location)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".part-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
            raise

    def open(self, location: str) -> BinaryIO:
        """Open a file for reading."""
        return self._path(location).open("rb")

    def delete(self, location: str) -> None:
        """Remove a file."""
        self._path(location).unlink(missing_ok=True)

    def _path(self, location: str) -> Path:
        if not _LOCATION.fullmatch(location):
            raise ValueError(f"{location!r} is no location of this store")
        return self.root / location
