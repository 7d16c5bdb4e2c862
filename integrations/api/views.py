"""The base of every view of the customer API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponseBase
from rest_framework.exceptions import NotAuthenticated, Throttled
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from accounts.models import ApiKey, StoredAnswer
from audit.services import Actor, ActorKind
from core.errors import NotFoundHere, ValidationFailed
from integrations.api import idempotency, limits
from integrations.api.openapi import RegistrySchema
from integrations.api.pagination import PARAMETERS, RegistryPagination
from integrations.api.parsers import StrictJSONParser, is_storable_text
from integrations.contract import ProviderSpec
from integrations.models import Integration


class RegistryView(APIView):
    """
    One address of the customer API.

    A subclass must set `scope` ("messages": reading asks for messages:read, all else for messages:write) or map
    methods in `required_scopes`. It may set `filters`, the query parameters its lists take, and `provider_spec`
    while a provider's fields are nested in the body. It should not touch `initial` and `finalize_response`: they
    count the request, keep Idempotency-Key and set the headers. Errors are raised, never returned.
    """

    scope: ClassVar[str] = ""
    required_scopes: ClassVar[Mapping[str, str]] = {}
    filters: ClassVar[frozenset[str]] = frozenset()
    parser_classes = (StrictJSONParser,)
    schema = RegistrySchema()

    provider_spec: ProviderSpec | None = None
    _allowance: limits.Allowance | None = None
    _claimed: StoredAnswer | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authenticate, count, check scopes, refuse what no query may hold, claim the idempotency key."""
        self.perform_authentication(request)
        self._count(request)
        super().initial(request, *args, **kwargs)
        self._check_query(request)
        self._claimed = idempotency.claim(request, self.api_key)

    def handle_exception(self, exc: Exception) -> Response:
        """Answer a known request from its stored answer, all else as a problem."""
        if isinstance(exc, idempotency.Replay):
            return cast(Response, exc.response)
        return super().handle_exception(exc)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """Add the limit's headers and keep the answer of a claimed key."""
        response.headers.setdefault("Cache-Control", "no-store")  # keys shown once, people's messages
        if self._allowance is not None:
            for name, value in self._allowance.headers().items():
                response.headers[name] = value
        final = super().finalize_response(request, response, *args, **kwargs)
        if self._claimed is not None:
            idempotency.settle(self._claimed, cast(HttpResponseBase, final))
        return final

    @property
    def api_key(self) -> ApiKey:
        """The key that asks."""
        key = self.request.auth
        if not isinstance(key, ApiKey):
            raise NotAuthenticated
        return key

    @property
    def environment(self) -> str:
        """The environment that this key sees and uses: test or live."""
        return str(self.api_key.environment)

    @property
    def actor(self) -> Actor:
        """Who acts, for the audit trail."""
        return Actor(
            kind=ActorKind.API_KEY, id=str(self.api_key.id), label=f"{self.api_key.name} …{self.api_key.last4}"
        )

    @property
    def query(self) -> Mapping[str, str]:
        """The filters of a list that were given, by name; the last of a repeated one counts."""
        given = {name: str(value) for name, value in self.request.query_params.items() if value}
        return {name: value for name, value in given.items() if name in self.filters}

    def get_integration(self, integration_id: str) -> Integration:
        """
        Find an integration that this key may see.

        :raises NotFoundHere: unknown, malformed, another environment's or another organization's
        """
        found = Integration.objects.of_environment(self.environment)
        return cast(Integration, get_or_404(found, integration_id))

    def paginate(
        self, queryset: QuerySet[Any], serializer_class: type[BaseSerializer[Any]], **options: Any
    ) -> Response:
        """Answer with one page of a queryset whose ids are UUIDv7, newest first."""
        pagination = RegistryPagination(self.request)
        page = pagination.page_of(queryset)
        results = serializer_class(page.rows, many=True, **options).data
        return Response(pagination.envelope(page, results))

    def validated(self, serializer_class: type[BaseSerializer[Any]]) -> dict[str, Any]:
        """
        Read the body through a serializer.

        :raises rest_framework.exceptions.ValidationError: answered as validation_failed with the fields
        """
        serializer = serializer_class(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def _count(self, request: Request) -> None:
        if isinstance(request.auth, ApiKey):
            self._allowance = limits.count(request.auth.id)
        if self._allowance is not None and self._allowance.is_exceeded:
            raise Throttled(wait=self._allowance.reset_s, detail="This key asks too fast.")

    def _check_query(self, request: Request) -> None:
        """A misspelled filter would silently give everything, so it is refused."""
        known = self.filters | (PARAMETERS if request.method in {"GET", "HEAD"} else frozenset())
        errors = {
            name: ["Unknown parameter."] if name not in known else ["This value cannot be used."]
            for name, values in request.query_params.lists()
            if name not in known or not all(is_storable_text(str(value)) for value in values)
        }
        if errors:
            taken = ", ".join(sorted(known)) or "none"
            raise ValidationFailed(f"Some query parameters cannot be used. This address takes: {taken}.", errors=errors)


class IsAuthenticated(BasePermission):
    """Any usable key, whatever its scopes."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Answer for one request."""
        if not isinstance(request.auth, ApiKey):
            raise NotAuthenticated
        return True


class UnknownAddress(RegistryView):
    """Whatever no other view answers under /api/v1/: 401 without a key, 404 with one."""

    permission_classes = (IsAuthenticated,)
    schema = None  # type: ignore[assignment]  # no address of the contract

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authenticate, then answer that there is nothing."""
        self.perform_authentication(request)
        self.check_permissions(request)
        hint = "" if request.path.endswith("/") else f" Addresses end with a slash: {request.path}/"
        raise NotFoundHere(f"There is nothing at this address.{hint}")


def get_or_404(queryset: QuerySet[Any], row_id: str) -> Any:
    """
    Find a row by the id in an address.

    :raises NotFoundHere: unknown or malformed; both look the same
    """
    try:
        found = queryset.filter(pk=UUID(row_id)).first()
    except ValueError:
        found = None
    if found is None:
        raise NotFoundHere("There is no such object here.")
    return found
