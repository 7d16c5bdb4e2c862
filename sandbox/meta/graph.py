"""The Graph API itself: version, protocol, nodes and edges, permissions, fields. Products add a table of operations."""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import urlencode

from werkzeug.wrappers import Request, Response

from sandbox.fields import FieldProblem, Rule
from sandbox.frame import Frame, Refused, Vendor, json_answer
from sandbox.meta.errors import graph_error, no_such_object
from sandbox.meta.tokens import Caller, Tokens
from sandbox.store import Document

# Majors that answer in November 2026; v21.0 still does for others, but this house refuses everything below v22.0.
VERSIONS = ("v22.0", "v23.0", "v24.0", "v25.0", "v26.0")
# Gone from every version since 2026-10-27.
REMOVED_QUERY = ("pretty", "debug", "date_format", "ids")
REMOVED_HEADERS = ("If-None-Match",)
PAGE_DEFAULT, PAGE_MOST = "25", 100
QUERY_OF_ALL = frozenset({"appsecret_proof"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphCall:
    """One call that passed the protocol's checks."""

    request: Request
    version: str
    caller: Caller
    node: Document
    query: Mapping[str, str]
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """
    One thing a node can do.

    `scopes`: any one of them is enough. `app`: wants the app's own token. `body`: the rule for a JSON body; None with
    a method that writes means that no body is taken here (multipart, or none at all).
    """

    name: str
    method: str
    node: str
    handler: Callable[[GraphCall], object]
    edge: str = ""
    scopes: tuple[str, ...] = ()
    app: bool = False
    query: frozenset[str] = frozenset()
    body: Rule | None = None
    body_optional: bool = False


class GraphVendor(Vendor):
    """
    A product of Meta.

    A subclass must write `operations`, `find_node` and `root_calls`; it should not touch the order of the checks,
    which is Graph's own: version, protocol, token, proof, object, permission, fields.
    """

    product: ClassVar[str] = ""

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame)
        self.tokens = Tokens(frame.store)
        self._operations = {(entry.method, entry.node, entry.edge): entry for entry in self.operations()}

    @abstractmethod
    def operations(self) -> Sequence[Operation]:
        """Return every operation of the product."""

    @abstractmethod
    def find_node(self, key: str) -> tuple[str, Document] | None:
        """Return the kind of a node and its document; the document has `targets`, the ids a token may be given for."""

    def root_calls(self) -> Mapping[str, Callable[[Request], object]]:
        """Return the calls that address no node and check the caller themselves, such as `debug_token`."""
        return {}

    def operation(self, request: Request, path: str) -> str:
        """Name the operation, or the root call."""
        parts = [part for part in path.split("/") if part][1:]
        if "/".join(parts) in self.root_calls():
            return "/".join(parts)
        found = self.find_node(parts[0]) if parts else None
        entry = self._operations.get((request.method, found[0], "/".join(parts[1:]))) if found else None
        return entry.name if entry else ""

    def call(self, request: Request, path: str) -> Response:
        """Answer one Graph call."""
        version, rest = split_version(path)
        refuse_removed_habits(request)
        root = self.root_calls().get("/".join(rest))
        if root is not None:
            if request.method != "GET":
                raise no_such_object(request.method, rest[0])
            return json_answer(root(request))
        if not rest:
            raise graph_error(2500, message="Unknown path components: /")
        return self._node_call(request, version=version, key=rest[0], edge="/".join(rest[1:]))

    def failure(self, status: int) -> object:
        """Return Graph's body for too many calls and for a failure of the service."""
        return graph_error(80007 if status == HTTPStatus.TOO_MANY_REQUESTS else 2).body

    def refusal(self, code: int | str) -> Refused:
        """Return Graph's refusal with this code."""
        return graph_error(int(code), "Planned by a fault of the sandbox.", product=self.product)

    def refuse_field(self, problem: FieldProblem) -> Refused:
        """Return the refusal for a wrong field; a product with codes of its own overrides this."""
        return graph_error(100, message=problem.reason)

    def _node_call(self, request: Request, *, version: str, key: str, edge: str) -> Response:
        caller = self.tokens.caller(request)
        found = self.find_node(key)
        if found is None:
            raise no_such_object(request.method, key)
        kind, node = found
        entry = self._operations.get((request.method, kind, edge))
        if entry is None:
            raise no_such_object(request.method, key)
        self._check_caller(request, entry=entry, caller=caller, node=node, key=key)
        query = check_query(request, allowed=entry.query)
        call = GraphCall(
            request=request, version=version, caller=caller, node=node, query=query, body=self._body(request, entry)
        )
        answer = entry.handler(call)
        return answer if isinstance(answer, Response) else json_answer(answer, headers=_usage(node))

    def _check_caller(self, request: Request, *, entry: Operation, caller: Caller, node: Document, key: str) -> None:
        if entry.app:
            if caller.token is not None or caller.app["id"] != key:
                raise graph_error(200, message="This method must be called with an app access token.")
            return
        if not any(caller.sees(target) for target in node["targets"]):
            raise no_such_object(request.method, key)
        if entry.scopes and not any(caller.may(scope) for scope in entry.scopes):
            if "messaging" in entry.scopes[0]:
                raise graph_error(10)
            raise graph_error(200, message=f"Requires {entry.scopes[0]} permission to manage the object")

    def _body(self, request: Request, entry: Operation) -> dict[str, Any]:
        if entry.body is None:
            if request.method != "GET" and not request.mimetype.startswith("multipart/") and request.get_data():
                raise graph_error(100, message="This call takes no body.")
            return {}
        body = json_object(request, optional=entry.body_optional)
        try:
            if body or not entry.body_optional:
                entry.body(body, "")
        except FieldProblem as problem:
            raise self.refuse_field(problem) from problem
        return body


def _usage(node: Document) -> dict[str, str]:
    share = {"call_count": 1, "total_cputime": 1, "total_time": 1}
    headers = {"X-App-Usage": json.dumps(share, separators=(",", ":"))}
    if node["targets"]:
        entry = {"type": "whatsapp", **share, "estimated_time_to_regain_access": 0}
        headers["X-Business-Use-Case-Usage"] = json.dumps({node["targets"][0]: [entry]}, separators=(",", ":"))
    return headers


def split_version(path: str) -> tuple[str, list[str]]:
    """Return the version and the rest of the path; :raises Refused: no version, an ended one, an unknown one."""
    first, *rest = [part for part in path.split("/") if part] or [""]
    if first in VERSIONS:
        return first, rest
    if re.fullmatch(r"v\d+\.\d+", first) and int(first[1:].partition(".")[0]) < int(VERSIONS[0][1:].partition(".")[0]):
        raise graph_error(2635)
    if re.fullmatch(r"v\d+\.\d+", first):
        raise graph_error(2500, message=f"Unknown path components: /{first}")
    # Graph would answer with the version of the App Dashboard; the card says that a caller must always name one.
    raise graph_error(
        2635, message="This call names no API version; the sandbox wants one, such as v26.0, in the path."
    )


def refuse_removed_habits(request: Request) -> None:
    """:raises Refused: the call uses what v26.0 removed everywhere."""
    for name in REMOVED_QUERY:
        if name in request.args:
            raise graph_error(100, message=f"The parameter {name} is no longer supported.")
    for name in REMOVED_HEADERS:
        if name in request.headers:
            raise graph_error(100, message=f"The header {name} is no longer supported.")


def check_query(request: Request, *, allowed: frozenset[str]) -> dict[str, str]:
    """Return the query without the proof; :raises Refused: an unknown or repeated parameter."""
    for name in request.args:
        if name not in allowed | QUERY_OF_ALL:
            raise graph_error(100, message=f'Unexpected key "{name}" on the query.')
        if len(request.args.getlist(name)) > 1:
            raise graph_error(100, message=f'The query names "{name}" twice.')
    return {name: value for name, value in request.args.items() if name not in QUERY_OF_ALL}


def json_object(request: Request, *, optional: bool) -> dict[str, Any]:
    """Return the JSON object of the body; :raises Refused: it is none."""
    raw = request.get_data()
    if not raw and optional:
        return {}
    if request.mimetype != "application/json":
        raise graph_error(100, message="The body must be sent as application/json.")
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise graph_error(100, message="The body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise graph_error(100, message="The body must be a JSON object.")
    return body


def choose_fields(call: GraphCall, values: Mapping[str, object], *, default: Sequence[str], node: str) -> Document:
    """Return the asked fields and always the id; :raises Refused: a field does not exist."""
    asked = [name.strip() for name in call.query["fields"].split(",")] if call.query.get("fields") else list(default)
    for name in asked:
        if name not in values:
            raise graph_error(100, message=f"Tried accessing nonexistent field ({name}) on node type ({node})")
    return {name: values[name] for name in asked if values[name] is not None} | {"id": values["id"]}


def page(call: GraphCall, entries: Sequence[Document], *, key: str = "id", base_url: str = "") -> Document:
    """Return one page of a list by cursors; `limit` is 25 unless asked, at most 100."""
    limit_text = call.query.get("limit", PAGE_DEFAULT)
    if not limit_text.isdigit() or not 1 <= int(limit_text) <= PAGE_MOST:
        raise graph_error(100, message="Param limit must be a number between 1 and 100.")
    start = 0
    if call.query.get("after"):
        known = [cursor(entry[key]) for entry in entries]
        if call.query["after"] not in known:
            raise graph_error(100, message="The cursor after is not valid.")
        start = known.index(call.query["after"]) + 1
    chosen = list(entries[start : start + int(limit_text)])
    answer: Document = {"data": chosen}
    if chosen:
        answer["paging"] = {"cursors": {"before": cursor(chosen[0][key]), "after": cursor(chosen[-1][key])}}
        if start + len(chosen) < len(entries):
            query = urlencode({**call.query, "limit": limit_text, "after": cursor(chosen[-1][key])})
            answer["paging"]["next"] = f"{base_url}{call.request.path}?{query}"
    return answer


def cursor(key: str) -> str:
    """Return the opaque mark of an entry."""
    return "QVFI" + key.encode().hex()
