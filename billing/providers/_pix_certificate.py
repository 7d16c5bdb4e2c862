"""
When a client certificate ends: the one fact of it that is needed, read from its DER form (X.690, RFC 5280).

TLS itself takes certificate and key as they are; nothing is decided here but when somebody must be warned.
"""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime, timedelta
from typing import Final

WARN_BEFORE: Final = timedelta(days=30)
"""Banks take days to issue a new one (provider card)."""

_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
_FORMS: Final = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}
_LONG_FORM, _LONGEST_LENGTH = 0x80, 4


def ends_at(pem: str) -> datetime:
    """
    Return when the first certificate of a chain ends.

    :raises ValueError: there is none, or it cannot be read
    """
    found = _PEM.search(pem)
    if found is None:
        raise ValueError("no certificate in PEM form")
    whole = ssl.PEM_cert_to_DER_cert(found[0])
    tbs = _children(_content(_content(whole)))
    fields = tbs[1:] if tbs and tbs[0][0] == _VERSION else tbs
    if len(fields) < 4:  # noqa: PLR2004  serial, algorithm, issuer, validity
        raise ValueError("not the fields of a certificate")
    validity = _children(fields[3][1])
    if len(validity) != 2 or validity[1][0] not in _FORMS:  # noqa: PLR2004  from, until
        raise ValueError("no end in the validity")
    tag, text = validity[1]
    return datetime.strptime(text.decode("ascii"), _FORMS[tag]).replace(tzinfo=UTC)


def _content(data: bytes) -> bytes:
    """Return the content of the sequence that the data begins with."""
    tag, content, _rest = _element(data)
    if tag != _SEQUENCE:
        raise ValueError("not a sequence")
    return content


def _children(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        tag, content, data = _element(data)
        found.append((tag, content))
    return found


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Cut off one element: its tag, its content, and what follows it."""
    if len(data) < 2:  # noqa: PLR2004  tag and length
        raise ValueError("cut off")
    size, start = data[1], 2
    if size >= _LONG_FORM:
        count = size - _LONG_FORM
        if not 0 < count <= _LONGEST_LENGTH:
            raise ValueError("a length that no certificate has")
        start += count
        size = int.from_bytes(data[2:start], "big")
    if len(data) < start + size:
        raise ValueError("cut off")
    return data[0], data[start : start + size], data[start + size :]
