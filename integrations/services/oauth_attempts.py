"""
Runs of an OAuth dialog: made for one organization and actor, bound to one browser, spent once, over in ten minutes.

Tokens and states are kept as digests. Each run has a cookie of its own, so that two tabs do not mix. Looking a run up
happens in public: its tokens are what names the organization.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_noop

import vault.services as vault
from accounts.models import ApiKey, Membership
from audit.services import Actor, ActorKind, Target, record
from core import clock
from core.clock import iso
from core.errors import RegistryError
from core.ids import new_token
from core.secret import Secret
from dispatch.models import OAuthAttempt, OAuthStatus
from integrations.contract import Account, TokenSet
from tenants.models import Organization
from vault.services import SealContext, token_digest

LIVES = timedelta(minutes=10)
"""From the consent page to the account: as long as the codes of most vendors live."""

KEPT = timedelta(days=1)
"""A run that is over explains a repeated callback for a day, and is deleted when the next one begins."""

VERIFIER = "oauth_attempt.verifier"
GRANT = "oauth_attempt.grant"
_PORTS = {"https": 443, "http": 80}


class AttemptUnknown(RegistryError):
    """No run has this token at this provider."""

    status, code = 404, "oauth_unknown"


class AttemptExpired(RegistryError):
    """The ten minutes are over."""

    status, code = 410, "oauth_expired"


class AttemptSpent(RegistryError):
    """The vendor's answer was used already."""

    status, code = 409, "oauth_spent"


class OtherBrowser(RegistryError):
    """The run belongs to another browser, or its cookie is gone."""

    status, code = 403, "oauth_other_browser"


UNKNOWN = gettext_noop("This address does not belong to a connection that is under way. Start connecting again.")
EXPIRED = gettext_noop("This took longer than ten minutes, so nothing was connected. Start connecting again.")
SPENT = gettext_noop(
    "This answer was used already, and it serves once. Start connecting again if nothing is connected."
)
ELSEWHERE = gettext_noop(
    "This connection was begun in another browser, or this one keeps no cookies. "
    "Finish it in the browser where you began, or start again here."
)


Dialog = Callable[[str, str], str]
"""Takes a state and the challenge of PKCE ("" without), returns the address of the vendor's dialog."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One visit to the vendor: where the browser goes, and what its cookie holds."""

    address: str
    browser: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a vendor granted: tokens, and the accounts they control."""

    tokens: TokenSet
    accounts: Sequence[Account]


def create(attempt: OAuthAttempt, *, actor: Actor) -> str:
    """Keep a run that was filled in for the entered organization; return the token of its consent page."""
    token = new_token()
    attempt.start_digest, attempt.expires_at = token_digest(token), clock.now() + LIVES
    attempt.actor_kind, attempt.actor_id, attempt.actor_label = actor.kind, actor.id, actor.label
    with transaction.atomic():
        forget_expired()
        attempt.save(force_insert=True)
        details = {"provider": attempt.provider, "environment": attempt.environment}
        record(action="oauth_attempt.created", actor=actor, target=target_of(attempt), details=details)
    return token


def find_by_start(provider: str, token: str) -> OAuthAttempt:
    """
    Find the run whose consent page has this token.

    :raises AttemptUnknown: there is none at this provider, its organization is closed, or who began it may no more
    """
    return _open(OAuthAttempt.objects.filter(provider=provider, start_digest=token_digest(token)).first())


def find_by_state(provider: str, state: str) -> OAuthAttempt:
    """
    Find the run that a vendor's answer is for; a state of another provider is unknown.

    :raises AttemptUnknown: see `find_by_start`
    """
    return _open(OAuthAttempt.objects.filter(provider=provider, state_digest=token_digest(state)).first())


def find_by_id(provider: str, attempt_id: UUID) -> OAuthAttempt:
    """
    Find a run by its id, which is no secret: who asks must have its cookie (`refuse_unless_here`).

    :raises AttemptUnknown: see `find_by_start`
    """
    return _open(OAuthAttempt.objects.filter(provider=provider, pk=attempt_id).first())


def refuse_unless_here(attempt: OAuthAttempt, browser: str) -> None:
    """
    Go on only with the browser that gave its consent.

    :raises OtherBrowser: it is another one
    """
    known = bytes(attempt.browser_digest or b"")
    if not known or not hmac.compare_digest(known, token_digest(browser)):
        raise OtherBrowser(ELSEWHERE)


def refuse_unless_open(attempt: OAuthAttempt) -> None:
    """
    Go on only with a run that is not over.

    :raises AttemptSpent: it came to an end
    :raises AttemptExpired: its time is over
    """
    if attempt.has_ended or attempt.status == OAuthStatus.RETURNED:
        raise AttemptSpent(SPENT)
    if attempt.is_expired:
        raise AttemptExpired(EXPIRED)


def may_begin(attempt: OAuthAttempt, browser: str) -> None:
    """
    Let a browser begin, or begin anew after it went back; the first one that does keeps the run.

    :raises RegistryError: it is another browser's, or over
    """
    if attempt.status != OAuthStatus.WAITING:
        refuse_unless_here(attempt, browser)
    refuse_unless_open(attempt)


@transaction.atomic
def bind(attempt: OAuthAttempt, *, browser: str, language: str, with_pkce: bool, dialog: Dialog) -> Bound:
    """
    Tie a run to this browser and give it a fresh state; a state from before serves no more.

    :raises RegistryError: see `may_begin`
    """
    fresh = OAuthAttempt.objects.select_for_update().get(pk=attempt.pk)
    may_begin(fresh, browser)
    known = browser if fresh.status != OAuthStatus.WAITING else new_token()
    state, verifier = new_token(), new_verifier() if with_pkce else ""
    address = dialog(state, challenge_of(verifier) if with_pkce else "")
    fresh.language = language
    fresh.mark_started(
        browser=token_digest(known),
        state=token_digest(state),
        vendor_origin=origin_of(address),
        verifier=vault.seal(verifier.encode(), _place(fresh, VERIFIER)) if with_pkce else None,
    )
    fresh.save()
    return Bound(address=address, browser=known)


def claim(attempt: OAuthAttempt, *, browser: str) -> None:
    """
    Spend the state: of two answers at once one goes on. Another browser's answer spends nothing.

    :raises RegistryError: another browser, spent, or too late
    """
    refuse_unless_here(attempt, browser)
    refuse_unless_open(attempt)
    if not _moved(attempt, OAuthStatus.STARTED, OAuthStatus.RETURNED):
        raise AttemptSpent(SPENT)


def claim_choice(attempt: OAuthAttempt, *, browser: str) -> Grant:
    """
    Take the tokens that wait for an account to be chosen, once.

    :raises RegistryError: another browser, spent, or too late
    """
    grant = open_grant(attempt, browser=browser)
    attempt.sealed_grant = None
    if not _moved(attempt, OAuthStatus.CHOOSING, OAuthStatus.RETURNED):
        raise AttemptSpent(SPENT)
    return grant


def open_grant(attempt: OAuthAttempt, *, browser: str) -> Grant:
    """
    Open what waits for a choice.

    :raises RegistryError: another browser, spent, or too late
    """
    refuse_unless_here(attempt, browser)
    refuse_unless_open(attempt)
    if attempt.sealed_grant is None:
        raise AttemptSpent(SPENT)
    return _read_grant(vault.open_bytes(attempt.sealed_grant, _place(attempt, GRANT)))


def keep_choice(attempt: OAuthAttempt, grant: Grant) -> None:
    """Keep tokens, sealed, until an account is chosen or the time is over."""
    attempt.mark_choosing(vault.seal(_write_grant(grant), _place(attempt, GRANT)))
    attempt.save()


@transaction.atomic
def end(attempt: OAuthAttempt, status: str, *, error_code: str = "") -> None:
    """End a run. A connected one has its entry in the trail already."""
    attempt.mark_ended(status, error_code=error_code)
    attempt.save()
    if status != OAuthStatus.CONNECTED:
        details = {"provider": attempt.provider, "code": attempt.error_code}
        record(
            action=f"oauth_attempt.{status}",
            actor=actor_of(attempt),
            target=target_of(attempt),
            details=details,
            organization_schema=attempt.organization_schema,
        )


def open_verifier(attempt: OAuthAttempt) -> Secret | None:
    """Open the proof key of PKCE, if this run has one."""
    if attempt.sealed_verifier is None:
        return None
    return Secret(vault.open_bytes(attempt.sealed_verifier, _place(attempt, VERIFIER)).decode())


def new_verifier() -> str:
    """Make a proof key: 256 bits as 43 characters that need no escaping. Source: RFC 7636 section 4.1."""
    return secrets.token_urlsafe(32)


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge of a proof key. Source: RFC 7636 section 4.2."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def origin_of(url: str) -> str:
    """Return scheme, host and port of an address, as browsers compare them; nothing of what is no address."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme not in _PORTS or not parts.hostname:
        return ""
    shown = "" if port in {None, _PORTS[parts.scheme]} else f":{port}"
    return f"{parts.scheme}://{parts.hostname.lower()}{shown}"


def forget_expired() -> int:
    """
    Delete the runs that were over a day ago, and the tokens of those that nobody finished; return how many ended.

    Reaches the entered organization's, in public all.
    """
    gone = OAuthAttempt.objects.filter(expires_at__lte=clock.now())
    gone.filter(expires_at__lt=clock.now() - KEPT).delete()
    left = gone.filter(status=OAuthStatus.CHOOSING)
    return int(left.update(status=OAuthStatus.FAILED, sealed_grant=None, sealed_verifier=None, error_code="expired"))


def actor_of(attempt: OAuthAttempt) -> Actor:
    """Name who began a run."""
    return Actor(kind=ActorKind(attempt.actor_kind), id=attempt.actor_id, label=attempt.actor_label)


def target_of(attempt: OAuthAttempt) -> Target:
    """Name a run in the audit trail."""
    return Target(kind="oauth_attempt", id=str(attempt.pk), label=attempt.name or attempt.provider)


def organization_of(attempt: OAuthAttempt) -> Organization:
    """
    Return the organization of a run, which must be open.

    :raises AttemptUnknown: it is closed
    """
    found = Organization.objects.open().filter(schema_name=attempt.organization_schema).first()
    if found is None:
        raise AttemptUnknown(UNKNOWN)
    return found


def _open(attempt: OAuthAttempt | None) -> OAuthAttempt:
    if attempt is None or not _may_still(attempt):
        raise AttemptUnknown(UNKNOWN)
    organization_of(attempt)
    return attempt


def _may_still(attempt: OAuthAttempt) -> bool:
    """Whether who began a run is still a member, or the key still usable."""
    if attempt.actor_kind == ActorKind.USER:
        members = Membership.objects.filter(organization_schema=attempt.organization_schema, is_active=True)
        return members.filter(user_id=attempt.actor_id, user__is_active=True).exists()
    if attempt.actor_kind == ActorKind.API_KEY:
        return ApiKey.objects.usable(clock.now()).filter(pk=attempt.actor_id).exists()
    return True


def _moved(attempt: OAuthAttempt, before: str, after: str) -> bool:
    found = OAuthAttempt.objects.filter(pk=attempt.pk, status=before, expires_at__gt=clock.now())
    attempt.status = after
    return bool(found.update(status=after, sealed_grant=None))


def _place(attempt: OAuthAttempt, field: str) -> SealContext:
    return SealContext(organization_schema=attempt.organization_schema, owner=str(attempt.pk), field=field, version=0)


def _write_grant(grant: Grant) -> bytes:
    tokens = grant.tokens
    facts = {
        "access_token": tokens.access_token.reveal(),
        "refresh_token": tokens.refresh_token.reveal() if tokens.refresh_token else None,
        "expires_at": iso(tokens.expires_at),
        "scopes": list(tokens.scopes),
        "account": tokens.account_external_id,
        "accounts": [[item.external_id, item.label, dict(item.settings)] for item in grant.accounts],
    }
    return json.dumps(facts).encode()


def _read_grant(text: bytes) -> Grant:
    facts: Mapping[str, object] = json.loads(text)
    ends_at, renewed = facts["expires_at"], facts["refresh_token"]
    tokens = TokenSet(
        access_token=Secret(str(facts["access_token"])),
        refresh_token=Secret(str(renewed)) if renewed else None,
        expires_at=datetime.fromisoformat(str(ends_at)) if ends_at else None,
        scopes=tuple(facts["scopes"]),  # type: ignore[arg-type]  # written above
        account_external_id=str(facts["account"]),
    )
    rows: list[tuple[str, str, dict[str, str]]] = facts["accounts"]  # type: ignore[assignment]  # written above
    accounts = [Account(external_id=key, label=label, settings=settings) for key, label, settings in rows]
    return Grant(tokens=tokens, accounts=accounts)
