"""What every stand-in is made of: routes, refusals, and the services the frame gives it.

A vendor is one module `sandbox/vendors/<key>.py` that ends with `VENDOR = ItsClass`. It must answer calls the way the
vendor does, refusing what the vendor refuses; it may add control routes (to play the other side) and pages.
"""

from __future__ import annotations

import json
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from werkzeug.wrappers import Request, Response

from sandbox.jobs import Runner
from sandbox.settings import Settings, read_settings
from sandbox.store import Collection, Store
from sandbox.throttle import Buckets


class Refused(Exception):
    """The answer is a refusal; it carries the response as the vendor would write it."""

    def __init__(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"refused with {status}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """Return the refusal as an HTTP answer."""
        return json_answer(self.body, status=self.status, headers=self.headers)


@dataclass(frozen=True, slots=True)
class Route:
    """One method and path pattern; `{name}` stands for one path segment."""

    method: str
    pattern: str
    handler: Callable[..., Response]


class Routes:
    """A table of routes, tried in order."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = [(route, re.compile(_expression(route.pattern))) for route in routes]

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """Return the route of a call and the values of its path, or None."""
        for route, expression in self._routes:
            match = expression.fullmatch(path)
            if match and route.method == method:
                return route, match.groupdict()
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The services a vendor works with."""

    store: Store
    runner: Runner
    buckets: Buckets  # whoever is too fast; forgotten at a restart
    files_dir: Path  # files too large for the store; emptied by a reset
    base_url: str  # "http://127.0.0.1:8420", without a slash at the end

    @property
    def settings(self) -> Settings:
        """Return the settings in force."""
        return read_settings(self.store)

    def now(self) -> float:
        """Return Unix seconds."""
        return time.time()


class Vendor(ABC):
    """
    Stand in for one vendor.

    A subclass must set `key` and `label` and write `call` and `seed`; it may write `operation`, `failure`, `refusal`,
    `control` and `pages`; it should not touch the faults, which the frame plays.
    """

    key: ClassVar[str]
    label: ClassVar[str]
    phone_page: ClassVar[bool] = False

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    @abstractmethod
    def call(self, request: Request, path: str) -> Response:
        """Answer one call at the vendor's own path (without its key); :raises Refused: as the vendor does."""

    def operation(self, request: Request, path: str) -> str:
        """Name the operation of a call, for faults that hit one operation only."""
        return ""

    def failure(self, status: int) -> object:
        """Return the body this vendor writes for 429 and 500."""
        return {"error": {"message": "failure", "status": status}}

    def refusal(self, code: int | str) -> Refused:
        """Return the vendor's own refusal with this code, for faults; :raises KeyError: the vendor has none."""
        raise KeyError(code)

    @abstractmethod
    def seed(self) -> None:
        """Write the deterministic first data; called when the store is new."""

    def control(self) -> Sequence[Route]:
        """Return the routes under /control/<key>."""
        return ()

    def pages(self) -> Sequence[Route]:
        """Return the routes under /phone/<key>."""
        return ()

    def collection(self, kind: str) -> Collection:
        """Return the vendor's documents of one kind."""
        return self.frame.store.collection(self.key, kind)


def json_answer(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return JSON in UTF-8."""
    return Response(
        json.dumps(body, ensure_ascii=False), status=status, headers=dict(headers or {}), mimetype="application/json"
    )


def read_json(request: Request) -> dict[str, Any]:
    """
    Return the JSON object of a control call; an empty body is an empty object.

    :raises Refused: the content type is not JSON (a foreign web page cannot send it unasked) or the body no object
    """
    raw = request.get_data()
    if not raw:
        return {}
    if request.mimetype != "application/json":
        raise Refused(415, {"error": "send application/json"})
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise Refused(400, {"error": f"the body is not JSON: {error}"}) from error
    if not isinstance(body, dict):
        raise Refused(400, {"error": "the body must be a JSON object"})
    return body


def _expression(pattern: str) -> str:
    return re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
