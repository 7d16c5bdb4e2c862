"""Reading requests without losing a word: what a serializer does not know is refused by its name."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses members it does not know: a misspelled one would be lost silently."""

    def to_internal_value(self, data: Any) -> Any:
        """Read the body."""
        if isinstance(data, dict) and (unknown := sorted(set(data) - set(self.fields))):
            known = ", ".join(self.fields)
            raise serializers.ValidationError({name: [f"Unknown field. Fields: {known}."] for name in unknown})
        return super().to_internal_value(data)
