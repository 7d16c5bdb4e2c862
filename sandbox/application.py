"""The WSGI application: /<vendor>/… are the vendors, /control/… plays the other side, /phone/… are pages."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import ClientDisconnected
from werkzeug.wrappers import Request, Response

from sandbox.control import frame_routes
from sandbox.faults import Fault, Faults, play
from sandbox.frame import Frame, Refused, Routes, Vendor, json_answer
from sandbox.jobs import Runner
from sandbox.pages import page_routes
from sandbox.store import Store
from sandbox.throttle import Buckets
from sandbox.vendors import discover

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# One developer looks at the latest calls; older ones are of no use and would only grow.
CALLS_KEPT = 500

log = logging.getLogger("sandbox")


class Application:
    """All vendors on one port."""

    def __init__(self, *, data_dir: Path, base_url: str) -> None:
        files_dir = data_dir / "files"
        files_dir.mkdir(parents=True, exist_ok=True)
        store = Store(data_dir / "sandbox.sqlite3")
        self.frame = Frame(
            store=store, runner=Runner(store), buckets=Buckets(), files_dir=files_dir, base_url=base_url.rstrip("/")
        )
        self.faults = Faults()
        self.calls: deque[dict[str, Any]] = deque(maxlen=CALLS_KEPT)
        self.vendors: dict[str, Vendor] = {key: vendor(self.frame) for key, vendor in discover().items()}
        self._own = Routes([*frame_routes(self), *page_routes(self)])
        self._control = {key: Routes(vendor.control()) for key, vendor in self.vendors.items()}
        self._pages = {key: Routes(vendor.pages()) for key, vendor in self.vendors.items()}
        self.seed()

    def seed(self) -> None:
        """Write the first data of every vendor that has none."""
        marks = self.frame.store.collection("sandbox", "seeded")
        for key, vendor in self.vendors.items():
            if marks.get(key) is None:
                with self.frame.store.transaction():
                    vendor.seed()
                    marks.put(key, {"at": self.frame.now()})

    def reset(self) -> None:
        """Forget everything and start again with the first data."""
        self.faults.clear()
        self.calls.clear()
        self.frame.buckets.clear()
        self.frame.store.clear()
        for file in self.frame.files_dir.iterdir():
            file.unlink()
        self.seed()

    def start(self) -> None:
        """Start the background work."""
        self.frame.runner.start()

    def close(self) -> None:
        """Stop the background work and close the file."""
        self.frame.runner.stop()
        self.frame.store.close()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one HTTP request."""
        request = Request(environ)
        try:
            response = self._route(request)
        except Refused as refused:
            response = refused.response()
        except ClientDisconnected as gone:
            raise ConnectionAbortedError("the caller left") from gone
        except ConnectionError:
            raise  # the connection is gone, on purpose or by the caller
        except Exception:
            log.exception("the sandbox failed to answer")
            response = json_answer({"error": "the sandbox itself failed; its log says where"}, status=500)
        return response(environ, start_response)

    def _route(self, request: Request) -> Response:
        first, _, rest = request.path.lstrip("/").partition("/")
        if first in self.vendors:
            return self._call(request, vendor=self.vendors[first], path=f"/{rest}")
        key, _, inner = rest.partition("/")
        tables = {"control": self._control, "phone": self._pages}.get(first, {})
        for table, path in ((self._own, request.path), (tables.get(key), f"/{inner}")):
            found = table.find(request.method, path) if table else None
            if found:
                return found[0].handler(request, **found[1])
        return json_answer({"error": f"nothing here: {request.method} {request.path}"}, status=404)

    def _call(self, request: Request, *, vendor: Vendor, path: str) -> Response:
        operation = vendor.operation(request, path)
        fault = self.faults.take(vendor=vendor.key, path=path, operation=operation)
        call = {
            "vendor": vendor.key,
            "method": request.method,
            "path": path,
            "operation": operation,
            "at": time.time(),
            "idempotency_key": request.headers.get("Idempotency-Key"),
            "fault": fault.kind if fault else None,
        }
        self.calls.append(call)
        response = self._answer(request, vendor=vendor, path=path, fault=fault)
        call["status"] = response.status_code
        return response

    def _answer(self, request: Request, *, vendor: Vendor, path: str, fault: Fault | None) -> Response:
        # The body is read first: an answer before that would reset the connection of a caller who still writes.
        if not request.mimetype.startswith("multipart/"):
            request.get_data(cache=True)
        if fault and fault.moment == "before":
            return play(fault, request=request, vendor=vendor)
        try:
            response = vendor.call(request, path)
        except Refused as refused:
            response = refused.response()
        return play(fault, request=request, vendor=vendor) if fault else response
