"""The base of every task, and the tasks that build organizations."""

from __future__ import annotations

from typing import Any

from celery import Task, shared_task

from tenants.connection import tenant_connection
from tenants.context import PUBLIC, WrongOrganization, current_schema, in_organization
from tenants.models import Organization
from tenants.services import build_organization


class OrganizationTask(Task):
    """
    A task of one organization, named by the keyword `schema_name`.

    It refuses unknown and closed organizations, checks the schema before the body and leaves public behind.
    """

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Enter the organization around the body."""
        schema_name = kwargs.pop("schema_name", "")
        tenant_connection().set_schema_to_public()
        if not Organization.objects.open().filter(schema_name=schema_name).exists():
            raise WrongOrganization(f"{self.name} was sent for {schema_name!r}, which is unknown or closed")
        try:
            with in_organization(schema_name):
                if current_schema() != schema_name:
                    raise WrongOrganization(f"{self.name} entered {current_schema()}, not {schema_name}")
                return super().__call__(*args, **kwargs)
        finally:
            tenant_connection().set_schema_to_public()


class PublicTask(Task):
    """A task of the platform: sweeps and claims over public tables."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the body in public and leave public behind."""
        tenant_connection().set_schema_to_public()
        try:
            return super().__call__(*args, **kwargs)
        finally:
            if current_schema() != PUBLIC:
                tenant_connection().set_schema_to_public()


@shared_task(base=PublicTask, name="tenants.tasks.build_organization_schema")
def build_organization_schema(*, organization_id: str, **kwargs: object) -> None:
    """Build one registered organization."""
    organization = Organization.objects.get(pk=organization_id)
    if not organization.is_open:
        build_organization(organization)


@shared_task(base=PublicTask, name="tenants.tasks.sweep_organizations")
def sweep_organizations(**kwargs: object) -> None:
    """Build what was registered and never built: a lost wake-up costs seconds, never an organization."""
    waiting = Organization.objects.filter(status__in=[Organization.Status.CREATING, Organization.Status.FAILED])
    for organization in waiting.order_by("created_at")[:5]:
        build_organization(organization)
