"""The registry finds what is there and stops the start at what is wrong."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured

from dispatch import outbox
from integrations import registry
from integrations.contract import Category, Provider
from integrations.registry import APP_OF_CATEGORY, UnknownProvider
from tests.fictitious.parcelbox import PROVIDER

ROOT = Path(__file__).resolve().parents[2]

MODULE = """
from billing.providers.stripe import StripeProvider
from dataclasses import replace
from integrations.contract import Category

class Found(StripeProvider):
    spec = replace(StripeProvider.spec, key="{key}", category=Category.{category})

{last}
"""


@pytest.fixture(autouse=True)
def loaded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave the registry and the imported modules as the start made them."""
    imported = set(sys.modules)
    yield
    monkeypatch.undo()
    for name in set(sys.modules) - imported:
        if name.startswith("monitoring.providers."):
            del sys.modules[name]
    registry.load()


@pytest.fixture
def add_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Add a module to monitoring's providers: ``add_module("watch", key="watch")``."""
    package = importlib.import_module("monitoring.providers")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])

    def add(name: str, *, key: str, category: str = "MONITORING", last: str = "PROVIDER = Found") -> None:
        (tmp_path / f"{name}.py").write_text(MODULE.format(key=key, category=category, last=last))
        importlib.invalidate_caches()

    return add


class TestProviders:
    def test_every_module_of_every_category_is_found(self) -> None:
        modules = {
            path.stem for app in APP_OF_CATEGORY.values() for path in (ROOT / app / "providers").glob("[a-z]*.py")
        }

        assert set(registry.providers()) == modules
        assert {"whatsapp", "stripe"} <= modules

    def test_every_category_has_an_app(self) -> None:
        assert set(APP_OF_CATEGORY) == set(Category)
        assert all(apps.is_installed(name) for name in APP_OF_CATEGORY.values())

    def test_a_catalogue_shows_the_core_first(self) -> None:
        order = [(item.spec.priority, item.spec.label) for item in registry.providers().values()]

        assert order == sorted(order)

    def test_an_unknown_key_is_answered_with_the_known_ones(self) -> None:
        assert registry.find("nobody") is None

        with pytest.raises(UnknownProvider) as caught:
            registry.provider("nobody")

        assert "whatsapp" in caught.value.errors["provider"][0]

    def test_a_new_module_is_enough(self, add_module: Callable[..., None]) -> None:
        add_module("night_watch", key="night_watch")

        registry.load()

        assert registry.provider("night_watch").spec.category == "monitoring"

    def test_loading_again_changes_nothing(self) -> None:
        before = dict(registry.providers())

        registry.load()

        assert dict(registry.providers()) == before

    def test_importing_a_provider_registers_nothing(self) -> None:
        assert issubclass(PROVIDER, Provider)
        assert registry.find(PROVIDER.spec.key) is None


class TestWrongModules:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"name": "watch_a", "key": "another_key"},
            {"name": "watch_b", "key": "watch_b", "category": "PAYMENTS"},
            {"name": "watch_c", "key": "watch_c", "last": ""},
        ],
        ids=["key", "category", "no PROVIDER"],
    )
    def test_stop_the_start(self, add_module: Callable[..., None], wrong: dict[str, str]) -> None:
        add_module(**wrong)

        with pytest.raises(ImproperlyConfigured, match=wrong["name"]):
            registry.load()

        assert "whatsapp" in registry.providers()

    def test_a_key_of_another_category_stops_the_start(self, add_module: Callable[..., None]) -> None:
        add_module("stripe", key="stripe")

        with pytest.raises(ImproperlyConfigured, match="stripe"):
            registry.load()

    def test_a_helper_with_an_underscore_is_no_provider(self, add_module: Callable[..., None]) -> None:
        add_module("_shared", key="shared", last="")

        registry.load()

        assert registry.find("shared") is None


class TestHandlers:
    def test_a_wrong_path_stops_the_start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        config: Any = apps.get_app_config("integrations")
        monkeypatch.setattr(type(config), "handlers", {"outbox": {"x": "integrations.services.nowhere.X"}})

        with pytest.raises(ImproperlyConfigured, match="integrations"):
            registry.load()

    @pytest.mark.parametrize("kind", ["webhook.register", "credential.retire", outbox.PUBLISH])
    def test_every_kind_of_the_framework_has_a_handler(self, kind: str) -> None:
        handler = registry.outbox_handler(kind)

        assert all(callable(getattr(handler, verb)) for verb in ("call", "settle", "give_up"))

    def test_a_type_without_listeners_is_not_published(self) -> None:
        assert registry.subscribers("nobody.listens") == []
        assert not outbox.has_subscribers("nobody.listens")
