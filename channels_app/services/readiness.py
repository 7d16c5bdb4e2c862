"""What an integration must be before a channel is used, and the refusals that say what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from audit.services import Actor
from channels_app.services import standing
from core.errors import RegistryError, ValidationFailed
from dispatch.models import LinkStatus
from integrations.contract import Category, Misconfigured, ProviderError, RequestRejected
from integrations.models import Integration
from integrations.services.credentials import Purpose
from integrations.services.providers import provider_for

Verb = TypeVar("Verb")

_REMEDIES = {
    LinkStatus.NEEDS_REAUTH: "Its credential is no longer accepted: reconnect the account.",
    LinkStatus.DISABLED: "It is disabled: enable it first.",
    LinkStatus.DISCONNECTED: "It is disconnected: connect the account again.",
}


class NotReady(RegistryError):
    """The integration cannot be used as it is."""

    code = "integration_not_ready"
    title = "The integration is not ready"


def require_usable(integration: Integration, *, parks: bool = False) -> None:
    """
    Refuse an integration that cannot be used now.

    :param parks: the work can wait for a reconnect, so a lapsed credential is no reason to refuse it
    :raises NotReady: with what to do
    """
    usable = {LinkStatus.ACTIVE, LinkStatus.NEEDS_REAUTH} if parks else {LinkStatus.ACTIVE}
    if integration.status not in usable:
        raise NotReady(f"This integration cannot be used now. {_REMEDIES[LinkStatus(integration.status)]}")


def class_with(integration: Integration, verb: Callable[..., Verb]) -> type[Verb]:
    """
    Return the provider's class, which has the verb.

    :param verb: a mixin of the contract; typed as what makes its instances, because mypy takes no abstract `type[…]`
    :raises ValidationFailed: this channel cannot do that
    """
    found = integration.provider_class
    if found.spec.category != Category.COMMUNICATION or not issubclass(found, cast(type, verb)):
        raise ValidationFailed(
            f"{found.spec.label} cannot do this.",
            errors={"integration": ["Use an integration of a channel that can do this."]},
        )
    return cast(type[Verb], found)


def instance_with(integration: Integration, verb: Callable[..., Verb], *, actor: Actor | None = None) -> Verb:
    """
    Open the credential and return the provider's instance, which has the verb.

    :raises ValidationFailed: this channel cannot do that
    :raises Misconfigured: there is no credential
    """
    class_with(integration, verb)
    return cast(Verb, provider_for(integration, Purpose.CALL, actor=actor))


@contextmanager
def calling(integration: Integration, verb: Callable[..., Verb], *, actor: Actor | None = None) -> Iterator[Verb]:
    """
    Call the vendor now, for somebody who waits for the answer; no transaction may be open.

    :raises NotReady: the integration is not active, or its credential is gone
    :raises ProviderError: what the vendor made of it
    """
    require_usable(integration)
    with standing.watching(integration):
        try:
            provider = instance_with(integration, verb, actor=actor)
        except Misconfigured as error:
            raise NotReady(f"{error.message} {error.next_action}") from error
        yield provider


def as_refusal(error: ProviderError) -> ValidationFailed:
    """Turn what a provider says about a request before any call into a refusal that names the field."""
    name = error.field or "body"
    return ValidationFailed(error.next_action, errors={name: [error.next_action]}, internal=error.internal)


@contextmanager
def refusing() -> Iterator[None]:
    """Around checks of a provider that make no call: what they reject is the caller's field to mend."""
    try:
        yield
    except RequestRejected as error:
        raise as_refusal(error) from error


def refuse(field: str, text: str) -> Any:
    """
    Refuse a request by a rule of the channel.

    :raises ValidationFailed: always; the text says what to do
    """
    raise ValidationFailed(text, errors={field: [text]})
