"""The banner that says which vendors have trouble now; the same words for every organization."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import template

register = template.Library()


@register.inclusion_tag("registry/parts/vendor_trouble.html")
def vendor_trouble(providers: Iterable[str] | str) -> dict[str, Any]:
    """Show a banner for each of these providers that has an incident; one query, nothing when all are well."""
    from dispatch.vendors import open_incidents
    from integrations.admin.show import provider_label
    from integrations.services.incidents import NOTHING_TO_DO

    wanted = {providers} if isinstance(providers, str) else set(providers)
    states = [state for key, state in sorted(open_incidents().items()) if key in wanted]
    return {
        "troubles": [{"label": provider_label(state.provider), "state": state} for state in states],
        "nothing_to_do": NOTHING_TO_DO,
    }


@register.filter
def providers_of(cards: Iterable[dict[str, Any]]) -> set[str]:
    """The providers of the start page's cards."""
    return {card["integration"].provider for card in cards}
