"""
Every provider and every handler, found once at start.

Provider discovery and handlers' dotted paths are the only dynamic imports of the product. A wrong path, a
module without PROVIDER or two providers of one key stop the start.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from core.errors import ValidationFailed
from integrations.contract import Category, Provider

APP_OF_CATEGORY: Mapping[Category, str] = MappingProxyType(
    {
        Category.COMMUNICATION: "channels_app",
        Category.PAYMENTS: "billing",
        Category.AI: "ai_services",
        Category.STORAGE: "storage",
        Category.ANALYTICS: "analytics",
        Category.MONITORING: "monitoring",
    }
)
"""One app per category; its `providers` package holds one module per vendor."""

InboundHandler = Callable[..., None]
InboundTogether = Callable[..., AbstractContextManager[None]]
CategoryReconciler = Callable[..., bool]
"""`(integration, *, ends_at)`: see `reconciler`."""


class UnknownProvider(ValidationFailed):
    """No provider has this key."""


@dataclass(slots=True)
class _Loaded:
    providers: dict[str, type[Provider]] = field(default_factory=dict)
    inbound: dict[str, InboundHandler] = field(default_factory=dict)
    inbound_together: dict[str, InboundTogether] = field(default_factory=dict)
    reconciles: dict[str, CategoryReconciler] = field(default_factory=dict)
    outbox: dict[str, Any] = field(default_factory=dict)
    published: dict[str, list[Callable[..., None]]] = field(default_factory=dict)
    panels: list[Any] = field(default_factory=list)
    personal_data: list[Any] = field(default_factory=list)
    composers: dict[str, Callable[..., Any]] = field(default_factory=dict)


_loaded = _Loaded()


def load() -> None:
    """
    Find all providers and resolve all handlers; repeating it changes nothing.

    :raises ImproperlyConfigured: a module or path is wrong
    """
    fresh = _Loaded()
    for category, app_name in APP_OF_CATEGORY.items():
        for found in _providers_of(app_name, category):
            if found.spec.key in fresh.providers:
                raise ImproperlyConfigured(f"two providers have the key {found.spec.key!r}")
            fresh.providers[found.spec.key] = found
    for config in apps.get_app_configs():
        _resolve_handlers(config.name, getattr(config, "handlers", {}), fresh)
    _loaded.providers, _loaded.inbound = fresh.providers, fresh.inbound
    _loaded.inbound_together, _loaded.reconciles = fresh.inbound_together, fresh.reconciles
    _loaded.outbox, _loaded.published = fresh.outbox, fresh.published
    _loaded.panels, _loaded.personal_data = fresh.panels, fresh.personal_data
    _loaded.composers = fresh.composers


def providers() -> Mapping[str, type[Provider]]:
    """Return all providers by key, in the order of a catalogue."""
    ordered = sorted(_loaded.providers.values(), key=lambda item: (item.spec.priority, item.spec.label))
    return {item.spec.key: item for item in ordered}


def find(key: str) -> type[Provider] | None:
    """Return one provider, or nothing where there is none of this key."""
    return _loaded.providers.get(key)


def provider(key: str) -> type[Provider]:
    """
    Return one provider.

    :raises UnknownProvider: there is none of this key
    """
    try:
        return _loaded.providers[key]
    except KeyError:
        known = ", ".join(sorted(_loaded.providers))
        raise UnknownProvider(
            f"There is no provider '{key}'.", errors={"provider": [f"Use one of: {known}."]}
        ) from None


def register(found: type[Provider]) -> None:
    """Add a provider that is in no app's package; the tests' fictitious one comes in here."""
    _loaded.providers[found.spec.key] = found


def inbound_handler(category: Category) -> InboundHandler | None:
    """Return what writes the rows of a category's events."""
    return _loaded.inbound.get(APP_OF_CATEGORY[category])


def inbound_together(category: Category) -> InboundTogether | None:
    """Return what surrounds the handling of several events of one integration in one transaction."""
    return _loaded.inbound_together.get(APP_OF_CATEGORY[category])


def reconciler(category: Category) -> CategoryReconciler | None:
    """
    Return what compares a category's rows of one integration with its vendor, after the vendor's events were listed.

    It is called inside the organization with no transaction open, answers whether it came to its end by `ends_at`
    (else it is called again within the hour), and raises no ProviderError: what could not be compared it writes down.
    """
    return _loaded.reconciles.get(APP_OF_CATEGORY[category])


def outbox_handler(kind: str) -> Any:
    """Return what does the outside work of one kind; see `services.outbox.OutboxHandler`."""
    return _loaded.outbox[kind]


def panels() -> list[Any]:
    """Return the category apps' parts of an organization's start page; see `integrations.admin.sites.Panel`."""
    return _loaded.panels


def personal_data() -> list[Any]:
    """Return what finds, gives out and erases a person's data, one per app that holds any."""
    return _loaded.personal_data


def published_types() -> set[str]:
    """Return the published types that somebody listens to."""
    return set(_loaded.published)


def types_only_for(subscriber: Callable[..., None]) -> set[str]:
    """Return the published types to which one subscriber listens and nobody else."""
    return {event_type for event_type, found in _loaded.published.items() if found == [subscriber]}


def subscribers(event_type: str) -> list[Callable[..., None]]:
    """Return who listens to a published type."""
    return _loaded.published.get(event_type, [])


def composer(event_type: str) -> Callable[..., Any]:
    """Return what composes the payloads of a type; see `notifications.endpoints.payloads.Composer`."""
    return _loaded.composers[event_type]


def _providers_of(app_name: str, category: Category) -> list[type[Provider]]:
    package = importlib.import_module(f"{app_name}.providers")
    found = []
    for module_info in pkgutil.iter_modules(package.__path__):
        if module_info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{app_name}.providers.{module_info.name}")
        candidate = getattr(module, "PROVIDER", None)
        if candidate is None or candidate.spec.key != module_info.name or candidate.spec.category != category:
            raise ImproperlyConfigured(
                f"{module.__name__} must end with PROVIDER = a class whose spec has this module's key and category"
            )
        found.append(candidate)
    return found


def _resolve_handlers(app_name: str, handlers: Mapping[str, Any], fresh: _Loaded) -> None:
    try:
        for key in {"inbound", "inbound_together", "reconciles"} & handlers.keys():
            getattr(fresh, key)[app_name] = import_string(handlers[key])
        for kind, path in handlers.get("outbox", {}).items():
            fresh.outbox[kind] = import_string(path)
        for event_type, path in handlers.get("published", {}).items():
            fresh.published.setdefault(event_type, []).append(import_string(path))
        for event_type, path in handlers.get("payloads", {}).items():
            fresh.composers[event_type] = import_string(path)
        fresh.panels += [import_string(path) for path in handlers.get("panels", ())]
        if path := handlers.get("personal_data"):
            fresh.personal_data.append(import_string(path))
    except ImportError as error:
        raise ImproperlyConfigured(f"a handler of {app_name} cannot be imported: {error}") from error
