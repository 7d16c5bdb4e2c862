"""Which URLs an endpoint may have. What a name leads to is judged at each connection (`transport.policy`)."""

from __future__ import annotations

import ipaddress

from django.conf import settings

from core.errors import ValidationFailed
from transport.errors import AddressRefused, RequestInvalid
from transport.policy import AllowedEndpoint, EgressPolicy
from transport.target import DEFAULT_PORTS, Target

LONGEST_URL = 2000

FIRST_FREE_PORT = 1024
"""Below it are other protocols' servers (mail, shells, name service); none of them serves webhooks."""


def customers_policy() -> EgressPolicy:
    """Return what customers' URLs may reach, with the operator's exceptions (EGRESS_ALLOW)."""
    return EgressPolicy.for_customers(",".join(settings.EGRESS_ALLOW))


def check_url(url: str) -> Target:
    """
    Take an endpoint's URL apart.

    :raises ValidationFailed: not https, with a user part, a port of another protocol, or an address that is not public
    """
    if len(url) > LONGEST_URL:
        raise _refused(f"Use at most {LONGEST_URL} characters.")
    try:
        target = Target.parse(url)
    except RequestInvalid:
        raise _refused("Use a complete https:// address without a user name.") from None
    origin = target.origin
    if not _is_excepted(origin.host, origin.port):
        if origin.scheme != "https":
            raise _refused("Use https.")
        if origin.port != DEFAULT_PORTS["https"] and origin.port < FIRST_FREE_PORT:
            raise _refused(f"Use port 443, or one from {FIRST_FREE_PORT} on.")
        _check_literal(target)
    return target


def _check_literal(target: Target) -> None:
    try:
        ipaddress.ip_address(target.origin.host)
    except ValueError:
        return  # a name: judged when it is connected to
    try:
        customers_policy().check(target.origin, target.origin.host)
    except AddressRefused:
        raise _refused("Use an address that is public.") from None


def _is_excepted(host: str, port: int) -> bool:
    return any(AllowedEndpoint.parse(entry).names(host, port) for entry in settings.EGRESS_ALLOW)


def _refused(text: str) -> ValidationFailed:
    return ValidationFailed("This URL cannot be an event endpoint.", errors={"url": [text]})
