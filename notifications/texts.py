"""Texts of ours with values in them: kept in English with the values beside, read in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext

NAMED = "%("
"""How a text of ours begins to name a value; a percent sign alone is somebody's words beside one of our texts."""


def filled(text: str, details: Mapping[str, str]) -> str:
    """Put the values that a text names as %(name)s in; a vendor's words come without any and stay as they are."""
    return text % details if details and NAMED in text else text


def said(text: str, details: Mapping[str, str]) -> str:
    """Say a text in the language that is active."""
    return filled(gettext(text), details) if text else ""
