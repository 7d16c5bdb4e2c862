"""The settings of the vault, read here and nowhere else."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings

from vault.keys import MasterKeyProvider, PlatformKeys, RingMasterKeys, parse_ring


def master_keys() -> MasterKeyProvider:
    """
    Return the holder of the master keys (setting MASTER_KEYS).

    :raises BadKeyRing: the setting cannot be used
    """
    return _master_keys(settings.MASTER_KEYS, is_production=_is_production())


def platform_keys() -> PlatformKeys:
    """
    Return the keys of single platform secrets (setting PLATFORM_KEYS).

    :raises BadKeyRing: the setting cannot be used
    """
    return _platform_keys(settings.PLATFORM_KEYS, is_production=_is_production())


def key_database() -> str:
    """Return the alias that never enters an organization, over which organization keys are read and written."""
    return str(settings.INGRESS_DATABASE)


def _is_production() -> bool:
    return bool(settings.ENVIRONMENT_NAME == "production")


@lru_cache(maxsize=4)
def _master_keys(text: str, *, is_production: bool) -> MasterKeyProvider:
    return RingMasterKeys(parse_ring(text, setting="MASTER_KEYS", is_production=is_production))


@lru_cache(maxsize=4)
def _platform_keys(text: str, *, is_production: bool) -> PlatformKeys:
    return PlatformKeys(parse_ring(text, setting="PLATFORM_KEYS", is_production=is_production))
