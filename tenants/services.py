"""Creating, building and migrating organizations."""

from __future__ import annotations

import structlog
from django.db import connections, transaction

from core.errors import Conflict, ValidationFailed
from tenants import schemas
from tenants.models import Organization, SchemaChange, SchemaState
from tenants.routers import OWNER

log = structlog.get_logger(__name__)


def create_organization(*, slug: str, name: str, locale: str = "pt-br") -> Organization:
    """
    Register an organization; its schema is built in the background (`build_organization`).

    :raises ValidationFailed: the slug or the name cannot be used
    :raises Conflict: the slug is taken
    """
    organization = Organization(slug=slug, name=name, locale=locale)
    _validate(organization)
    if Organization.objects.filter(slug=slug).exists():
        raise Conflict(f"An organization with the slug '{slug}' exists; choose another slug.", code="already_exists")
    with transaction.atomic():
        organization.save()
    return organization


def build_organization(organization: Organization) -> None:
    """Build the schema of a registered organization and open it; safe to repeat after a failure."""
    try:
        schemas.build_schema(organization)
    except Exception as error:
        log.exception("organization.build_failed", organization=organization.schema_name)
        organization.mark_failed(f"{type(error).__name__}: building stopped; it is tried again by the sweep.")
        raise
    finally:
        connections[OWNER].close()
    organization.mark_active()


def migrate_everything() -> int:
    """
    Migrate public, the template and every organization that is behind; return how many organizations moved.

    A second run at the same time waits for nobody: it does nothing and says so by returning 0.
    """
    with schemas.migration_lock() as is_free:
        if not is_free:
            return 0
        schemas.migrate_public()
        schemas.migrate_template()
        return migrate_organizations()


def migrate_organizations() -> int:
    """Replay what organizations lack; a failure is noted at its organization and does not stop the others."""
    newest = SchemaChange.objects.order_by("-position").values_list("position", flat=True).first() or 0
    behind = SchemaState.objects.filter(position__lt=newest).values_list("schema_name", flat=True)
    moved = 0
    for schema_name in list(behind):
        try:
            schemas.replay(schema_name)
            moved += 1
        except Exception:
            log.exception("organization.migration_failed", organization=schema_name)
            SchemaState.objects.using(OWNER).filter(pk=schema_name).update(failure="stopped; see the log of this run")
    return moved


def _validate(organization: Organization) -> None:
    from django.core.exceptions import ValidationError

    try:
        organization.full_clean(validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        raise ValidationFailed("The organization cannot be created like this.", errors=error.message_dict) from error
