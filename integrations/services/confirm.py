"""
Believing an authentication failure: one re-check, after a refresh where the vendor has one.

A single refusal proves little: the token may just have ended, been replaced during the call, or the vendor may be ill.
Only a second refusal makes an integration ask for a reconnect; what else goes wrong while we ask never does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import transaction

from core import clock
from dispatch.models import LinkStatus
from integrations.contract import AuthenticationFailed, ProviderError, RefreshesTokens, Unavailable
from integrations.models import Integration
from integrations.services import issues, tokens
from integrations.services.credentials import Purpose
from integrations.services.providers import provider_for

log = structlog.get_logger(__name__)

BEING_RENEWED = "being_renewed"
"""The reason of an examination that another worker's refresh made needless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    What a re-check found: `refused` again, or `unanswered` because the vendor could not be asked.

    Neither means that the credential works, or was replaced meanwhile. `asked_at` is when the vendor was asked: what
    was stored later was not judged.
    """

    asked_at: datetime
    refused: AuthenticationFailed | None = None
    unanswered: ProviderError | None = None


def judge(integration: Integration, error: ProviderError, *, started: datetime) -> ProviderError | None:
    """
    Return the error if the vendor refuses the credential a second time, else None. Outside any transaction.

    :param started: when the call that failed began; a credential stored since is not blamed
    """
    return examine(integration, error, started=started).refused


def examine(integration: Integration, error: ProviderError, *, started: datetime) -> Finding:
    """Ask the vendor once more what it thinks of the credential; see `judge`."""
    fresh = Integration.objects.get(pk=integration.pk)
    if not isinstance(error, AuthenticationFailed) or _was_replaced(fresh, started):
        return Finding(asked_at=started)
    try:
        _renew(fresh)
    except ProviderError as other:  # a token that cannot be renewed now may have ended: a check would prove nothing
        return _unanswered(fresh, other)
    asked_at = clock.now()
    try:
        provider_for(fresh, Purpose.CHECK).check()
    except AuthenticationFailed as again:
        return Finding(asked_at=asked_at, refused=again)
    except ProviderError as other:
        return _unanswered(fresh, other)
    return Finding(asked_at=asked_at)


def lose_access(integration: Integration, error: ProviderError, *, asked_at: datetime) -> bool:
    """
    Note a confirmed refusal under the row's lock; return whether a reconnect would help this work.

    A credential that was stored after the vendor was asked is not blamed; what was disconnected meanwhile stays so.
    """
    with transaction.atomic():
        fresh = Integration.objects.select_for_update().get(pk=integration.pk)
        if fresh.status == LinkStatus.DISCONNECTED:
            return False
        if not _was_replaced(fresh, asked_at):
            issues.require_reconnect(fresh, error)
        return True


def _renew(integration: Integration) -> None:
    """
    Get a new token where the vendor gives one; a refused grant leaves the judgement to the check.

    :raises ProviderError: it could not be renewed now
    """
    if not issubclass(integration.provider_class, RefreshesTokens):
        return
    credential = integration.current_credential
    try:
        tokens.refresh(integration, seen_version=credential.version if credential else None)
    except AuthenticationFailed as refused:
        log.info("credential.grant_refused", integration=str(integration.pk), vendor_code=refused.vendor_code)
    except tokens.BeingRefreshed as busy:
        raise Unavailable("the tokens are being renewed", reason=BEING_RENEWED) from busy
    integration.refresh_from_db()


def _unanswered(integration: Integration, error: ProviderError) -> Finding:
    log.info("credential.not_judged", integration=str(integration.pk), error=error.name)
    return Finding(asked_at=clock.now(), unanswered=error if error.retryable else None)


def _was_replaced(integration: Integration, since: datetime) -> bool:
    credential = integration.current_credential
    return credential is not None and credential.created_at > since
