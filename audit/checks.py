"""What is said at start when the trail's evidence cannot be kept elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from audit.evidence import EvidenceUnusable, open_store


@register()
def check_evidence(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse an address that cannot be used; warn where none is set in production, and where nothing can be kept."""
    try:
        store = open_store()
    except EvidenceUnusable as error:
        return [Error(str(error), hint="Tombstones and signed audit heads go there.", id="audit.E001")]
    if problem := store.problem() if store else "":
        return [Warning(f"EVIDENCE_URL: {problem}.", hint="The worker keeps audit heads there.", id="audit.W002")]
    if store is None and settings.ENVIRONMENT_NAME == "production":
        return [Warning("EVIDENCE_URL is not set: a cut tail of the audit trail cannot be found.", id="audit.W001")]
    return []
