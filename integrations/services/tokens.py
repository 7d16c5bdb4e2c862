"""
Renewing tokens before they end: one call per version of a credential, whoever asks and whoever dies meanwhile.

Nobody here calls the vendor. A caller writes down in the Link that it wants new tokens, sees to it that a courier is
at work (`courier_process`), and waits for the attempt to end; the sweep only sees to the courier.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from audit.services import Actor, ActorKind, record
from core import clock
from core.errors import Conflict, ValidationFailed
from core.fault_points import reach
from dispatch.models import Link
from integrations.contract import ProviderError, RefreshesTokens, Unavailable
from integrations.models import Integration
from integrations.services import courier, courier_process, credentials, refusals
from integrations.services.credentials import audit_target
from tenants.context import release_connection

WAIT_S = 45.0
"""The 40 s that a refresh may take, and the start of a courier; who waited in vain may ask again."""

LOOK_AGAIN_S = 1.0
"""How often those who wait make sure that a courier is at work: one may be killed while it starts."""


PAUSES_S = (0.02, 0.3)
"""Between two looks at the Link, the first and the longest; one thread per process looks for all of them."""


class CannotRefresh(ValidationFailed):
    """This provider's credentials are not renewed by a token."""

    code = "not_supported"


class BeingRefreshed(Conflict):
    """The tokens are being renewed, and that takes longer than anybody should wait."""

    code = "in_progress"


def refresh(integration: Integration, *, actor: Actor | None = None, seen_version: int | None = None) -> Integration:
    """
    Have the tokens of an integration renewed now, unless that happened since `seen_version`; wait for the end of it.

    Callers that come while an attempt is out share it. Runs outside any transaction: what is asked for inside one,
    nobody sees.

    :param seen_version: the credential's version that the caller found too old; the current one unless given
    :raises CannotRefresh: the provider has no tokens to renew
    :raises BeingRefreshed: it takes longer than `WAIT_S`; the attempt goes on
    :raises ProviderError: the vendor did not renew them
    """
    if not issubclass(integration.provider_class, RefreshesTokens):
        raise CannotRefresh(f"{integration.provider_class.spec.label} has no tokens that are refreshed.")
    version = credentials.require_current(integration).version
    if seen_version in {None, version}:
        outcome = _FLIGHTS.join((integration.pk, version), lambda: _have_renewed(integration, version, actor))
        _raise_unless_renewed(integration, version, outcome)
    integration.refresh_from_db()
    return integration


def ensure_fresh(integration: Integration, *, min_left_s: float = 0.0) -> None:
    """
    Have the tokens renewed if they live for less than `min_left_s` seconds; for callers about to use one.

    Costs nothing where a provider has none. A token that still lives is used as it is when it cannot be renewed now:
    that is its holder's margin. Runs outside any transaction.

    :raises ProviderError: it has ended and was not renewed; Unavailable, reason "being_renewed", when that takes long
    """
    if not issubclass(integration.provider_class, RefreshesTokens):
        return
    current = credentials.require_current(integration)
    left = current.expires_at - clock.now() if current.expires_at else timedelta.max
    if left > timedelta(seconds=min_left_s):
        return
    try:
        _raise_if_waiting(integration, current.version)
        refresh(integration, seen_version=current.version)
    except ProviderError:
        if left <= timedelta():
            raise
    except BeingRefreshed as busy:
        if left <= timedelta():
            raise Unavailable("the tokens are being renewed", reason="being_renewed", retry_after_s=5.0) from busy


def refresh_due_links() -> int:
    """
    See to it that a courier renews what ends soon; return how many links that are.
    """
    due = courier.due_links().count()
    release_connection()
    if due:
        _send()
    return due


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """How the attempt that a caller waited for ended: not at all, in a failure, or well."""

    is_late: bool = False
    failure: Mapping[str, Any] | None = None


class _Flights:
    """Threads of one process that want the same share one look at the database: twenty do not ask twenty times."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flying: dict[tuple[UUID, int], Future[_Outcome]] = {}

    def join(self, key: tuple[UUID, int], lead: Callable[[], _Outcome]) -> _Outcome:
        """Wait for the flight of this key, or be the one that leads it."""
        with self._lock:
            flight = self._flying.get(key)
            is_leader = flight is None
            if flight is None:
                flight = self._flying[key] = Future()
        if not is_leader:
            release_connection()
            return flight.result()
        try:
            flight.set_result(lead())
        except BaseException as error:
            flight.set_exception(error)
        finally:
            with self._lock:
                del self._flying[key]
        return flight.result()


_FLIGHTS = _Flights()


def _have_renewed(integration: Integration, version: int, actor: Actor | None) -> _Outcome:
    ended = _ask(integration, version, actor)
    if ended is None:
        return _Outcome()
    reach("token.claimed")
    return _wait(integration.pk, ended)


def _ask(integration: Integration, version: int, actor: Actor | None) -> int | None:
    """Want new tokens; return how many attempts had ended before, None when this version is spent already."""
    with transaction.atomic(durable=True):
        link = Link.objects.select_for_update().get(pk=integration.pk)
        if credentials.require_current(integration).version != version:
            return None
        if link.refresh_asked_at is None:
            link.refresh_asked_at = clock.now()
            link.save(update_fields=["refresh_asked_at"])
        if actor is not None and actor.kind != ActorKind.SYSTEM:
            record(
                action="token.refresh_requested",
                actor=actor,
                target=audit_target(integration),
                details={"version": version},
            )
        return link.refresh_count


def _wait(link_id: UUID, ended: int) -> _Outcome:
    """Look until one more attempt has ended, and that a courier is there to make it."""
    until = time.monotonic() + WAIT_S
    look_at, pause_s = 0.0, PAUSES_S[0]
    while time.monotonic() < until:
        if time.monotonic() >= look_at:
            _send()
            look_at = time.monotonic() + LOOK_AGAIN_S
        row = Link.objects.filter(pk=link_id).values("refresh_count", "refresh_failure").first()
        release_connection()
        if row is None or row["refresh_count"] > ended:
            return _Outcome(failure=row["refresh_failure"] if row else None)
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, PAUSES_S[1])
    return _Outcome(is_late=True)


def _send() -> None:
    """Have a courier at work; a test's transaction is seen by itself alone, so there it is this thread."""
    if not settings.TOKEN_COURIER:
        courier.work_here()
    elif courier_process.ensure(_lock(), folder=settings.BASE_DIR):
        reach("token.courier_sent")


def _lock() -> Path:
    facts = connection.settings_dict
    return courier_process.lock_file(Path(settings.DATA_DIR), f"{facts['HOST']}:{facts['PORT']}/{facts['NAME']}")


def _raise_unless_renewed(integration: Integration, version: int, outcome: _Outcome) -> None:
    if credentials.require_current(integration).version != version:
        return
    if outcome.failure is not None:
        raise refusals.from_row(outcome.failure)
    raise BeingRefreshed("The tokens are being refreshed; look again in a moment.")


def _raise_if_waiting(integration: Integration, version: int) -> None:
    """Spare the vendor another call while the wait after this version's last failure lasts."""
    link = Link.objects.filter(pk=integration.pk).values("next_refresh_at", "refresh_failure", "refresh_id").first()
    failure = link["refresh_failure"] if link and link["refresh_id"] is None else None
    if link is None or failure is None or failure["version"] != version:
        return
    if link["next_refresh_at"] is None or link["next_refresh_at"] > clock.now():
        raise refusals.from_row(failure)
