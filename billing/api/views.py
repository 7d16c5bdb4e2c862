"""The base of the views of billing: what a key may see of it, and no card's number comes past it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from django.core.exceptions import RequestDataTooBig
from django.db.models import Model, QuerySet
from django.utils.dateparse import parse_datetime
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import ApiKey
from billing.models import Customer, Payment
from billing.services.card_numbers import refuse_card_numbers, refuse_in_body
from core.errors import ValidationFailed
from integrations.api.idempotency import HEADER
from integrations.api.views import RegistryView, get_or_404

_WRITING = frozenset({"POST", "PUT", "PATCH"})

MAX_BYTES = 128 * 1024
"""The longest request that the rules allow, 49 texts and 100 lines, has a third of it; each is searched whole."""


class BillingView(RegistryView):
    """One address under /billing/. Rows of the other environment do not exist for a key."""

    scope = "billing"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse card numbers of whoever has a key, before the frame keeps anything of the request."""
        self.perform_authentication(request)
        if isinstance(request.auth, ApiKey):
            _refuse_card_numbers(request)
        super().initial(request, *args, **kwargs)

    @property
    def caller_key(self) -> str:
        """The caller's idempotency key; "" without one."""
        return self.request.headers.get(HEADER, "")

    def rows(self, model: type[Model]) -> QuerySet[Any]:
        """Return the rows of a model that this key may see."""
        found: QuerySet[Any] = model._default_manager.select_related("integration")
        return found.filter(integration__environment=self.environment)

    def get_payment(self, payment_id: str) -> Payment:
        """
        Find a payment that this key may see.

        :raises NotFoundHere: unknown, malformed or somebody else's
        """
        return cast(Payment, get_or_404(self.rows(Payment).select_related("customer"), payment_id))

    def filtered(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """
        Narrow a list by the query's filters; ids of objects that this key may not see are 404.

        :raises ValidationFailed: a value is malformed
        """
        for name, value in self.query.items():
            rows = rows.filter(**self._condition(name, value))
        return rows

    def made(self, data: Mapping[str, Any]) -> Response:
        """Answer 201 with what was made, and where it is read, if it is kept."""
        headers = {"Location": f"{self.request.path}{data['id']}/"} if "id" in data else {}
        return Response(data, status=status.HTTP_201_CREATED, headers=headers)

    def _condition(self, name: str, value: str) -> dict[str, Any]:
        if name == "integration":
            return {"integration": self.get_integration(value)}
        if name == "customer":
            return {"customer": get_or_404(self.rows(Customer), value)}
        if name == "payment":
            return {"payment": self.get_payment(value)}
        if name == "since":
            return {"created_at__gte": _moment(value)}
        return {name: value}


def filled(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the payer, which is read apart, and what was given as null: it means as if it were absent."""
    return {name: value for name, value in values.items() if value is not None and name != "payer"}


def one_of(name: str, value: str, allowed: frozenset[str]) -> None:
    """
    Check a filter of a closed set.

    :raises ValidationFailed: naming what may stand there
    """
    if value and value not in allowed:
        known = f"Use one of: {', '.join(sorted(allowed))}."
        raise ValidationFailed("A filter has an unknown value.", errors={name: [known]})


def _refuse_card_numbers(request: Request) -> None:
    refuse_card_numbers({name: values for name, values in request.query_params.lists()})
    if request.method in _WRITING:
        raw = request._request.body
        if len(raw) > MAX_BYTES:
            raise RequestDataTooBig("a body about money over 128 KB")
        refuse_in_body(raw)


_FIRST, _LAST = 1970, 9998
"""Years of a filter: at the ends of the calendar a zone's offset leads out of what the database can say."""


def _moment(value: str) -> datetime:
    """Read a time of the query, where a plus may have become a space."""
    try:
        found = parse_datetime(value.replace(" ", "+") if "T" in value else value)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or not _FIRST <= found.year <= _LAST:
        raise ValidationFailed(
            "A filter has an unknown value.", errors={"since": ["Use a time such as 2026-11-02T15:04:05Z."]}
        )
    return found
