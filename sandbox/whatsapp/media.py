"""Media: upload, the address to fetch it from, download, deletion, and their limits."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from werkzeug.wrappers import Request, Response

from sandbox.frame import Refused
from sandbox.meta.errors import graph_error, no_such_object
from sandbox.meta.graph import GraphCall, Operation
from sandbox.store import Document
from sandbox.whatsapp.state import State, new_number

MB = 1024 * 1024
UPLOAD_LIVES_S, INCOMING_LIVES_S, ADDRESS_LIVES_S = 30 * 86400, 7 * 86400, 300
ATTACHMENTS = "/whatsapp_business/attachments/"
CHUNK = 64 * 1024
MESSAGING = ("whatsapp_business_messaging",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One accepted mime type; `magic` is how its bytes start (at an offset), where a mix-up is likely."""

    kind: str
    most_bytes: int
    magic: tuple[int, bytes] | None = None


FORMATS: dict[str, Format] = {
    "image/jpeg": Format(kind="image", most_bytes=5 * MB, magic=(0, b"\xff\xd8\xff")),
    "image/png": Format(kind="image", most_bytes=5 * MB, magic=(0, b"\x89PNG")),
    "image/webp": Format(kind="sticker", most_bytes=500 * 1024, magic=(8, b"WEBP")),
    "audio/aac": Format(kind="audio", most_bytes=16 * MB),
    "audio/amr": Format(kind="audio", most_bytes=16 * MB),
    "audio/mpeg": Format(kind="audio", most_bytes=16 * MB),
    "audio/mp4": Format(kind="audio", most_bytes=16 * MB),
    "audio/ogg": Format(kind="audio", most_bytes=16 * MB, magic=(0, b"OggS")),
    "audio/opus": Format(kind="audio", most_bytes=16 * MB),
    "video/mp4": Format(kind="video", most_bytes=16 * MB, magic=(4, b"ftyp")),
    "video/3gpp": Format(kind="video", most_bytes=16 * MB, magic=(4, b"ftyp")),
}
DOCUMENT = Format(kind="document", most_bytes=100 * MB)
DOCUMENT_TYPES = (
    "text/plain", "text/csv", "application/pdf", "application/json", "application/zip", "application/msword",
    "application/vnd.ms-excel", "application/vnd.ms-powerpoint",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
)  # fmt: skip


class Media:
    """Operations on media."""

    def __init__(self, state: State) -> None:
        self._state = state

    def operations(self) -> Sequence[Operation]:
        """Return the operations of media."""
        of_phone = frozenset({"phone_number_id"})
        return (
            Operation(name="media.upload", method="POST", node="phone", edge="media", handler=self.upload,
                      scopes=MESSAGING),
            Operation(name="media.show", method="GET", node="media", handler=self.show, scopes=MESSAGING,
                      query=of_phone),
            Operation(name="media.delete", method="DELETE", node="media", handler=self.delete, scopes=MESSAGING,
                      query=of_phone),
        )  # fmt: skip

    def upload(self, call: GraphCall) -> Document:
        """Keep an uploaded file for 30 days."""
        form, files = call.request.form, call.request.files
        for name in (*form, *files):
            if name not in ("file", "type", "messaging_product"):
                raise graph_error(100, message=f'Unexpected key "{name}" on param "body".')
        if form.get("messaging_product") != "whatsapp":
            raise graph_error(100, message="The parameter messaging_product is required.")
        if "file" not in files:
            raise graph_error(100, message="The parameter file is required.")
        upload = files["file"]
        mime = form.get("type", "").partition(";")[0].strip()
        if not mime:
            raise graph_error(100, message="The parameter type is required.")
        if upload.mimetype not in (mime, "application/octet-stream"):
            raise graph_error(100, message=f"Param type {mime} differs from the file's own type {upload.mimetype}.")
        check_format(mime, upload.stream)
        media = self.keep(
            upload.stream, mime=mime, phone=call.node, filename=upload.filename or "", lives_s=UPLOAD_LIVES_S
        )
        return {"id": media["id"]}

    def show(self, call: GraphCall) -> Document:
        """Return where to fetch the file from within 5 minutes."""
        asked = call.query.get("phone_number_id")
        if asked and asked != call.node["phone_number_id"]:
            raise no_such_object("GET", call.node["id"])
        media = call.node
        return {
            "url": self.address(media, base_url=call.request.host_url), "mime_type": media["mime_type"],
            "sha256": media["sha256"], "file_size": media["file_size"], "id": media["id"],
            "messaging_product": "whatsapp",
        }  # fmt: skip

    def delete(self, call: GraphCall) -> Document:
        """Forget the file."""
        self._state.media.delete(call.node["id"])
        self.path(call.node["id"]).unlink(missing_ok=True)
        return {"success": True}

    def download(self, request: Request) -> Response:
        """Answer the address with the bytes; it wants a living Bearer token that may see the media."""
        caller = self._state.tokens.caller(request)
        media = self.find(request.args.get("mid", ""))
        expires, signature = request.args.get("ext", ""), request.args.get("hash", "")
        if media is None or not any(caller.sees(target) for target in media["targets"]):
            raise Refused(404, {"error": "not found"})
        if not hmac.compare_digest(signature, self._signature(media, expires)):
            raise Refused(403, {"error": "URL signature mismatch"})
        if not expires.isdigit() or int(expires) < self._state.frame.now():
            raise Refused(404, {"error": "URL has expired"})
        return self.serve(media)

    def serve(self, media: Document) -> Response:
        """Return the bytes of a file."""
        headers = {"Content-Length": str(media["file_size"]), "X-Content-Type-Options": "nosniff"}
        if media["filename"]:
            headers["Content-Disposition"] = f'attachment; filename="{media["id"]}"'
        stream = self.path(media["id"]).open("rb")
        response = Response(
            iter(lambda: stream.read(CHUNK), b""), status=200, headers=headers, content_type=media["mime_type"]
        )
        response.call_on_close(stream.close)
        return response

    def find(self, media_id: str) -> Document | None:
        """Return a file that is still kept."""
        media = self._state.media.get(media_id)
        return media if media and media["expires_at"] > self._state.frame.now() else None

    def keep(
        self, stream: IO[bytes], *, mime: str, phone: Document, filename: str = "", lives_s: int = INCOMING_LIVES_S
    ) -> Document:
        """Write a file down and return its document."""
        media_id = new_number()
        with self.path(media_id).open("wb") as target:
            shutil.copyfileobj(stream, target, CHUNK)
        digest, size = _digest(self.path(media_id))
        return self._state.media.put(
            media_id,
            {
                "id": media_id, "phone_number_id": phone["id"], "targets": [phone["waba_id"]], "mime_type": mime,
                "sha256": digest.hex(), "sha256_base64": base64.b64encode(digest).decode(), "file_size": size,
                "filename": filename, "expires_at": time.time() + lives_s, "key": secrets.token_hex(16),
            },
            owner=phone["id"],
        )  # fmt: skip

    def address(self, media: Document, *, base_url: str) -> str:
        """Return the signed address of a file, good for 5 minutes."""
        expires = str(int(self._state.frame.now()) + ADDRESS_LIVES_S)
        query = f"mid={media['id']}&ext={expires}&hash={self._signature(media, expires)}"
        return f"{base_url.rstrip('/')}/whatsapp{ATTACHMENTS}?{query}"

    def path(self, media_id: str) -> Path:
        """Return where the bytes of a file lie."""
        return self._state.frame.files_dir / media_id

    def _signature(self, media: Document, expires: str) -> str:
        return hmac.new(media["key"].encode(), f"{media['id']}:{expires}".encode(), hashlib.sha256).hexdigest()[:40]


def check_format(mime: str, stream: IO[bytes]) -> None:
    """:raises Refused: a type WhatsApp does not take, too many bytes, or bytes of another type."""
    found = format_of(mime)
    if found is None:
        allowed = ", ".join((*FORMATS, *DOCUMENT_TYPES))
        raise graph_error(
            100,
            message=f"Param file must be a file with one of the following types: {allowed}."
            f" Received file of type '{mime}'.",
        )
    start = stream.read(16)
    size = stream.seek(0, 2)
    stream.seek(0)
    if size == 0 or size > found.most_bytes:
        details = f"File size {size} is out of bounds: 1 to {found.most_bytes} bytes for {mime}."
        raise graph_error(131053, details, product="whatsapp")
    if found.magic and not start[found.magic[0] :].startswith(found.magic[1]):
        raise graph_error(131053, f"The file does not contain {mime}.", product="whatsapp")


def format_of(mime: str) -> Format | None:
    """Return the limits of a mime type, or None if WhatsApp does not take it."""
    plain = mime.partition(";")[0].strip()
    return FORMATS.get(plain) or (DOCUMENT if plain in DOCUMENT_TYPES else None)


def _digest(path: Path) -> tuple[bytes, int]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.digest(), size
