"""The base of every model that lives in an organization's schema."""

from __future__ import annotations

from typing import Any

from django.db import models

from core.ids import new_id
from tenants.context import PUBLIC, WrongOrganization, current_schema


class OrganizationModel(models.Model):
    """
    A row of one organization. It remembers its schema and refuses to be saved or deleted in another.

    Without that, an object of A saved in B overwrites B's row with the same key (RELIABILITY section 4, rule 2).
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)

    class Meta:
        abstract = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._schema = current_schema()

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save in the schema the object belongs to."""
        self._require_own_schema()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete in the schema the object belongs to."""
        self._require_own_schema()
        return super().delete(*args, **kwargs)

    def _require_own_schema(self) -> None:
        here = current_schema()
        if self._schema != here or here == PUBLIC:
            raise WrongOrganization(f"a {type(self).__name__} of {self._schema} cannot be written in {here}")
