"""The business behind an account: its profile, and how the vendor grades it."""

from __future__ import annotations

from django.db import transaction

from audit.services import Actor, record
from channels_app.contract import AccountReport, BusinessProfile, EditsProfile, ReportsAccount
from channels_app.services.readiness import calling
from integrations.models import Integration
from integrations.services.credentials import audit_target

_FIELDS = ("about", "address", "description", "email", "websites", "vertical")


def get_profile(integration: Integration) -> BusinessProfile:
    """
    Ask the vendor for the profile.

    :raises NotReady: the integration is not active
    :raises ProviderError: the vendor could not be asked
    """
    with calling(integration, EditsProfile) as provider:
        return provider.get_profile()


def update_profile(integration: Integration, profile: BusinessProfile, *, actor: Actor) -> BusinessProfile:
    """
    Change the fields that are not None and return the profile as the vendor has it then.

    :raises NotReady: the integration is not active
    :raises ProviderError: the vendor refused
    """
    with calling(integration, EditsProfile, actor=actor) as provider:
        provider.update_profile(profile)
        changed = [name for name in _FIELDS if getattr(profile, name) is not None]
        with transaction.atomic():
            record(action="profile.changed", actor=actor, target=audit_target(integration), details={"fields": changed})
        return provider.get_profile()


def report_account(integration: Integration) -> AccountReport:
    """
    Ask the vendor for quality, limits and whether messages can be sent.

    :raises NotReady: the integration is not active
    :raises ProviderError: the vendor could not be asked
    """
    with calling(integration, ReportsAccount) as provider:
        return provider.report_account()
