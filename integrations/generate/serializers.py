"""
The request of `POST /integrations/` for OpenAPI: one component per provider, told apart by `provider`.

These describe; `services.connect` validates, so that the admin, the API and a command refuse the same things.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from rest_framework import serializers

from integrations import registry
from integrations.generate.schema import NAME_LENGTH, connect_schema
from integrations.generate.strict import StrictSerializer

MOST_FIELDS = 40
"""More fields than any vendor has; a body with thousands is refused before anything looks at them."""


class ConnectSerializer(StrictSerializer):
    """What every provider takes; the fields of `credentials` and `settings` are the provider's."""

    provider = serializers.CharField(max_length=40)
    name = serializers.CharField(max_length=NAME_LENGTH, required=False, allow_blank=True, default="")
    environment = serializers.CharField(required=False, default="")
    credentials = serializers.DictField(child=serializers.JSONField(), default=dict)
    settings = serializers.DictField(child=serializers.JSONField(), default=dict)

    def validate_credentials(self, value: dict[str, Any]) -> dict[str, Any]:
        """Refuse absurd numbers of fields."""
        return _few(value)

    def validate_settings(self, value: dict[str, Any]) -> dict[str, Any]:
        """Refuse absurd numbers of fields."""
        return _few(value)


class ConnectSchema(OpenApiSerializerExtension):
    """Writes the components: `Connect` is one of `ConnectWhatsapp`, …"""

    target_class = ConnectSerializer

    def get_name(self, auto_schema: AutoSchema, direction: str) -> str:
        """Name the component."""
        return "Connect"

    def map_serializer(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        """Return one alternative per registered provider."""
        components = {key: _component(auto_schema, key) for key in registry.providers()}
        return {
            "oneOf": [component.ref for component in components.values()],
            "discriminator": {
                "propertyName": "provider",
                "mapping": {key: component.ref["$ref"] for key, component in components.items()},
            },
        }


def _component(auto_schema: AutoSchema, key: str) -> ResolvedComponent:
    name = "Connect" + "".join(part.capitalize() for part in key.split("_"))
    component = ResolvedComponent(
        name=name,
        type=ResolvedComponent.SCHEMA,
        schema=connect_schema(registry.provider(key)),
        object=f"connect:{key}",
    )
    auto_schema.registry.register_on_missing(component)
    return component


def _few(value: dict[str, Any]) -> dict[str, Any]:
    if len(value) > MOST_FIELDS:
        raise serializers.ValidationError(f"At most {MOST_FIELDS} fields.")
    return value
