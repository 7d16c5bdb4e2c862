"""What management commands share: finding organizations, and refusals as text instead of a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError

from core.errors import RegistryError
from tenants.models import Organization


@contextmanager
def refusals_as_text() -> Iterator[None]:
    """
    Turn a refusal of a service into the command's one line.

    :raises CommandError: with the service's text and its fields
    """
    try:
        yield
    except RegistryError as error:
        fields = (f"{name}: {' '.join(map(str, texts))}" for name, texts in error.errors.items())
        raise CommandError("\n".join([error.detail, *fields])) from None


def open_organization(slug: str) -> Organization:
    """
    Find an open organization.

    :raises CommandError: there is none of this slug, or it is not open
    """
    found = Organization.objects.filter(slug=slug).first()
    if found is None:
        known = ", ".join(Organization.objects.order_by("slug").values_list("slug", flat=True)[:20])
        raise CommandError(f"There is no organization {slug!r}. There are: {known or 'none'}.")
    if not found.is_open:
        raise CommandError(f"{slug} is not open: {found.get_status_display()}.")
    return found


def chosen_organizations(slug: str) -> list[Organization]:
    """Return one organization by its slug, or all that are open."""
    return [open_organization(slug)] if slug else list(Organization.objects.open().order_by("slug"))
