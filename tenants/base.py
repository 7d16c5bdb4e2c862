"""The base of every model that lives in an organization's schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from django.db import connections, models
from django.db.models.constants import OnConflict
from django.db.models.sql import InsertQuery

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


Row = TypeVar("Row", bound=OrganizationModel)


def insert_new(rows: Sequence[Row]) -> list[Row]:
    """
    Insert rows of one model in one statement and return those that a unique constraint did not know already.

    `bulk_create(ignore_conflicts=True)` does not tell which they are; here the database returns their keys.
    """
    if not rows:
        return []
    for row in rows:
        row._require_own_schema()
    model = type(rows[0])
    query = InsertQuery(model, on_conflict=OnConflict.IGNORE)
    query.insert_values(model._meta.concrete_fields, list(rows))
    using = model._default_manager.db
    compiler = query.get_compiler(using=using)
    compiler.returning_fields = [model._meta.pk]
    [(statement, parameters)] = compiler.as_sql()
    with connections[using].cursor() as cursor:
        cursor.execute(statement, parameters)
        keys = {key for (key,) in cursor.fetchall()}
    new = [row for row in rows if row.pk in keys]
    for row in new:
        row._state.adding, row._state.db = False, using
    return new
