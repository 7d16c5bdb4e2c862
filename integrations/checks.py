"""System checks of the whole: table placement and keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, register
from django.db.models import ForeignKey, ManyToManyField

from tenants.routers import organization_app_labels

MAX_ORGANIZATION_TABLES = 40
"""More tables per schema make thousands of organizations slow to create and to migrate (RELIABILITY section 2)."""


@register()
def no_foreign_key_crosses(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """A foreign key from an organization's schema to public, or back, is refused."""
    inside = organization_app_labels()
    return [
        Error(f"{model._meta.label}.{field.name} crosses between public and an organization", id="registry.E001")
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if isinstance(field, ForeignKey | ManyToManyField)
        and (model._meta.app_label in inside) != (field.related_model._meta.app_label in inside)
    ]


@register()
def few_organization_tables(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Organizations' schemas stay small."""
    inside = organization_app_labels()
    count = sum(1 for model in apps.get_models(include_auto_created=True) if model._meta.app_label in inside)
    if count > MAX_ORGANIZATION_TABLES:
        return [Error(f"{count} tables in an organization's schema; at most 40", id="registry.E002")]
    return []
