"""Every address of the organization's site, read from the resolver, with rows put in."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern

from integrations.admin.sites import organization_site, platform_site
from tests.admin.conftest import Place

NO_PAGE = frozenset({"logout", "login"})
"""Addresses that end or start a session; they have tests of their own."""


@dataclass(frozen=True)
class Route:
    """One address: its name, its template with {model} in it, and the model whose row it names."""

    name: str
    template: str
    model: str

    @property
    def names_a_row(self) -> bool:
        """Whether the address holds a row's id."""
        return "{" in self.template

    def path(self, rows: Place) -> str:
        """Fill in the rows of a place."""
        return self.template.format(**{name: str(value) for name, value in rows.ids.items()})


def organization_routes() -> list[Route]:
    """Return the routes of the organization's site."""
    return list(_routes(organization_site))


def platform_routes() -> list[Route]:
    """Return the routes of the platform's site."""
    return list(_routes(platform_site))


def _routes(site: Any) -> Iterator[Route]:
    for prefix, pattern in _flat(site.get_urls()):
        model = _model_of(pattern.callback)
        template = prefix + str(pattern.pattern)
        for placeholder in ("<path:object_id>", "<uuid:object_id>"):
            template = template.replace(placeholder, "{" + model + "}")
        template = template.replace("<uuid:message_id>", "{message}").replace("<slug:provider>", "whatsapp")
        if "<" not in template and "(?P" not in template and pattern.name not in NO_PAGE:
            yield Route(pattern.name or template, template, model)


def _flat(patterns: Any, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            yield prefix, pattern
        else:
            yield from _flat(pattern.url_patterns, prefix + str(pattern.pattern))


def _model_of(callback: Any) -> str:
    found = getattr(callback, "model_admin", None) or getattr(inspect.unwrap(callback), "__self__", None)
    model = getattr(found, "model", None)
    return str(model._meta.model_name) if model is not None else ""
