"""One module per vendor; the folder is the list. Names that start with an underscore are no vendors."""

from __future__ import annotations

import importlib
import pkgutil

from sandbox.frame import Vendor


def discover() -> dict[str, type[Vendor]]:
    """Import every module of this folder and return its VENDOR by key."""
    found: dict[str, type[Vendor]] = {}
    for module_info in pkgutil.iter_modules(__path__):
        if not module_info.name.startswith("_"):
            vendor: type[Vendor] = importlib.import_module(f"{__name__}.{module_info.name}").VENDOR
            found[vendor.key] = vendor
    return found
