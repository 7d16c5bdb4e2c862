"""
Setting the search path once for a series of statements, instead of before each.

django-tenants sends `SET search_path` before every statement, half of all round trips of a delivery. Its own remedy,
TENANT_LIMIT_SET_CALLS, is global and stays off (RELIABILITY section 4, rule 5): a rollback that the library does not
see takes the path back. Here the same is done for a block of a worker, whose code has no SQL for transactions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tenants.connection import tenant_connection


@contextmanager
def search_path_set_once() -> Iterator[None]:
    """
    Set the path with the first statement of the block, and again after whatever may have changed it.

    The library forgets that it was set when another organization is entered or left, at each rollback, to a savepoint
    too, and when the connection is closed. Blocks are not nested.
    """
    connection = tenant_connection()
    set_now = connection._handle_search_path

    def set_if_unknown(cursor: Any = None) -> None:
        if connection.search_path_set_schemas is None:
            set_now(cursor)

    connection.search_path_set_schemas = None
    connection._handle_search_path = set_if_unknown
    try:
        yield
    finally:
        del connection._handle_search_path
