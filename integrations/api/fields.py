"""Fields that say a value the way the contract does; for the serializers of every room."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core import clock


@extend_schema_field({"type": "string", "format": "date-time", "examples": ["2026-11-02T15:04:05.123Z"]})
class TimeField(serializers.DateTimeField):
    """ISO 8601 in UTC with milliseconds and Z."""

    def to_representation(self, value: Any) -> str | None:  # type: ignore[override]  # null stays null
        """Format the moment."""
        return clock.iso(value)


class OptionalText(serializers.CharField):
    """A text that is null where we have none; the table keeps an empty text."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_null": True, "read_only": True, **options})

    def to_representation(self, value: Any) -> str | None:  # type: ignore[override]
        """Return the text, or null."""
        return super().to_representation(value) or None


class ClosedSetField(serializers.CharField):
    """
    A text that is one of a few values; each subclass is a component of OpenAPI under its own name.

    A subclass must set `values`. Unlike DRF's ChoiceField its name does not depend on who else uses the field.
    """

    values: tuple[str, ...] = ()

    def to_internal_value(self, data: Any) -> str:
        """Read a value; refuse others by naming all."""
        if data not in self.values:
            raise serializers.ValidationError(f"Use one of: {', '.join(self.values)}.")
        return str(data)


class ClosedSetSchema(OpenApiSerializerFieldExtension):
    """Writes the component, once."""

    target_class = ClosedSetField
    match_subclasses = True

    def get_name(self) -> str:
        """Name the component after the class."""
        return type(self.target).__name__.removesuffix("Field")

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        """Return the schema."""
        return {"type": "string", "enum": list(self.target.values)}


class EnvironmentField(ClosedSetField):
    """Test or live."""

    values = ("test", "live")
