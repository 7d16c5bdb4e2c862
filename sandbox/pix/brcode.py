"""Write the BR Code of a charge that lies at the bank: a URL instead of a key, and for one use only."""

from __future__ import annotations

import binascii


def dynamic_code(location: str, *, name: str, city: str, amount: str) -> str:
    """Return the text to copy and pay; `location` has no scheme, `amount` is "58.80"."""
    account = _field("00", "br.gov.bcb.pix") + _field("25", location)
    text = (
        _field("00", "01") + _field("01", "12") + _field("26", account) + _field("52", "0000") + _field("53", "986")
        + _field("54", amount) + _field("58", "BR") + _field("59", name[:25]) + _field("60", city[:15])
        + _field("62", _field("05", "***")) + "6304"
    )  # fmt: skip
    return f"{text}{binascii.crc_hqx(text.encode('ascii'), 0xFFFF):04X}"


def _field(number: str, value: str) -> str:
    return f"{number}{len(value):02d}{value}"
