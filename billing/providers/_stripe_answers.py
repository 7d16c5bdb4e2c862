"""An answer of Stripe's API: values that pass between the SDK's door and those who read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The JSON object as it came, and Stripe's own time of it."""

    body: Mapping[str, Any] = field(repr=False)
    at: datetime
