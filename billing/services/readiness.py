"""What an integration must be before its vendor is asked for money, and the refusals that say what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from audit.services import Actor
from core import clock
from core.errors import RegistryError, ValidationFailed
from dispatch.models import LinkStatus
from integrations.contract import AuthenticationFailed, Category, Misconfigured, RequestRejected
from integrations.models import Integration
from integrations.services import confirm
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


def require_usable(integration: Integration) -> None:
    """
    Refuse an integration that cannot be used now.

    :raises NotReady: with what to do
    """
    if integration.status != LinkStatus.ACTIVE:
        raise NotReady(f"This integration cannot be used now. {_REMEDIES[LinkStatus(integration.status)]}")


def class_with(integration: Integration, verb: Callable[..., Verb]) -> type[Verb]:
    """
    Return the provider's class, which has the verb.

    :param verb: a mixin of the contract; typed as what makes its instances, because mypy takes no abstract `type[…]`
    :raises ValidationFailed: this provider cannot do that
    """
    found = integration.provider_class
    if found.spec.category != Category.PAYMENTS or not issubclass(found, cast(type, verb)):
        raise ValidationFailed(
            f"{found.spec.label} cannot do this.",
            errors={"integration": ["Use an integration of a payment provider that can do this."]},
        )
    return cast(type[Verb], found)


def instance_with(integration: Integration, verb: Callable[..., Verb], *, actor: Actor | None = None) -> Verb:
    """
    Open the credential and return the provider's instance, which has the verb; for the outbox.

    :raises ValidationFailed: this provider cannot do that
    :raises Misconfigured: there is no credential
    """
    class_with(integration, verb)
    return cast(Verb, provider_for(integration, Purpose.CALL, actor=actor))


def instance_now(integration: Integration, verb: Callable[..., Verb], *, actor: Actor | None = None) -> Verb:
    """
    Return the provider's instance for somebody who waits for its answer.

    :raises ValidationFailed: this provider cannot do that
    :raises NotReady: the integration is not active, or its credential is gone
    """
    require_usable(integration)
    try:
        return instance_with(integration, verb, actor=actor)
    except Misconfigured as error:
        raise NotReady(f"{error.message} {error.next_action}") from error


@contextmanager
def watching(integration: Integration) -> Iterator[None]:
    """Around a call: a credential that the vendor refuses twice is noted, and the error goes on its way."""
    started = clock.now()
    try:
        yield
    except AuthenticationFailed as error:
        finding = confirm.examine(integration, error, started=started)
        if finding.refused is not None:
            confirm.lose_access(integration, finding.refused, asked_at=finding.asked_at)
        raise


@contextmanager
def calling(integration: Integration, verb: Callable[..., Verb], *, actor: Actor | None = None) -> Iterator[Verb]:
    """
    Call the vendor now, for somebody who waits for the answer; no transaction may be open.

    :raises NotReady: the integration is not active, or its credential is gone
    :raises ProviderError: what the vendor made of it
    """
    with watching(integration):
        yield instance_now(integration, verb, actor=actor)


@contextmanager
def refusing() -> Iterator[None]:
    """Around checks of a provider that make no call: what they reject is the caller's field to mend."""
    try:
        yield
    except RequestRejected as error:
        texts = {error.field or "body": [error.next_action]}
        raise ValidationFailed(error.next_action, errors=texts, internal=error.internal) from error


def refuse(field: str, text: str) -> Any:
    """
    Refuse a request by a rule of ours.

    :raises ValidationFailed: always; the text says what to do
    """
    raise ValidationFailed(text, errors={field: [text]})
