"""One reading of URLs for checks and for the wire, so that no two parsers can disagree about the host."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from transport.errors import Phase, RequestInvalid

DEFAULT_PORTS = {"http": 80, "https": 443}

# Characters on which URL parsers are known to disagree: backslashes, spaces and control characters.
_AMBIGUOUS = re.compile(r"[\x00-\x20\x7f\\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Scheme, host in lower case (IPv6 without brackets) and port: where a connection goes."""

    scheme: str
    host: str
    port: int

    @property
    def netloc(self) -> str:
        """Return the value of the Host header: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if DEFAULT_PORTS[self.scheme] == self.port else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Target:
    """An absolute http or https URL, taken apart. Its text form leaves the query out."""

    origin: Origin
    path: str
    query: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """
        Read a URL strictly.

        :raises RequestInvalid: not absolute http(s), with a user part, or ambiguous between parsers
        """
        target = cls._read(url)
        if target is None:
            raise RequestInvalid("", phase=Phase.CONNECT, detail="the URL is not a plain http or https address")
        return target

    @classmethod
    def _read(cls, url: str) -> Self | None:
        if _AMBIGUOUS.search(url):
            return None
        try:
            parts = parse_url(url)
        except LocationParseError:
            return None
        scheme = (parts.scheme or "").lower()
        if scheme not in DEFAULT_PORTS or not parts.host or parts.auth is not None:
            return None
        host = parts.host.strip("[]").lower()
        origin = Origin(scheme=scheme, host=host, port=parts.port or DEFAULT_PORTS[scheme])
        return cls(origin=origin, path=parts.path or "/", query=parts.query or "")

    @property
    def request_line(self) -> str:
        """Return path and query as they go on the wire."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def url(self) -> str:
        """Return the whole URL, query included: for the wire only, never for a text."""
        return f"{self.origin}{self.request_line}"

    @property
    def shown(self) -> str:
        """Return the URL without its query."""
        return f"{self.origin}{self.path}"

    def __repr__(self) -> str:
        return f"<Target {self.shown}>"
