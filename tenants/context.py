"""
The only way into an organization: middleware, `in_organization` and `OrganizationTask` use what is here.

An entered organization belongs to this thread's connection. Threads inherit nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from django_tenants.utils import schema_context

from tenants.connection import tenant_connection
from tenants.models import SCHEMA_NAME, Organization

PUBLIC = "public"


class WrongOrganization(RuntimeError):
    """Code ran in another schema than it was meant for; nothing may be read or written."""


def current_schema() -> str:
    """Return the schema this thread works in."""
    return str(tenant_connection().schema_name)


def in_public() -> bool:
    """Whether this thread is outside any organization."""
    return current_schema() == PUBLIC


@contextmanager
def in_organization(organization: Organization | str) -> Iterator[None]:
    """
    Enter an organization (object or schema name) and return to where we were.

    :raises WrongOrganization: the name is not a schema name of an organization
    """
    schema_name = organization if isinstance(organization, str) else organization.schema_name
    if schema_name == PUBLIC or not SCHEMA_NAME.fullmatch(schema_name):
        raise WrongOrganization(f"{schema_name!r} is not an organization's schema")
    with schema_context(schema_name), structlog.contextvars.bound_contextvars(organization=schema_name):
        yield


@contextmanager
def in_public_schema() -> Iterator[None]:
    """Leave any organization for the length of a block."""
    with schema_context(PUBLIC):
        yield


def require_organization() -> str:
    """
    Return the entered organization's schema.

    :raises WrongOrganization: this thread is in public
    """
    schema_name = current_schema()
    if schema_name == PUBLIC:
        raise WrongOrganization("this needs an organization, but the thread is in public")
    return schema_name


def release_connection() -> None:
    """
    Give this thread's connection back before a vendor is waited for; the entered organization stays entered.

    Inside a transaction nothing is given back: whoever waits for a vendor there has a defect elsewhere.
    """
    connection = tenant_connection()
    if not connection.in_atomic_block:
        connection.close()
