"""Which destinations may be reached: vendors as the operator gave them, customers' URLs only in public."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Self

from transport.errors import AddressRefused, Phase
from transport.target import Origin

Address = IPv4Address | IPv6Address

_GLOBAL_UNICAST_V6 = ipaddress.ip_network("2000::/3")
# NAT64 and 6to4 addresses carry an IPv4 address that a gateway would connect to (RFC 6052, RFC 3056).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_IPV4_MASK = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedEndpoint:
    """One entry of EGRESS_ALLOW: a host name or an address, and a port (None: any)."""

    host: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Read ``host:port``, ``[ipv6]:port`` or ``host:*``.

        :raises ValueError: no port, or not a number
        """
        host, colon, port = text.strip().rpartition(":")
        if not colon or not host or not (port == "*" or port.isdecimal()):
            raise ValueError(f"EGRESS_ALLOW: {text!r} is not host:port or host:*")
        return cls(host=host.strip("[]").lower(), port=None if port == "*" else int(port))

    def names(self, host: str, port: int) -> bool:
        """Tell whether this entry is about that host (name or address as text) and port."""
        return self.host == host and self.port in (None, port)


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressPolicy:
    """
    Rules for one kind of destination. `public_only` refuses plain http and every address that is not public.

    `allow` lists the exceptions that the operator made. Policies are values: equal ones share connections.
    """

    public_only: bool = True
    allow: frozenset[AllowedEndpoint] = field(default_factory=frozenset)

    @classmethod
    def for_customers(cls, allow: str = "") -> Self:
        """
        Make the policy for URLs that customers give, with the text of EGRESS_ALLOW (comma-separated).

        :raises ValueError: an entry is malformed
        """
        entries = (AllowedEndpoint.parse(entry) for entry in allow.split(",") if entry.strip())
        return cls(public_only=True, allow=frozenset(entries))

    def check(self, origin: Origin, address: str) -> None:
        """
        Refuse to connect to an address that the host's name led to.

        :raises AddressRefused: plain http, or not public, and the operator allows neither name nor address
        """
        if not self.public_only or self._allows(origin, origin.host) or self._allows(origin, address):
            return
        if origin.scheme != "https":
            raise AddressRefused(origin.host, phase=Phase.DNS, detail="plain http is not allowed")
        if not is_public(address):
            raise AddressRefused(origin.host, phase=Phase.DNS, detail="the address is not public")

    def _allows(self, origin: Origin, host: str) -> bool:
        return any(entry.names(host, origin.port) for entry in self.allow)


TRUSTED = EgressPolicy(public_only=False)
"""For hosts of a spec and overrides of the operator: reached as given."""


def is_public(address: str) -> bool:
    """Tell whether an address is on the public Internet, also when it hides in an IPv6 form of IPv4."""
    parsed = _literal(address.partition("%")[0])
    if parsed is None:
        return False
    hidden = _hidden_v4(parsed)
    if hidden is not None:
        return is_public(str(hidden))
    if isinstance(parsed, IPv6Address) and parsed not in _GLOBAL_UNICAST_V6:
        return False
    return parsed.is_global and not (parsed.is_multicast or parsed.is_reserved or parsed.is_unspecified)


def _hidden_v4(address: Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & _IPV4_MASK)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
