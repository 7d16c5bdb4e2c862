"""What a payer is shown: the BR Code of a PIX, the line of a boleto."""

from __future__ import annotations

import binascii
import io
import secrets
import struct
import zlib
from datetime import UTC, datetime

import qrcode
from qrcode.image.svg import SvgPathImage

from sandbox.store import Document

MERCHANT = "SANDBOX AURORA"
CITY = "SAO PAULO"
POINTS = 6  # each module of the code is a square of so many points


def pix_action(intent: Document, *, base_url: str, expires_at: int) -> Document:
    """Return the next action of a PIX."""
    pages = f"{base_url}/stripe"
    location = f"{base_url.rpartition('//')[2]}/stripe/pix/{secrets.token_hex(8)}"
    shown = {
        "data": br_code(location, amount=intent["amount"]),
        "expires_at": expires_at, "hosted_instructions_url": f"{pages}/payer/{intent['client_secret']}",
        "image_url_png": f"{pages}/qr/{intent['client_secret']}.png",
        "image_url_svg": f"{pages}/qr/{intent['client_secret']}.svg",
    }  # fmt: skip
    return {"type": "pix_display_qr_code", "pix_display_qr_code": shown}


def boleto_action(intent: Document, *, base_url: str, expires_at: int) -> Document:
    """Return the next action of a boleto."""
    page = f"{base_url}/stripe/payer/{intent['client_secret']}"
    day = datetime.fromtimestamp(expires_at, UTC).strftime("%d")
    number = f"01010101010101010101010101010101010101010{day}{intent['amount']:08d}"[:47]
    shown = {"expires_at": expires_at, "hosted_voucher_url": page, "number": number, "pdf": f"{page}?pdf=1"}
    return {"type": "boleto_display_details", "boleto_display_details": shown}


def br_code(location: str, *, amount: int) -> str:
    """Return a dynamic BR Code (EMV, CRC16-CCITT) that points to a location; `amount` in centavos."""
    account = _field("00", "br.gov.bcb.pix") + _field("25", location)
    parts = (
        ("00", "01"), ("26", account), ("52", "0000"), ("53", "986"), ("54", f"{amount // 100}.{amount % 100:02d}"),
        ("58", "BR"), ("59", MERCHANT), ("60", CITY), ("62", _field("05", "***")),
    )  # fmt: skip
    body = "".join(_field(name, value) for name, value in parts) + "6304"
    return f"{body}{binascii.crc_hqx(body.encode(), 0xFFFF):04X}"


def qr_svg(data: str) -> bytes:
    """Return the code as a picture."""
    picture = io.BytesIO()
    qrcode.make(data, image_factory=SvgPathImage).save(picture)
    return picture.getvalue()


def qr_png(data: str) -> bytes:
    """Return the code as a PNG in gray."""
    code = qrcode.QRCode(box_size=1)
    code.add_data(data)
    matrix = [[dark for dark in row for _ in range(POINTS)] for row in code.get_matrix() for _ in range(POINTS)]
    rows = b"".join(b"\0" + bytes(0 if dark else 255 for dark in row) for row in matrix)
    size = struct.pack(">II", len(matrix), len(matrix)) + bytes((8, 0, 0, 0, 0))
    parts = (b"IHDR", size), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in parts)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _field(name: str, value: str) -> str:
    return f"{name}{len(value):02d}{value}"
