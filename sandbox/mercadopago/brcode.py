"""The text of a dynamic PIX code (EMV, with its CRC) and the picture of it."""

from __future__ import annotations

import base64
import struct
import unicodedata
import zlib

import qrcode

from sandbox.mercadopago.times import money_text

NAME_CHARS = 25
CITY_CHARS = 15
TXID_CHARS = 25
CRC_START = 0xFFFF
CRC_POLYNOMIAL = 0x1021
PIXELS_PER_MODULE = 4


def br_code(*, key: str, amount_minor: int, name: str, city: str, txid: str) -> str:
    """Return the copy-and-paste text; field order and lengths are the central bank's manual of the BR Code."""
    account = _field("00", "br.gov.bcb.pix") + _field("01", key)
    parts = (
        _field("00", "01"), _field("26", account), _field("52", "0000"), _field("53", "986"),
        _field("54", money_text(amount_minor)), _field("58", "BR"), _field("59", _plain(name, NAME_CHARS)),
        _field("60", _plain(city, CITY_CHARS)), _field("62", _field("05", txid[:TXID_CHARS])), "6304",
    )  # fmt: skip
    text = "".join(parts)
    return f"{text}{crc16(text.encode('ascii')):04X}"


def crc16(data: bytes) -> int:
    """Return the CRC-16 of ISO/IEC 13239 that EMV codes end with."""
    crc = CRC_START
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ CRC_POLYNOMIAL if crc & 0x8000 else crc << 1
    return crc & 0xFFFF


def qr_png(text: str) -> str:
    """Return a PNG of the QR code in base64, without `data:`."""
    code = qrcode.QRCode(border=4)
    code.add_data(text)
    code.make(fit=True)
    rows = [[dark for dark in row for _ in range(PIXELS_PER_MODULE)] for row in code.get_matrix()]
    lines = b"".join((b"\x00" + _packed(row)) * PIXELS_PER_MODULE for row in rows)
    side = len(rows[0])
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines, 9)) + _chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunks).decode()


def _packed(row: list[bool]) -> bytes:
    bits = "".join("0" if dark else "1" for dark in row)
    width = -(-len(bits) // 8)
    return int(bits.ljust(width * 8, "1"), 2).to_bytes(width)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _field(key: str, value: str) -> str:
    return f"{key}{len(value):02d}{value}"


def _plain(text: str, most: int) -> str:
    letters = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return letters[:most]
