"""The root of what this product raises on purpose, apart from vendor errors (`integrations.contract.errors`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class RegistryError(Exception):
    """
    A refusal with two texts: `detail` for whoever called, `internal` for us. Neither holds a secret.

    `code` is stable and part of the public contract; `errors` maps a field to its texts.
    """

    status = 422
    code = "validation_failed"
    title = "The request cannot be carried out"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        errors: Mapping[str, Sequence[str]] | None = None,
        internal: str = "",
    ) -> None:
        super().__init__(internal or detail)
        self.detail = detail
        self.code = code or self.code
        self.errors = dict(errors or {})


class ValidationFailed(RegistryError):
    """A field is missing, malformed or not allowed here."""


class Conflict(RegistryError):
    """The thing exists already, or its state forbids the action."""

    status = 409
    code = "conflict"
    title = "The request conflicts with what is there"


class NotFoundHere(RegistryError):
    """No such object in this organization; foreign objects look the same."""

    status = 404
    code = "not_found"
    title = "Not found"


class Forbidden(RegistryError):
    """The actor's role or scopes do not allow it."""

    status = 403
    code = "scope_missing"
    title = "Not allowed"
