"""Templates as the vendor knows them: listed, submitted, deleted, and looked up before a send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from django.core.cache import cache
from django.db import transaction
from redis import RedisError

from audit.services import Actor, Target, record
from channels_app.contract import ManagesTemplates, TemplateDraft, TemplateInfo
from channels_app.models import Template
from channels_app.services.readiness import calling, class_with, refuse
from core import clock
from core.errors import Conflict
from dispatch.models import LinkStatus
from integrations.contract import ProviderError
from integrations.models import Integration

log = structlog.get_logger(__name__)

APPROVED = "approved"
AUTHENTICATION = "authentication"
MARKETING = "marketing"
CATEGORIES = (AUTHENTICATION, MARKETING, "utility")

PAUSE_S = 30
"""An unknown template makes us ask the vendor at most every half minute: 200 such calls an hour are allowed."""


def approved(integration: Integration, *, name: str, language: str, actor: Actor) -> Template | None:
    """
    Return an approved template; asks the vendor when it is not known here. None where a channel reviews none.

    :raises ValidationFailed: it does not exist in this language, or is not approved
    :raises ProviderError: the vendor had to be asked and could not
    """
    if not issubclass(integration.provider_class, ManagesTemplates):
        return None
    template = _find(integration, name, language)
    is_good = template is not None and template.status == APPROVED
    if not is_good and integration.status == LinkStatus.ACTIVE and _may_sync(integration):
        sync_templates(integration, actor=actor)
        template = _find(integration, name, language)
    if template is None:
        refuse(
            "template.name",
            f"There is no template {name!r} in {language}. Create it, or use a name and language that are approved.",
        )
    elif template.status != APPROVED:
        refuse(
            "template.name",
            f"The template {name!r} in {language} is {template.status or 'not reviewed yet'}, not approved."
            " Wait for its approval, mend what the reason names, or send another template.",
        )
    return template


def category_of(integration: Integration, *, name: str, language: str) -> str:
    """Return a template's category as it is known here; empty where it is not."""
    template = _find(integration, name, language)
    return template.category if template else ""


def sync_templates(integration: Integration, *, actor: Actor | None = None) -> int:
    """
    Ask the vendor for all templates and make the rows say the same; return how many there are.

    :raises NotReady: the integration is not active
    :raises ProviderError: the vendor could not be asked
    """
    started = clock.now()
    with calling(integration, ManagesTemplates, actor=actor) as provider:
        found = provider.list_templates()
    with transaction.atomic():
        for info in sorted(found, key=lambda item: (item.name, item.language)):
            _write(integration, info)
        # What was made while the vendor answered is newer than its answer.
        Template.objects.filter(integration=integration, synced_at__lt=started).exclude(
            changed_at__gte=started
        ).delete()
    return len(found)


def refresh_templates(integration: Integration, *, actor: Actor | None = None) -> None:
    """Ask the vendor unless that was done just now; what cannot be asked leaves the rows as they are."""
    is_channel = issubclass(integration.provider_class, ManagesTemplates)
    if not is_channel or integration.status != LinkStatus.ACTIVE or not _may_sync(integration):
        return
    try:
        sync_templates(integration, actor=actor)
    except ProviderError as error:
        log.warning("templates.not_refreshed", integration=str(integration.id), error=error.name)


def create_template(
    integration: Integration,
    *,
    name: str,
    language: str,
    category: str,
    components: Sequence[Mapping[str, Any]],
    actor: Actor,
) -> Template:
    """
    Submit a template for review; its approval arrives by webhook.

    :raises Conflict: there is one of this name and language
    :raises NotReady: the integration is not active
    :raises ProviderError: the vendor refused it
    """
    class_with(integration, ManagesTemplates)
    if category not in CATEGORIES:
        refuse("category", f"Use one of: {', '.join(CATEGORIES)}.")
    if _find(integration, name, language) is not None:
        raise Conflict(f"There is a template {name!r} in {language} already; delete it first, or use another name.")
    draft = TemplateDraft(name=name, language=language, category=category, components=tuple(components))
    with calling(integration, ManagesTemplates, actor=actor) as provider:
        info = provider.create_template(draft)
    with transaction.atomic():
        template = _write(integration, info)
        record(action="template.created", actor=actor, target=_target(template))
    return template


def delete_template(template: Template, *, actor: Actor) -> None:
    """
    Delete one language of a template at the vendor and here.

    :raises NotReady: the integration is not active
    :raises ProviderError: the vendor refused
    """
    with calling(template.integration, ManagesTemplates, actor=actor) as provider:
        provider.delete_template(template.name, external_id=template.external_id)
    with transaction.atomic():
        record(action="template.deleted", actor=actor, target=_target(template))
        template.delete()


def _write(integration: Integration, info: TemplateInfo) -> Template:
    facts = {
        "external_id": info.external_id,
        "category": info.category,
        "status": info.status,
        "components": [dict(component) for component in info.components],
        "quality": info.quality,
        "reason": info.reason,
        "synced_at": clock.now(),
    }
    template, _created = Template.objects.update_or_create(
        integration=integration, name=info.name, language=info.language, defaults=facts
    )
    return template


def _find(integration: Integration, name: str, language: str) -> Template | None:
    return Template.objects.filter(integration=integration, name=name, language=language).first()


def _may_sync(integration: Integration) -> bool:
    try:
        return bool(cache.add(f"templates-asked:{integration.id}", 1, timeout=PAUSE_S))
    except RedisError as error:
        log.warning("templates.pause_unknown", error=type(error).__name__)
        return True


def _target(template: Template) -> Target:
    return Target(kind="template", id=str(template.id), label=f"{template.name} {template.language}")
