"""Read bodies strictly: JSON objects with exact numbers, rules per field, the vendor's refusal for each mistake."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NoReturn
from urllib.parse import urlsplit

from werkzeug.wrappers import Request

from sandbox.fields import FieldProblem, Rule
from sandbox.frame import Refused
from sandbox.mercadopago.errors import cause, cause_body, invalid

Body = dict[str, Any]
EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
# Top-level domains that exist nowhere: the vendor refuses them, which surprises whoever tests with them.
NO_DOMAINS = (".test", ".local", ".localhost", ".invalid")
EMAIL_CHARS = 254
URL_CHARS = 500


def read_body(request: Request) -> Body:
    """
    Return the JSON object of a call, with decimals as Decimal; an empty body is an empty object.

    :raises Refused: the content type is not JSON, or the body is no JSON object, or names a field twice
    """
    raw = request.get_data()
    if not raw:
        return {}
    if request.mimetype != "application/json":
        raise Refused(415, cause_body(415, "Content type not supported", [], error="unsupported_media_type"))
    try:
        body = json.loads(raw, parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_once)
    except ValueError as error:
        raise invalid(f"Malformed JSON: {error}") from error
    if not isinstance(body, dict):
        raise invalid("The body must be a JSON object")
    return body


def check(rule: Rule, body: Body, *, refuse: Callable[[FieldProblem], Refused] | None = None) -> None:
    """Check a body; :raises Refused: as `refuse` says, else with code 8 for unknown fields and 1 for wrong ones."""
    try:
        rule(body, "")
    except FieldProblem as problem:
        raise (refuse or field_refusal)(problem) from problem


def field_refusal(problem: FieldProblem) -> Refused:
    """Return the Payments API's refusal of a field."""
    name = dotted(problem.path)
    if problem.kind == "unknown":
        return cause(8, f"The name of the following parameters is wrong : [{name}]")
    return cause(1, f"Params Error: {name}")


def dotted(path: str) -> str:
    """Return `payer.email` for the path `payer['email']`."""
    return re.sub(r"\['([^']*)'\]", r".\1", path)


def plain(value: Any) -> Any:
    """Return the value with decimals as floats, so that it can be stored; a float writes the same digits again."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {name: plain(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    return value


def decimal(value: object, path: str) -> None:
    """Accept a JSON number."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise FieldProblem("invalid", path, f"{path} must be numeric")


def whole(value: object, path: str) -> None:
    """Accept a JSON number without decimals."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise FieldProblem("invalid", path, f"{path} must be a whole number")


def mapping(value: object, path: str) -> None:
    """Accept any JSON object."""
    if not isinstance(value, dict):
        raise FieldProblem("invalid", path, f"{path} must be a JSON object")


def is_email(value: object) -> bool:
    """Say whether the vendor takes this address."""
    if not isinstance(value, str) or len(value) > EMAIL_CHARS or not EMAIL.fullmatch(value):
        return False
    return not value.lower().endswith(NO_DOMAINS)


def is_callback(value: object) -> bool:
    """Say whether the vendor would call this address: https, or plain http on this machine or network only."""
    if not isinstance(value, str):
        return False
    parts = urlsplit(value)
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and _is_near(parts.hostname)))


def known_only(values: Mapping[str, object], *names: str) -> None:
    """Refuse query parameters that the operation does not have."""
    if unknown := sorted(set(values) - set(names)):
        raise cause(8, f"The name of the following parameters is wrong : [{', '.join(unknown)}]")


def _is_near(host: str | None) -> bool:
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_private


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _once(pairs: list[tuple[str, Any]]) -> Body:
    body = dict(pairs)
    if len(body) != len(pairs):
        raise ValueError("a field is named twice")
    return body
