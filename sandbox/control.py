"""Control that belongs to no vendor: faults, settings, the log of calls, reset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from sandbox.faults import BadFault
from sandbox.frame import Refused, Route, json_answer, read_json
from sandbox.settings import BadSetting, change_settings

if TYPE_CHECKING:
    from sandbox.application import Application


def frame_routes(application: Application) -> Sequence[Route]:
    """Return the routes of the frame itself."""
    control = FrameControl(application)
    return (
        Route("GET", "/healthz", control.health),
        Route("GET", "/control/faults", control.list_faults),
        Route("POST", "/control/faults", control.plan_fault),
        Route("DELETE", "/control/faults", control.clear_faults),
        Route("GET", "/control/settings", control.show_settings),
        Route("POST", "/control/settings", control.change_settings),
        Route("GET", "/control/calls", control.list_calls),
        Route("DELETE", "/control/calls", control.clear_calls),
        Route("GET", "/control/jobs", control.count_jobs),
        Route("POST", "/control/reset", control.reset),
    )


class FrameControl:
    """The handlers, over one application."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def health(self, request: Request) -> Response:
        """Say that the process answers and which vendors it plays."""
        return json_answer({"status": "ok", "vendors": sorted(self._application.vendors)})

    def list_faults(self, request: Request) -> Response:
        """List the faults to come."""
        return json_answer({"faults": self._application.faults.planned()})

    def plan_fault(self, request: Request) -> Response:
        """Plan a fault: {vendor, kind, times, path_prefix?, operation?, …}; see README.md."""
        try:
            fault = self._application.faults.plan(read_json(request), vendors=self._application.vendors)
        except BadFault as error:
            raise Refused(400, {"error": str(error)}) from error
        return json_answer(asdict(fault), status=201)

    def clear_faults(self, request: Request) -> Response:
        """Heal everything."""
        self._application.faults.clear()
        return json_answer({"faults": []})

    def show_settings(self, request: Request) -> Response:
        """Show the settings in force."""
        return json_answer(asdict(self._application.frame.settings))

    def change_settings(self, request: Request) -> Response:
        """Change some settings."""
        try:
            settings = change_settings(self._application.frame.store, read_json(request))
        except BadSetting as error:
            raise Refused(400, {"error": str(error)}) from error
        return json_answer(asdict(settings))

    def list_calls(self, request: Request) -> Response:
        """List the latest calls to the vendors, without headers and bodies; ?vendor= and ?operation= filter."""
        wanted = {name: request.args[name] for name in ("vendor", "operation") if name in request.args}
        calls = [call for call in list(self._application.calls) if wanted.items() <= call.items()]
        return json_answer({"calls": calls})

    def clear_calls(self, request: Request) -> Response:
        """Forget the log of calls."""
        self._application.calls.clear()
        return json_answer({"calls": []})

    def count_jobs(self, request: Request) -> Response:
        """Count the background work that is not finished."""
        return json_answer({"waiting": self._application.frame.store.waiting_jobs()})

    def reset(self, request: Request) -> Response:
        """Forget everything and write the first data again."""
        read_json(request)
        self._application.reset()
        return json_answer({"status": "reset"})
