"""
Fixed statements that run for every webhook: prepared once per connection, then one call into libpq each.

Django's and psycopg's cursors do much that these do not need, and under load they cost a fifth of the web process's CPU
(benchmarks/ingest.py). Everything that runs less often uses cursors. Inside a transaction these do too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, NoReturn
from uuid import UUID
from weakref import WeakKeyDictionary

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.pq import ExecStatus, Format

_PLACEHOLDER = re.compile(r"%\((\w+)\)s")


class _Kind(NamedTuple):
    """How a value travels in PostgreSQL's binary format, whose lengths are explicit: no text ends at a NUL."""

    oid: int
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    format: Format = Format.BINARY


def _oid(name: str) -> int:
    return psycopg.adapters.types[name].oid


def _encode_integer(value: int) -> bytes:
    return value.to_bytes(4, "big", signed=True)


def _decode_integer(value: bytes) -> int:
    return int.from_bytes(value, "big", signed=True)


def _encode_boolean(value: bool) -> bytes:
    return b"\x01" if value else b"\x00"


def _encode_json(value: str) -> bytes:
    return b"\x01" + value.encode()  # 1 is the version of jsonb's format


def _encode_time(value: datetime) -> bytes:
    return value.isoformat().encode()


def _not_read(value: bytes) -> NoReturn:
    raise TypeError("no statement of ours reads a column of this kind")


KINDS: Mapping[str, _Kind] = {
    "uuid": _Kind(_oid("uuid"), lambda value: value.bytes, lambda value: UUID(bytes=value)),
    "text": _Kind(_oid("text"), str.encode, bytes.decode),
    "bytes": _Kind(_oid("bytea"), bytes, bytes),
    "json": _Kind(_oid("jsonb"), _encode_json, _not_read),
    "integer": _Kind(_oid("int4"), _encode_integer, _decode_integer),
    "boolean": _Kind(_oid("bool"), _encode_boolean, lambda value: value == b"\x01"),
    "time": _Kind(_oid("timestamptz"), _encode_time, _not_read, Format.TEXT),
}
"""Kinds of parameters and columns by name."""

_prepared: WeakKeyDictionary[psycopg.Connection[Any], set[bytes]] = WeakKeyDictionary()


class Statement:
    """One statement with named parameters (`%(name)s`), their kinds, and the kinds of the columns it returns."""

    def __init__(self, name: str, sql: str, *, parameters: Mapping[str, str], columns: Sequence[str]) -> None:
        self.sql = sql
        self._name = name.encode()
        self._names = list(dict.fromkeys(_PLACEHOLDER.findall(sql)))
        self._numbered = _PLACEHOLDER.sub(lambda found: f"${self._names.index(found[1]) + 1}", sql).encode()
        self._kinds = [KINDS[parameters[name]] for name in self._names]
        self._formats = [kind.format for kind in self._kinds]
        self._columns = [KINDS[column] for column in columns]

    def first(self, values: Mapping[str, Any], *, over: BaseDatabaseWrapper) -> Sequence[Any] | None:
        """
        Run it and return the first row, None where there is none.

        :raises django.db.DatabaseError: it could not be run
        """
        if over.in_atomic_block:
            with over.cursor() as cursor:
                cursor.execute(self.sql, values)
                return cursor.fetchone()
        over.ensure_connection()
        with over.wrap_database_errors:
            return self.call(over.connection, values)

    def call(self, connection: psycopg.Connection[Any], values: Mapping[str, Any]) -> Sequence[Any] | None:
        """Run it over a bare connection, in whatever transaction that is; raises `psycopg.Error`."""
        self._prepare(connection)
        given = [values[name] for name in self._names]
        encoded = [
            None if value is None else kind.encode(value) for kind, value in zip(self._kinds, given, strict=True)
        ]
        result = connection.pgconn.exec_prepared(
            self._name,
            encoded,  # type: ignore[arg-type]  # psycopg's stub forgets that None is NULL here as in exec_params
            self._formats,
            Format.BINARY,
        )
        if result.status != ExecStatus.TUPLES_OK:
            raise psycopg.errors.error_from_result(result)
        if not result.ntuples:
            return None
        found = [result.get_value(0, at) for at in range(len(self._columns))]
        return [None if cell is None else kind.decode(cell) for kind, cell in zip(self._columns, found, strict=True)]

    def _prepare(self, connection: psycopg.Connection[Any]) -> None:
        done = _prepared.setdefault(connection, set())
        if self._name in done:
            return
        oids = [kind.oid for kind in self._kinds]
        result = connection.pgconn.prepare(self._name, self._numbered, oids)
        if result.status != ExecStatus.COMMAND_OK:
            raise psycopg.errors.error_from_result(result)
        done.add(self._name)
