"""
Renewing tokens before they end: one winner per version of a credential, the new pair stored before anybody uses it.

The fence is the Link's row: whoever moves `next_refresh_at` into the lease, while the credential still has the version
that was seen, makes the call. A winner that dies loses the lease, and the sweep finds the link due again.
"""

from __future__ import annotations

import random
from datetime import timedelta

import structlog
from django.db import transaction

from audit.services import Actor, record
from core import clock
from core.errors import Conflict, ValidationFailed
from dispatch.models import Link, LinkStatus
from integrations.contract import AuthenticationFailed, ProviderError, RefreshesTokens, TokenSet
from integrations.models import Integration
from integrations.services import credentials, issues, links
from integrations.services.credentials import Purpose, audit_target
from integrations.services.providers import provider_for
from tenants.context import in_organization

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=120)
"""Above the 40 s that a refresh may take, with its writing; a due time within it counts as taken."""

RETRY_S = 60.0
RETRY_OF_BROKEN_S = 3600.0
"""What only a person or a release can mend is tried hourly: it costs one call and recovers without anybody's help."""

SWEEP_FOR_S = 60.0
"""A sweep stops here, well inside the task's time limit; what it left is due again at the next tick."""


class CannotRefresh(ValidationFailed):
    """This provider's credentials are not renewed by a token."""

    code = "not_supported"


class BeingRefreshed(Conflict):
    """Another worker is renewing these tokens, or will within two minutes."""

    code = "in_progress"


def refresh(integration: Integration, *, actor: Actor | None = None, seen_version: int | None = None) -> Integration:
    """
    Renew the tokens of an integration now, unless that happened since `seen_version`.

    :param seen_version: the credential's version that the caller found too old; the current one unless given
    :raises CannotRefresh: the provider has no tokens to renew
    :raises BeingRefreshed: another worker is at it
    :raises ProviderError: the vendor did not renew them; a refused grant leaves the integration at `needs_reauth`
    """
    if not issubclass(integration.provider_class, RefreshesTokens):
        raise CannotRefresh(f"{integration.provider_class.spec.label} has no tokens that are refreshed.")
    version = _claim(integration, seen_version)
    if version is not None:
        try:
            tokens = _call(integration)
        except ProviderError as error:
            _note_failure(integration, version, error)
            raise
        _store(integration, version, tokens, actor or Actor.system("refresh"))
    integration.refresh_from_db()
    return integration


def refresh_due_links(*, limit: int = 100) -> int:
    """Refresh the links whose tokens end soon; return how many were renewed."""
    started = clock.now()
    due = Link.objects.filter(
        status__in=[LinkStatus.ACTIVE, LinkStatus.NEEDS_REAUTH], next_refresh_at__lte=started
    ).order_by("next_refresh_at")
    renewed = 0
    for link in list(due[:limit]):
        if clock.now() - started > timedelta(seconds=SWEEP_FOR_S):
            break
        renewed += _refresh_link(link)
    return renewed


def _refresh_link(link: Link) -> bool:
    try:
        with in_organization(link.organization_schema):
            integration = Integration.objects.filter(pk=link.pk).first()
            if integration is None:
                return False
            refresh(integration)
    except (ProviderError, BeingRefreshed) as error:
        log.info("token.not_refreshed", integration=str(link.pk), error=type(error).__name__)
        return False
    except Exception:
        log.exception("token.refresh_crashed", integration=str(link.pk))
        return False
    return True


def _claim(integration: Integration, seen_version: int | None) -> int | None:
    """Win the right to call; None when the version that was seen is not current any more."""
    with transaction.atomic():
        link = Link.objects.select_for_update().get(pk=integration.pk)
        current = credentials.require_current(integration)
        if seen_version not in {None, current.version}:
            return None
        now = clock.now()
        if link.next_refresh_at and now < link.next_refresh_at <= now + LEASE:
            raise BeingRefreshed("The tokens are being refreshed; look again in a moment.")
        link.next_refresh_at = now + LEASE
        link.save(update_fields=["next_refresh_at"])
        return current.version


def _call(integration: Integration) -> TokenSet:
    provider = provider_for(integration, Purpose.REFRESH)
    if not isinstance(provider, RefreshesTokens):
        raise TypeError("a provider lost a capability between two lines")
    return provider.refresh()


def _store(integration: Integration, version: int, tokens: TokenSet, actor: Actor) -> None:
    """
    Keep the new pair and forget the spent one.

    :raises Conflict: the account was reconnected while the vendor answered; its new credential stays
    """
    with transaction.atomic():
        fresh = Integration.objects.select_for_update().get(pk=integration.pk)
        spent = credentials.require_current(fresh)
        if spent.version != version:
            raise Conflict("The credential was replaced while it was refreshed; the new one stays.", code="conflict")
        stored = credentials.store(fresh, _values(fresh, tokens), expires_at=tokens.expires_at)
        credentials.destroy_version(fresh, version)
        links.schedule_refresh(fresh, tokens.expires_at)
        if fresh.status == LinkStatus.NEEDS_REAUTH:
            Link.objects.filter(pk=fresh.pk).update(next_check_at=clock.now())
        record(
            action="token.refreshed",
            actor=actor,
            target=audit_target(fresh),
            details={"version": stored.version, "fields": sorted(_changed(tokens))},
        )


def _values(integration: Integration, tokens: TokenSet) -> dict[str, str]:
    opened = credentials.open_for(integration, Purpose.REFRESH)
    return {**{name: secret.reveal() for name, secret in opened.items()}, **_changed(tokens)}


def _changed(tokens: TokenSet) -> dict[str, str]:
    changed = {"access_token": tokens.access_token.reveal()}
    if tokens.refresh_token is not None:
        changed["refresh_token"] = tokens.refresh_token.reveal()
    return changed


def _note_failure(integration: Integration, version: int, error: ProviderError) -> None:
    """Say when the next try is; a grant that is refused needs a person, unless somebody replaced it meanwhile."""
    with transaction.atomic():
        fresh = Integration.objects.select_for_update().get(pk=integration.pk)
        if credentials.require_current(fresh).version != version:
            return
        is_refused = isinstance(error, AuthenticationFailed)
        due = None if is_refused else clock.now() + timedelta(seconds=_wait_s(error))
        Link.objects.filter(pk=fresh.pk).update(next_refresh_at=due)
        if is_refused:
            issues.require_reconnect(fresh, error)
        elif not error.retryable:
            issues.open_issue_for(fresh, error)


def _wait_s(error: ProviderError) -> float:
    if not error.retryable:
        return RETRY_OF_BROKEN_S
    return (error.retry_after_s or RETRY_S) * random.uniform(1.0, 1.2)  # noqa: S311  spreads what failed together
