"""Users and keys. Public tables; those of an organization are under row-level security."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.roles import Role, role_allows
from core import clock
from core.ids import new_id, new_token
from tenants.context import current_schema, in_public


class Environment(models.TextChoices):
    """Test and live never mix."""

    TEST = "test", _("test")
    LIVE = "live", _("live")


class UserManager(BaseUserManager["User"]):
    """Creates users by e-mail address."""

    def create_user(self, email: str, password: str | None = None, **extra: Any) -> User:
        """Create one person; without a password none works until one is set."""
        user = self.model(email=self.normalize_email(email).lower(), **extra)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **extra: Any) -> User:
        """Create platform staff with every permission."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **extra)


class User(AbstractBaseUser, PermissionsMixin):
    """A person. What they may do inside an organization is their membership's role, nothing else."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    email = models.EmailField(_("e-mail address"), unique=True)
    name = models.CharField(_("name"), max_length=120, blank=True)
    is_staff = models.BooleanField(_("platform staff"), default=False)
    is_active = models.BooleanField(_("active"), default=True)
    locale = models.CharField(_("language"), max_length=8, default="pt-br")
    created_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "email"
    objects = UserManager()

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")

    def __str__(self) -> str:
        return self.email

    def get_full_name(self) -> str:
        """Return the name, or the address of those who gave none."""
        return self.name or self.email

    def get_short_name(self) -> str:
        """Return what a greeting uses."""
        return self.name.split(" ")[0] or self.email

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """Answer from the membership's role inside an organization, from Django's permissions outside."""
        if in_public():
            return super().has_perm(perm, obj)
        return self.is_active and _role_permits(self, perm)

    def has_module_perms(self, app_label: str) -> bool:
        """Inside an organization a member sees every app; the models decide."""
        if in_public():
            return super().has_module_perms(app_label)
        return self.is_active and membership_of(self) is not None


class Membership(models.Model):
    """A person's role in one organization."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    organization_schema = models.CharField(max_length=41, db_index=True)
    role = models.CharField(_("role"), max_length=12, choices=Role.choices)
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("member")
        verbose_name_plural = _("members")
        constraints = [models.UniqueConstraint(fields=["user", "organization_schema"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.role} in {self.organization_schema}"


class Invitation(models.Model):
    """An open invitation to become a member; the token is mailed and kept as a digest."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_schema = models.CharField(max_length=41, db_index=True)
    email = models.EmailField(_("e-mail address"))
    role = models.CharField(_("role"), max_length=12, choices=Role.choices)
    token_digest = models.BinaryField(max_length=32, unique=True, editable=False)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")

    def __str__(self) -> str:
        return f"{self.email} as {self.role} ({self.id})"


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    """Filters over API keys."""

    def usable(self, at: datetime) -> ApiKeyQuerySet:
        """Those neither revoked nor expired."""
        return self.filter(revoked_at=None).filter(models.Q(expires_at=None) | models.Q(expires_at__gt=at))


class ApiKey(models.Model):
    """A customer's key. It names the organization, the environment and the scopes; only its digest is stored."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_schema = models.CharField(max_length=41, db_index=True)
    name = models.CharField(_("name"), max_length=80)
    environment = models.CharField(_("environment"), max_length=4, choices=Environment.choices)
    scopes = ArrayField(models.CharField(max_length=40), verbose_name=_("scopes"))
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    last4 = models.CharField(max_length=4, editable=False)
    created_by_label = models.CharField(max_length=254, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")

    def __str__(self) -> str:
        return f"{self.name} (…{self.last4}, {self.id})"

    @staticmethod
    def digest_of(key: str) -> bytes:
        """Digest a presented key. Plain SHA-256: a key holds 256 random bits, so there is nothing to guess."""
        return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()

    def mark_revoked(self) -> None:
        """End the key now."""
        self.revoked_at = clock.now()
        self.save(update_fields=["revoked_at"])

    def mark_used(self, at: datetime) -> None:
        """Note the use, at most once a minute, so that reading does not become writing."""
        if self.last_used_at is None or at - self.last_used_at > timedelta(minutes=1):
            type(self).objects.filter(pk=self.pk).update(last_used_at=at)


class StoredAnswer(models.Model):
    """The sealed answer of a POST with an Idempotency-Key, kept 24 hours."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_schema = models.CharField(max_length=41)
    environment = models.CharField(max_length=4)
    key_digest = models.BinaryField(max_length=32)
    request_digest = models.BinaryField(max_length=32)
    status = models.PositiveSmallIntegerField(null=True)
    sealed_body = models.BinaryField(null=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name = _("stored answer")
        verbose_name_plural = _("stored answers")
        constraints = [
            models.UniqueConstraint(
                fields=["organization_schema", "environment", "key_digest"], name="stored_answer_once"
            )
        ]
        indexes = [models.Index(fields=["created_at"], name="stored_answer_age")]

    def __str__(self) -> str:
        return f"answer {self.id}"


def new_api_key(environment: str) -> str:
    """Make a fresh key's text; shown once, then only its digest is known."""
    return new_token(f"ir_{environment}_")


def membership_of(user: User) -> Membership | None:
    """Find the active membership of a user in the organization that this thread is in; read once per user object."""
    schema_name = current_schema()
    cached: dict[str, Membership | None] = user.__dict__.setdefault("_memberships_by_schema", {})
    if schema_name not in cached:
        cached[schema_name] = Membership.objects.filter(
            user_id=user.pk, organization_schema=schema_name, is_active=True
        ).first()
    return cached[schema_name]


def _role_permits(user: User, permission: str) -> bool:
    membership = membership_of(user)
    return membership is not None and role_allows(membership.role, permission)
