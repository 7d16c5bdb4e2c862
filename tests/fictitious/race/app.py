"""Parcelbox as an installed app: so that processes of the product's own code know it, too."""

from __future__ import annotations

from pathlib import Path

from django.apps import AppConfig


class ParcelboxConfig(AppConfig):
    """Registers the provider when the process starts."""

    name = "tests.fictitious.race"
    label = "race"
    path = str(Path(__file__).parent)

    def ready(self) -> None:
        """Add it after those that the registry found."""
        from integrations import registry
        from tests.fictitious.parcelbox import PROVIDER

        registry.register(PROVIDER)
