"""Where a provider may send its credential: hosts of its spec, the operator's overrides, its destination fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from core.secret import Secrets
from integrations.contract.errors import Misconfigured, UnexpectedResponse
from integrations.contract.spec import ProviderSpec
from integrations.outbound.overrides import ALL_ROLES
from transport.errors import RequestInvalid
from transport.policy import TRUSTED, EgressPolicy
from transport.target import Origin, Target

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """
    One base URL of a provider.

    `vendor` is the base as spec or customer name it, `effective` the one that is called; they differ where the
    operator overrides. `field` names the destination field it came from, and is empty for hosts of the spec.
    """

    role: str
    vendor: Target
    effective: Target
    policy: EgressPolicy
    field: str = ""

    def reach(self, path: str, query: str) -> Target:
        """Return the target of a path of the vendor, moved to the effective host."""
        prefix = _path(self.effective).removesuffix(_path(self.vendor))
        return Target(origin=self.effective.origin, path=prefix + path, query=query)


class Destinations:
    """
    The map from what a provider asks for to where the call goes.

    :param overrides: base URLs by role, `ALL_ROLES` for the rest (`overrides.read_overrides(…)[key]`); they move
        destination fields, too: where an operator overrides, no customer's address is called
    :param settings: the integration's settings, for `destination` fields
    :param secrets: its opened credential, for `destination` fields among the credential fields (a DSN)
    :param customers: the policy for destinations that customers give
    """

    def __init__(
        self,
        spec: ProviderSpec,
        *,
        overrides: Mapping[str, str],
        settings: Mapping[str, Any],
        secrets: Secrets | None,
        customers: EgressPolicy,
    ) -> None:
        self._spec = spec
        self._by_role: dict[str, Destination] = {}
        for role, base in spec.hosts.items():
            self._add(role, Target.parse(base), policy=TRUSTED, override=_override(overrides, role))
        for name, value in _destination_values(spec, settings, secrets).items():
            vendor = _customer_target(name, value)
            self._add(name, vendor, policy=customers, override=_override(overrides, name), field=name)

    def of_role(self, role: str | None) -> Destination:
        """
        Find the base of a role, the spec's default role when none is named.

        :raises Misconfigured: the destination field is empty, or the spec has no such role
        """
        name = role or self._spec.default_role
        found = self._by_role.get(name)
        if found is None:
            field = name if name in _destination_fields(self._spec) else None
            raise Misconfigured(f"{self._spec.key} has no host for the role {name}", field=field)
        return found

    def resolve(self, url: str, role: str | None) -> tuple[Target, Destination]:
        """
        Turn a path or an absolute URL into the target to call.

        :raises UnexpectedResponse: the URL leads to a host that is not this provider's
        :raises Misconfigured: see `of_role`
        """
        if not _ABSOLUTE.match(url):
            return self._join(url, self.of_role(role))
        target = self._parse(url)
        found = self._owner(target, role)
        if found is None:
            raise UnexpectedResponse(f"{self._spec.key}: {target.origin} is not a host of this provider")
        if target.origin == found.effective.origin:
            return target, found
        return found.reach(target.path, target.query), found

    def _add(self, role: str, vendor: Target, *, policy: EgressPolicy, override: str | None, field: str = "") -> None:
        effective = vendor
        if override:
            policy, base = TRUSTED, Target.parse(override)
            effective = Target(origin=base.origin, path=_moved(_path(vendor), _path(base)), query="")
        self._by_role[role] = Destination(role=role, vendor=vendor, effective=effective, policy=policy, field=field)

    def _join(self, path: str, destination: Destination) -> tuple[Target, Destination]:
        if path.startswith("//"):
            raise UnexpectedResponse(f"{self._spec.key}: a path must not name a host")
        base = f"{destination.effective.origin}{_path(destination.effective)}"
        target = self._parse(f"{base}/{path.removeprefix('/')}" if path else base)
        return target, destination

    def _parse(self, url: str) -> Target:
        try:
            return Target.parse(url)
        except RequestInvalid as error:
            raise UnexpectedResponse(f"{self._spec.key}: {error.detail}") from None

    def _owner(self, target: Target, role: str | None) -> Destination | None:
        """Find the destination of an origin; the named role first, then the longest base path."""
        owners = [item for item in self._by_role.values() if _owns(item, target.origin)]
        return max(owners, key=lambda item: _fitness(item, target, role), default=None)


def base_urls(spec: ProviderSpec, overrides: Mapping[str, str]) -> dict[str, str]:
    """Return the base URL of each host of a spec by role, overrides applied, without a slash at its end."""
    found = Destinations(spec, overrides=overrides, settings={}, secrets=None, customers=TRUSTED)
    return {role: found.of_role(role).effective.shown.rstrip("/") for role in spec.hosts}


def _owns(destination: Destination, origin: Origin) -> bool:
    return origin in (destination.vendor.origin, destination.effective.origin)


def _fitness(destination: Destination, target: Target, role: str | None) -> tuple[bool, bool, int]:
    base = _path(destination.vendor)
    fits = target.path == base or target.path.startswith(f"{base}/")
    return destination.role == role, not destination.field, len(base) if fits else -1


def _override(overrides: Mapping[str, str], role: str) -> str | None:
    return overrides.get(role) or overrides.get(ALL_ROLES)


def _moved(path: str, base: str) -> str:
    """Put the override's path before the vendor's, unless the one begins with the other or ends in it."""
    if path == base or path.startswith(f"{base}/"):
        return path
    return base.removesuffix(path) + path


def _path(target: Target) -> str:
    return target.path.rstrip("/")


def _destination_fields(spec: ProviderSpec) -> list[str]:
    return [field.name for field in (*spec.settings, *spec.credentials) if field.destination]


def _destination_values(spec: ProviderSpec, settings: Mapping[str, Any], secrets: Secrets | None) -> dict[str, str]:
    values: dict[str, str] = {}
    for name in _destination_fields(spec):
        value = settings.get(name) or (secrets[name].reveal() if secrets and name in secrets else "")
        if value:
            values[name] = str(value).strip()
    return values


def _customer_target(name: str, value: str) -> Target:
    """Read a customer's base URL; a DSN's user part is its key and does not belong to the address."""
    try:
        parts = urlsplit(value)
        host = parts.netloc.rpartition("@")[2]
        return Target.parse(f"{parts.scheme}://{host}{parts.path}")
    except (RequestInvalid, ValueError):
        raise Misconfigured(
            f"the destination field {name} is not an http or https URL",
            field=name,
            next_action="Enter a complete URL that starts with https://.",
        ) from None
