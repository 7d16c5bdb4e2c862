"""The state of a breaker, kept beside what it protects."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class BreakerState(models.TextChoices):
    """Whether calls go out."""

    CLOSED = "closed", _("closed: calls go out")
    OPEN = "open", _("open: calls are held back")
    HALF_OPEN = "half_open", _("half open: one call tries")


class Breaking(models.Model):
    """
    A row with a breaker: of one integration (Link) or of a whole vendor (Vendor).

    `breaker_until` ends the open time, and the time that a half-open try may take. `breaker_trips` counts how often
    it opened since it last closed.
    """

    # Defaults in the database, too: code of the release before this one still inserts rows.

    breaker = models.CharField(
        max_length=10, choices=BreakerState.choices, default=BreakerState.CLOSED, db_default="closed"
    )
    breaker_until = models.DateTimeField(null=True, blank=True)
    breaker_reason = models.CharField(max_length=200, blank=True, db_default="")
    breaker_trips = models.PositiveSmallIntegerField(default=0, db_default=0)

    class Meta:
        abstract = True
