"""
BR Codes, the text behind a PIX picture: build static ones, read any. Pure Python; a code never says that it was paid.

A code is a row of fields, each `ID(2) LENGTH(2) VALUE`, templates nest the same form, and a CRC closes it.
Source: EMV merchant-presented QR as the central bank of Brazil uses it (manual for Pix initiation), as of 2026-11.
"""

from __future__ import annotations

import re
import struct
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from billing.pix_keys import PixKey, read_key
from billing.tax_ids import FieldRefused
from core.money import MoneyError, decimal_text, to_minor

GUI: Final = "br.gov.bcb.pix"
CURRENCY: Final = "BRL"
NO_TXID: Final = "***"
NAME_CHARS: Final = 25
CITY_CHARS: Final = 15
AMOUNT_CHARS: Final = 13
FIELD_CHARS: Final = 99
_STATIC_TXID: Final = re.compile(r"[A-Za-z0-9]{1,25}")
_CRC_HEAD: Final = "6304"
_CRC_CHARS: Final = 4
_POLYNOMIAL, _START, _TOP, _WORD = 0x1021, 0xFFFF, 0x8000, 0xFFFF
# Fields 26 to 51 may hold merchant accounts of any scheme; the one with the GUI of Pix is ours.
_ACCOUNT_IDS: Final = frozenset(f"{number:02d}" for number in range(26, 52))
_FIXED: Final = {"00": "01", "53": "986", "58": "BR"}
_NEEDED: Final = ("52", "53", "58", "59", "60")
_QUIET_MODULES: Final = 4  # the white border that readers need
_MODULE_PIXELS: Final = 8  # 61 modules of a usual code become about 550 pixels, sharp on paper and on a telephone
_PNG_HEAD: Final = b"\x89PNG\r\n\x1a\n"


class InvalidBrCode(FieldRefused):
    """The text is no correct BR Code; `field` is "brcode", `remedy` says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrCode:
    """
    What a code says. Static codes have a key, dynamic ones a URL (without https://) to fetch the charge from.

    `amount_minor` is None where the payer chooses; `txid` is empty for "***"; `initiation` is "11" (reusable), "12"
    (single use) or empty.
    """

    merchant_name: str
    merchant_city: str
    key: str = ""
    url: str = ""
    description: str = ""
    amount_minor: int | None = None
    txid: str = ""
    initiation: str = ""
    postal_code: str = ""

    @property
    def is_dynamic(self) -> bool:
        """Whether the charge itself lies at a bank."""
        return bool(self.url)


def build_static(
    key: PixKey | str,
    *,
    merchant_name: str,
    merchant_city: str,
    amount_minor: int | None = None,
    txid: str | None = None,
    description: str | None = None,
) -> str:
    """
    Write a static code. Name and city lose accents, go to upper case and are cut to 25 and 15 characters.

    :param amount_minor: centavos; None leaves the amount to the payer
    :param txid: letters and digits, at most 25; the payee finds it in the statement
    :raises FieldRefused: with the field and what to do; InvalidPixKey and AmbiguousPixKey for the key
    """
    pix_key = key if isinstance(key, PixKey) else read_key(key)
    account = _field("00", GUI) + _field("01", pix_key.value)
    if description:
        account += _field("02", _described(description, room=FIELD_CHARS - len(account) - 4))
    parts = [_field("00", "01"), _field("26", account), _field("52", "0000"), _field("53", "986")]
    if amount_minor is not None:
        parts.append(_field("54", _amount(amount_minor)))
    parts += [
        _field("58", "BR"),
        _field("59", _plain(merchant_name, field="merchant_name", most=NAME_CHARS)),
        _field("60", _plain(merchant_city, field="merchant_city", most=CITY_CHARS)),
        _field("62", _field("05", _static_txid(txid))),
    ]
    return seal("".join(parts))


def seal(text: str) -> str:
    """Append the CRC field to the fields of a code."""
    return f"{text}{_CRC_HEAD}{crc16(f'{text}{_CRC_HEAD}'):04X}"


def crc16(text: str) -> int:
    """Return the CRC-16/CCITT-FALSE of the text's UTF-8 bytes; "123456789" gives 0x29B1."""
    crc = _START
    for byte in text.encode(errors="surrogatepass"):
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ _POLYNOMIAL if crc & _TOP else crc << 1) & _WORD
    return crc


def parse(text: str) -> BrCode:
    """
    Read a static or dynamic code strictly.

    :raises InvalidBrCode: the CRC is wrong, lengths do not add up, a field is absent, doubled or of a wrong value
    """
    if not re.fullmatch(r"[0-9A-F]{4}", text[-_CRC_CHARS:]) or text[-8:-_CRC_CHARS] != _CRC_HEAD:
        raise _invalid("it does not end with a check sum; it may have been cut off")
    if int(text[-_CRC_CHARS:], 16) != crc16(text[:-_CRC_CHARS]):
        raise _invalid("its check sum is wrong; a character was changed or lost")
    fields = _fields(text, within="the code")
    if next(iter(fields)) != "00" or list(fields)[-1] != "63":
        raise _invalid("the first field must be 00 and the last one 63")
    _require(fields)
    account = _account(fields)
    additional = _fields(fields.get("62", ""), within="field 62")
    txid = additional.get("05", "")
    return BrCode(
        merchant_name=fields["59"],
        merchant_city=fields["60"],
        key=account.get("01", ""),
        url=account.get("25", ""),
        description=account.get("02", ""),
        amount_minor=_read_amount(fields.get("54")),
        txid="" if txid == NO_TXID else txid,
        initiation=fields.get("01", ""),
        postal_code=fields.get("61", ""),
    )


def qr_png(text: str) -> bytes:
    """Return the QR picture of a code as PNG: black on white, error correction M, with the quiet border."""
    # Imported here: a web process that draws no code need not carry it. The picture is packed below, without Pillow.
    import qrcode

    code = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_M, border=_QUIET_MODULES)
    code.add_data(text)
    code.make(fit=True)
    return _png([[bool(module) for module in row] for row in code.get_matrix()])


def _field(number: str, value: str) -> str:
    return f"{number}{len(value):02d}{value}"


def _described(description: str, *, room: int) -> str:
    plain = _ascii(description)
    if not 1 <= len(plain) <= room:
        raise FieldRefused(
            "The description does not fit into the code.",
            field="description",
            remedy=f"Use 1 to {room} plain characters; key and description share their place.",
        )
    return plain


def _amount(amount_minor: int) -> str:
    try:
        text = decimal_text(amount_minor, CURRENCY)
    except MoneyError:
        text = ""
    if not text or amount_minor <= 0 or len(text) > AMOUNT_CHARS:
        raise FieldRefused(
            "The amount does not fit into the code.",
            field="amount_minor",
            remedy="Give centavos as a whole number from 1 to 999999999999, or leave the amount out.",
        )
    return text


def _plain(text: str, *, field: str, most: int) -> str:
    plain = _ascii(text).upper()[:most].strip()
    if not plain:
        raise FieldRefused("The code needs a name and a city.", field=field, remedy="Give a text with plain letters.")
    return plain


def _ascii(text: str) -> str:
    """Return the text without accents and control characters: banks' apps fail on anything else."""
    bare = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^\x20-\x7e]+", " ", bare).strip()


def _static_txid(txid: str | None) -> str:
    if not txid or txid == NO_TXID:
        return NO_TXID
    if _STATIC_TXID.fullmatch(txid) is None:
        raise FieldRefused(
            "The txid does not fit into the code.", field="txid", remedy="Use at most 25 letters and digits."
        )
    return txid


def _invalid(reason: str) -> InvalidBrCode:
    return InvalidBrCode("This is not a correct BR Code.", field="brcode", remedy=f"Copy the code again: {reason}.")


def _fields(text: str, *, within: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for number, value in _read(text, within=within):
        if number in fields:
            raise _invalid(f"{within} has the field {number} twice")
        fields[number] = value
    return fields


def _read(text: str, *, within: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        head = text[at : at + 4]
        if not re.fullmatch(r"[0-9]{4}", head):
            raise _invalid(f"the lengths in {within} do not add up")
        number, size = head[:2], int(head[2:])
        value = text[at + 4 : at + 4 + size]
        if len(value) != size:
            raise _invalid(f"the lengths in {within} do not add up")
        yield number, value
        at += 4 + size


def _require(fields: dict[str, str]) -> None:
    for number in _NEEDED:
        if number not in fields:
            raise _invalid(f"the field {number} is absent")
    for number, value in _FIXED.items():
        if fields[number] != value:
            raise _invalid(f"the field {number} must be {value}")
    if fields.get("01", "11") not in ("11", "12"):
        raise _invalid("the field 01 must be 11 or 12")


def _account(fields: dict[str, str]) -> dict[str, str]:
    for number in fields.keys() & _ACCOUNT_IDS:
        # Other schemes need not nest, so only a template that names Pix is opened.
        if fields[number][4 : 4 + len(GUI)].lower() == GUI:
            account = _fields(fields[number], within=f"field {number}")
            if ("01" in account) == ("25" in account):
                raise _invalid("it needs either a key or a URL")
            return account
    raise _invalid("it has no account of Pix")


def _read_amount(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        minor = to_minor(text, CURRENCY)
    except MoneyError as error:
        raise _invalid("its amount is no number") from error
    if minor < 0 or len(text) > AMOUNT_CHARS:
        raise _invalid("its amount is no number")
    return minor


def _png(modules: list[list[bool]]) -> bytes:
    """Pack the modules as a picture of one bit per pixel (PNG, ISO 15948)."""
    lines = []
    for row in modules:
        bits = "".join(("0" if dark else "1") * _MODULE_PIXELS for dark in row)
        packed = int(bits, 2).to_bytes(len(row) * _MODULE_PIXELS // 8)
        lines += [b"\0" + packed] * _MODULE_PIXELS
    side = len(modules) * _MODULE_PIXELS
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return _PNG_HEAD + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(b"".join(lines))) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
