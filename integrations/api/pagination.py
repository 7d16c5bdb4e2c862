"""Pages: `{next, previous, results}`, newest first, moved through by an opaque cursor over the time-ordered ids."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import QuerySet
from rest_framework.request import Request

from core.errors import ValidationFailed
from integrations.api import conf

DEFAULT_LIMIT = 50
MAX_LIMIT = 200

PARAMETERS = frozenset({"limit", "cursor"})
"""Query parameters of every list."""

_FORWARD, _BACKWARD = "a", "b"  # after an id, in the list's order; before it


class Cursor(NamedTuple):
    """A place between two rows and the direction to read."""

    direction: str
    row_id: UUID

    def text(self) -> str:
        """Return the opaque text of the place."""
        return base64.urlsafe_b64encode(self.direction.encode() + self.row_id.bytes).decode().rstrip("=")


class Page(NamedTuple):
    """Rows of one page and the places before and after it."""

    rows: Sequence[Any]
    next: Cursor | None
    previous: Cursor | None


class RegistryPagination:
    """Reads `limit` and `cursor` of a request, cuts a queryset and writes the page."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.limit = _limit(request.query_params.get("limit", ""))
        self.cursor = _cursor(request.query_params.get("cursor", ""))

    def page_of(self, queryset: QuerySet[Any]) -> Page:
        """Cut the page out of a queryset whose primary key is a UUIDv7 named `id`; one query."""
        is_back = self.cursor is not None and self.cursor.direction == _BACKWARD
        rows = list(self._window(queryset, is_back=is_back)[: self.limit + 1])
        has_more = len(rows) > self.limit
        rows = rows[: self.limit]
        if is_back:
            rows.reverse()
        has_next, has_previous = (True, has_more) if is_back else (has_more, self.cursor is not None)
        return Page(
            rows,
            Cursor(_FORWARD, rows[-1].id) if rows and has_next else None,
            Cursor(_BACKWARD, rows[0].id) if rows and has_previous else None,
        )

    def envelope(self, page: Page, results: Sequence[Any]) -> dict[str, Any]:
        """Return the body of a list."""
        return {"next": self._url(page.next), "previous": self._url(page.previous), "results": list(results)}

    def _window(self, queryset: QuerySet[Any], *, is_back: bool) -> QuerySet[Any]:
        if self.cursor is None:
            return queryset.order_by("-id")
        if is_back:
            return queryset.filter(id__gt=self.cursor.row_id).order_by("id")
        return queryset.filter(id__lt=self.cursor.row_id).order_by("-id")

    def _url(self, cursor: Cursor | None) -> str | None:
        if cursor is None:
            return None
        kept = [(name, value) for name, value in self.request.query_params.items() if name != "cursor"]
        return f"{conf.public_url()}{self.request.path}?{urlencode([*kept, ('cursor', cursor.text())])}"


def _limit(text: str) -> int:
    if not text:
        return DEFAULT_LIMIT
    if (
        not (text.isascii() and text.isdigit() and len(text) < len(str(MAX_LIMIT)) + 1)
        or not 1 <= int(text) <= MAX_LIMIT
    ):
        raise ValidationFailed("The limit is out of range.", errors={"limit": [f"Use a number from 1 to {MAX_LIMIT}."]})
    return int(text)


def _cursor(text: str) -> Cursor | None:
    if not text:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        direction = raw[:1].decode("ascii")
        if direction not in {_FORWARD, _BACKWARD}:
            raise ValueError(direction)
        return Cursor(direction, UUID(bytes=raw[1:]))
    except (ValueError, binascii.Error):
        raise ValidationFailed(
            "This cursor is not one of ours.", errors={"cursor": ["Use the `next` or `previous` of a page as it is."]}
        ) from None
