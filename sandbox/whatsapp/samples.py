"""Make small files of each kind, so that customers can send media without any being shipped."""

from __future__ import annotations

import base64
import struct
import zlib

SIDE = 96
OGG_POLYNOMIAL = 0x04C11DB7
# One Opus packet of 20 ms silence (stereo, fullband), and a second of them.
SILENCE, PACKETS = b"\xfc\xff\xfe", 50
SMALLEST_WEBP = base64.b64decode("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==")


def picture() -> bytes:
    """Return a PNG: a gradient of 96 x 96 pixels."""
    rows = b"".join(b"\x00" + b"".join(bytes((40 + x, 120, 200 - y)) for x in range(SIDE)) for y in range(SIDE))
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, body) for kind, body in chunks)


def voice() -> bytes:
    """Return a voice note: one second of silence as Ogg Opus."""
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 2, 0, 48000, 0, 0)
    vendor = b"sandbox"
    tags = b"OpusTags" + struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", 0)
    pages = (([head], 2, 0), ([tags], 0, 0), ([SILENCE] * PACKETS, 4, PACKETS * 960))
    return b"".join(
        _ogg_page(packets, number=number, kind=kind, position=position)
        for number, (packets, kind, position) in enumerate(pages)
    )


def video() -> bytes:
    """Return the beginning of an MP4: enough to be recognized as one."""
    brand = b"isom\x00\x00\x02\x00isomiso2mp41"
    return struct.pack(">I", 8 + len(brand)) + b"ftyp" + brand + struct.pack(">I", 8) + b"mdat"


def page_of_text() -> bytes:
    """Return a PDF with one empty page."""
    return (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
    )


# type of a message: (mime type, file name, how to make the bytes)
SAMPLES = {
    "image": ("image/png", "", picture),
    "sticker": ("image/webp", "", lambda: SMALLEST_WEBP),
    "audio": ("audio/ogg; codecs=opus", "", voice),
    "video": ("video/mp4", "", video),
    "document": ("application/pdf", "document.pdf", page_of_text),
}


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _ogg_page(packets: list[bytes], *, number: int, kind: int, position: int) -> bytes:
    sizes = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    head = b"OggS" + struct.pack("<BBqIII", 0, kind, position, 1, number, 0) + bytes([len(sizes)])
    page = head + sizes + b"".join(packets)
    return page[:22] + struct.pack("<I", _ogg_checksum(page)) + page[26:]


def _ogg_checksum(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1) ^ OGG_POLYNOMIAL if value & 0x80000000 else value << 1
            value &= 0xFFFFFFFF
    return value
