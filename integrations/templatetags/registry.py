"""
Tags and filters of the admin's own pages.

The imports are inside: Unfold renders a widget while it is imported, which loads this module before the admin is.
"""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.safestring import SafeString
from django.utils.translation import gettext

register = template.Library()


@register.simple_tag
def badge(value: str, label: Any = "") -> SafeString:
    """Show a state as a colored word."""
    from integrations.admin import show

    return show.badge(value, label)


@register.filter
def said(text: str) -> str:
    """Show a stored text in the person's language, where it is one of ours; a vendor's own words stay."""
    return gettext(text) if text else ""


@register.filter
def worded(name: str) -> str:
    """Show a name of ours, such as send_messages, as words."""
    from integrations.admin import show

    return show.verdict_label(name)
