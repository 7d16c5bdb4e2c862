"""
Members, invitations and API keys of the entered organization, each change with its audit entry.

Only owners make owners or take an owner's role away, and the last owner stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import send_mail
from django.core.validators import validate_email
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import override

from accounts.models import ApiKey, Invitation, Membership, User
from accounts.roles import Role, withheld_scopes
from accounts.services import add_member, create_api_key
from audit.services import Actor, ActorKind, Target, record
from core import clock
from core.errors import Conflict, Forbidden, NotFoundHere, ValidationFailed
from core.ids import new_token
from tenants.context import in_public_schema, require_organization
from tenants.models import Organization
from vault.services import token_digest

INVITATION_LASTS = timedelta(days=7)
"""A week spans a holiday; an older mail is asked for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """Who changes members: for the trail, and the role that bounds what they may give."""

    actor: Actor
    role: str


def invite_member(organization: Organization, *, email: str, role: str, by: Acting) -> Invitation:
    """
    Invite a person by e-mail; an earlier open invitation of the same address ends.

    :raises ValidationFailed: the address or the role cannot be used, or the mail could not be sent
    :raises Conflict: the person is a member already
    """
    email = _clean_email(email)
    _may_give(role, by)
    if Membership.objects.filter(
        user__email=email, organization_schema=organization.schema_name, is_active=True
    ).exists():
        raise Conflict("This person is a member already; change the role in the list of members.", code="is_member")
    token = new_token()
    with transaction.atomic():
        Invitation.objects.filter(organization_schema=organization.schema_name, email=email, accepted_at=None).delete()
        invitation = Invitation.objects.create(
            organization_schema=organization.schema_name,
            email=email,
            role=role,
            token_digest=token_digest(token),
            expires_at=clock.now() + INVITATION_LASTS,
        )
        record(
            action="invitation.sent",
            actor=by.actor,
            target=_target(invitation),
            details={"role": role},
            organization_schema=organization.schema_name,
        )
    _mail(invitation, token, organization)
    return invitation


def find_invitation(token: str) -> Invitation:
    """
    Find an open invitation by the token of its link; runs in public.

    :raises NotFoundHere: unknown, used or too old
    """
    found = Invitation.objects.filter(
        token_digest=token_digest(token), accepted_at=None, expires_at__gt=clock.now()
    ).first()
    if found is None:
        raise NotFoundHere("This invitation was used already, taken back or is too old.")
    return found


def accept_invitation(invitation: Invitation, *, user: User) -> Membership:
    """
    Make the invited person a member; runs in public.

    :raises Forbidden: the person logged in is another than the one invited
    :raises NotFoundHere: somebody used the invitation a moment ago
    """
    if user.email != invitation.email:
        raise Forbidden("This invitation is for another address; log in with that one.")
    with transaction.atomic():
        taken = Invitation.objects.filter(pk=invitation.pk, accepted_at=None).update(accepted_at=clock.now())
        if not taken:
            raise NotFoundHere("This invitation was used already, taken back or is too old.")
        membership = add_member(user=user, schema_name=invitation.organization_schema, role=invitation.role)
        record(
            action="membership.created",
            actor=as_actor(user),
            target=_target(membership),
            details={"role": membership.role, "invitation": str(invitation.pk)},
            organization_schema=invitation.organization_schema,
        )
    return membership


def register_person(invitation: Invitation, *, name: str, password: str, locale: str) -> User:
    """
    Make an account for an invited address that has none; runs in public.

    :raises Conflict: the address has an account; log in with it instead
    """
    with in_public_schema(), transaction.atomic():
        if User.objects.filter(email=invitation.email).exists():
            raise Conflict("This address has an account already; log in with it.", code="already_exists")
        return User.objects.create_user(invitation.email, password, name=name, locale=locale)


def withdraw_invitation(invitation: Invitation, *, actor: Actor) -> None:
    """Take an open invitation back: its link stops working."""
    with transaction.atomic():
        record(action="invitation.withdrawn", actor=actor, target=_target(invitation))
        invitation.delete()


def change_role(membership: Membership, *, role: str, by: Acting) -> Membership:
    """
    Give a member another role.

    :raises Forbidden: only owners make owners or change an owner's role
    :raises Conflict: the member is the last owner
    """
    _may_give(role, by)
    with transaction.atomic():
        locked = _locked(membership, by)
        if locked.role == Role.OWNER and role != Role.OWNER:
            _keep_an_owner(locked)
        details = {"from": locked.role, "to": role}
        locked.role = role
        locked.save(update_fields=["role"])
        record(action="membership.role_changed", actor=by.actor, target=_target(locked), details=details)
    return locked


def remove_member(membership: Membership, *, by: Acting) -> None:
    """
    End a membership; the person's account and what they did stay.

    :raises Forbidden: only owners remove an owner
    :raises Conflict: the member is the last owner
    """
    with transaction.atomic():
        locked = _locked(membership, by)
        if locked.role == Role.OWNER:
            _keep_an_owner(locked)
        locked.is_active = False
        locked.save(update_fields=["is_active"])
        record(action="membership.removed", actor=by.actor, target=_target(locked), details={"role": locked.role})


def make_api_key(
    *, name: str, environment: str, scopes: Sequence[str], expires_at: datetime | None, actor: Actor
) -> tuple[ApiKey, str]:
    """
    Create an API key of the entered organization and return it with its text, shown once.

    :raises ValidationFailed: an unknown scope or environment
    """
    with transaction.atomic():
        api_key, text = create_api_key(
            schema_name=require_organization(),
            name=name,
            scopes=scopes,
            environment=environment,
            expires_at=expires_at,
            created_by=actor.label,
        )
        record(
            action="api_key.created",
            actor=actor,
            target=_target(api_key),
            details={"environment": environment, "scopes": list(scopes)},
        )
    return api_key, text


def make_own_api_key(
    *, name: str, environment: str, scopes: Sequence[str], expires_at: datetime | None, by: Acting
) -> tuple[ApiKey, str]:
    """
    Create an API key for a member; see `make_api_key`.

    :raises ValidationFailed: besides, a scope that the member's role may not give
    """
    if withheld := withheld_scopes(by.role, scopes):
        raise ValidationFailed(
            "Your role cannot give these scopes to a key.",
            errors={"scopes": [f"Only owners and admins give: {', '.join(withheld)}."]},
        )
    return make_api_key(name=name, environment=environment, scopes=scopes, expires_at=expires_at, actor=by.actor)


def revoke_api_key(api_key: ApiKey, *, actor: Actor) -> ApiKey:
    """
    End a key now; calls with it are refused from the next one on.

    :raises Conflict: it is revoked already
    """
    if api_key.revoked_at is not None:
        raise Conflict("This key is revoked already.", code="revoked")
    with transaction.atomic():
        api_key.mark_revoked()
        record(
            action="api_key.revoked",
            actor=actor,
            target=_target(api_key),
            organization_schema=api_key.organization_schema,
        )
    return api_key


def people_url() -> str:
    """Return where people's pages are, for links in mails: of the settings, never of a request."""
    return f"https://{settings.ADMIN_HOST}" if settings.ADMIN_HOST else str(settings.PUBLIC_URL)


def as_actor(user: User) -> Actor:
    """Name a person in the trail."""
    return Actor(kind=ActorKind.USER, id=str(user.pk), label=user.get_full_name())


def _may_give(role: str, by: Acting) -> None:
    if role not in Role.values:
        raise ValidationFailed("Unknown role.", errors={"role": [f"Use one of {', '.join(Role.values)}."]})
    if role == Role.OWNER and by.role != Role.OWNER:
        raise Forbidden("Only owners make somebody an owner.")


def _locked(membership: Membership, by: Acting) -> Membership:
    """Lock all owners and the member, in one order, so that two removals cannot leave nobody."""
    rows = Membership.objects.filter(organization_schema=membership.organization_schema, is_active=True)
    list(rows.filter(role=Role.OWNER).select_for_update().order_by("pk"))
    locked = rows.select_for_update().filter(pk=membership.pk).first()
    if locked is None:
        raise NotFoundHere("This person is no member any more.")
    if locked.role == Role.OWNER and by.role != Role.OWNER:
        raise Forbidden("Only owners change or remove an owner.")
    return locked


def _keep_an_owner(membership: Membership) -> None:
    others = Membership.objects.filter(
        organization_schema=membership.organization_schema, is_active=True, role=Role.OWNER
    ).exclude(pk=membership.pk)
    if not others.exists():
        raise Conflict("This is the last owner: make somebody else an owner first.", code="last_owner")


def _clean_email(email: str) -> str:
    from django.core.exceptions import ValidationError

    cleaned = email.strip().lower()
    try:
        validate_email(cleaned)
    except ValidationError as error:
        raise ValidationFailed("The address cannot be used.", errors={"email": list(error.messages)}) from error
    return cleaned


def _mail(invitation: Invitation, token: str, organization: Organization) -> None:
    """Send the link; if the mail cannot leave, the invitation goes too, for nobody could use it."""
    with override(organization.locale):
        path = reverse("invitation", args=[token], urlconf=settings.ROOT_URLCONF)
        path = path.removeprefix(f"/o/{organization.slug}")
        text = render_to_string(
            "registry/mail/invitation.txt",
            {"organization": organization, "invitation": invitation, "link": f"{people_url()}{path}"},
        )
        # One line: a mail's header takes no other, and a name is what somebody typed.
        subject = " ".join((_("Invitation to %(name)s") % {"name": organization.name}).split())
    try:
        send_mail(subject, text, None, [invitation.email])
    except (SMTPException, OSError) as error:
        invitation.delete()
        raise ValidationFailed(
            "The invitation could not be mailed; nobody was invited. Try again later.",
            errors={"email": ["The mail server did not take the mail."]},
        ) from error


def _target(row: Membership | Invitation | ApiKey) -> Target:
    """Name a row without its address: the trail holds no personal data."""
    kind = {Membership: "membership", Invitation: "invitation", ApiKey: "api_key"}[type(row)]
    return Target(kind=kind, id=str(row.pk), label=row.name if isinstance(row, ApiKey) else "")
