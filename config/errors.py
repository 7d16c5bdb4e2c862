"""Pages for what no view answers: problems for machines, Django's own pages for people."""

from __future__ import annotations

import sys

from django.http import HttpRequest, HttpResponseBase
from django.views import defaults

from integrations.api.problems import Problem, problem_of, problem_response

MACHINES = ("/api/", "/webhooks/")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer an unknown address."""
    if request.path.startswith(MACHINES):
        detail = "There is nothing at this address."
        return problem_response(request, Problem(status=404, code="not_found", detail=detail))
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Answer a failure outside every view, such as a database that is away: 503 where trying again helps."""
    problem = problem_of(sys.exc_info()[1])
    if request.path.startswith(MACHINES):
        return problem_response(request, problem)
    page = defaults.server_error(request)
    page.status_code = problem.status
    for name, value in problem.headers().items():
        page.headers[name] = value
    return page
