"""The verbs of the storage category: bytes are written once under a location, read as a stream, and deleted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import BinaryIO


class StoresObjects(ABC):
    """Keeps the bytes of files, wherever that is. A location is the store's own word, fit for nothing else."""

    @abstractmethod
    def write(self, location: str, content: Iterable[bytes]) -> None:
        """
        Write an object wholly or not at all; an object that is there is replaced.

        :raises OSError: it could not be written
        """

    @abstractmethod
    def open(self, location: str) -> BinaryIO:
        """
        Open an object for reading.

        :raises FileNotFoundError: there is none
        """

    @abstractmethod
    def delete(self, location: str) -> None:
        """Delete an object; one that is gone already is fine."""
