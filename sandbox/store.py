"""Keep what the stand-ins know in one SQLite file, so that a restart forgets nothing.

Documents are JSON objects addressed by (vendor, kind, id), with one extra column `owner` to list them by. Jobs are
work with a due time. Everything goes through one connection and one lock: the sandbox serves one developer.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Document = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    vendor TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, owner TEXT NOT NULL DEFAULT '', body TEXT NOT NULL,
    UNIQUE (vendor, kind, id)
);
CREATE INDEX IF NOT EXISTS documents_by_owner ON documents (vendor, kind, owner, seq);
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    due_at REAL NOT NULL, vendor TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, taken INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS jobs_by_due ON jobs (taken, due_at);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work; `attempts` counts the tries before this one."""

    id: int
    vendor: str
    name: str
    body: Document
    attempts: int


class Store:
    """The SQLite file. Methods may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        # A stand-in may lose its last second in a power cut; waiting for the disk at each message would cost more.
        self._connection.execute("PRAGMA synchronous=OFF")
        self._connection.execute("PRAGMA cache_size=-2000")
        self._connection.executescript(SCHEMA)
        self._connection.execute("UPDATE jobs SET taken = 0")

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the lock and commit all or nothing; may be nested."""
        with self.lock:
            self._depth += 1
            outermost = self._depth == 1
            if outermost:
                self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if outermost:
                    self._connection.execute("ROLLBACK")
                raise
            else:
                if outermost:
                    self._connection.execute("COMMIT")
            finally:
                self._depth -= 1

    def rows(self, sql: str, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        with self.lock:
            return self._connection.execute(sql, parameters).fetchall()

    def collection(self, vendor: str, kind: str) -> Collection:
        """Return the documents of one kind."""
        return Collection(store=self, vendor=vendor, kind=kind)

    def clear(self) -> None:
        """Forget every document and job."""
        with self.transaction():
            self.rows("DELETE FROM documents")
            self.rows("DELETE FROM jobs")

    def add_job(self, *, vendor: str, name: str, body: Document, due_at: float) -> None:
        """Write work down; `due_at` is Unix seconds."""
        self.rows(
            "INSERT INTO jobs (due_at, vendor, name, body) VALUES (?, ?, ?, ?)",
            (due_at, vendor, name, json.dumps(body)),
        )

    def take_job(self, *, now: float) -> Job | None:
        """Claim the job that is due longest, or return None."""
        found = self.rows(
            "UPDATE jobs SET taken = 1 WHERE id = (SELECT id FROM jobs WHERE taken = 0 AND due_at <= ?"
            " ORDER BY due_at, id LIMIT 1) RETURNING id, vendor, name, body, attempts",
            (now,),
        )
        if not found:
            return None
        job_id, vendor, name, body, attempts = found[0]
        return Job(id=job_id, vendor=vendor, name=name, body=json.loads(body), attempts=attempts)

    def finish_job(self, job: Job) -> None:
        """Remove a job that needs no further try."""
        self.rows("DELETE FROM jobs WHERE id = ?", (job.id,))

    def postpone_job(self, job: Job, *, due_at: float) -> None:
        """Give a claimed job back for a later try."""
        self.rows("UPDATE jobs SET taken = 0, attempts = attempts + 1, due_at = ? WHERE id = ?", (due_at, job.id))

    def next_due_at(self) -> float | None:
        """Return when the next unclaimed job is due, or None when there is none."""
        due: float | None = self.rows("SELECT min(due_at) FROM jobs WHERE taken = 0")[0][0]
        return due

    def waiting_jobs(self) -> int:
        """Count the jobs that are not finished."""
        count: int = self.rows("SELECT count(*) FROM jobs")[0][0]
        return count


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Documents of one vendor and kind, in the order they were first written."""

    store: Store
    vendor: str
    kind: str

    def get(self, key: str) -> Document | None:
        """Return the document, or None."""
        found = self.store.rows(
            "SELECT body FROM documents WHERE vendor = ? AND kind = ? AND id = ?", (self.vendor, self.kind, key)
        )
        return json.loads(found[0][0]) if found else None

    def put(self, key: str, body: Document, *, owner: str = "") -> Document:
        """Write the document under its key; an older one keeps its place in the order."""
        self.store.rows(
            "INSERT INTO documents (vendor, kind, id, owner, body) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (vendor, kind, id) DO UPDATE SET owner = excluded.owner, body = excluded.body",
            (self.vendor, self.kind, key, owner, json.dumps(body)),
        )
        return body

    def change(self, key: str, **values: Any) -> Document:
        """Replace some values of a document and return it; :raises KeyError: there is none."""
        with self.store.transaction():
            body = self.get(key)
            if body is None:
                raise KeyError(key)
            body.update(values)
            self.store.rows(
                "UPDATE documents SET body = ? WHERE vendor = ? AND kind = ? AND id = ?",
                (json.dumps(body), self.vendor, self.kind, key),
            )
            return body

    def delete(self, key: str) -> bool:
        """Remove the document; say whether it was there."""
        return bool(
            self.store.rows(
                "DELETE FROM documents WHERE vendor = ? AND kind = ? AND id = ? RETURNING id",
                (self.vendor, self.kind, key),
            )
        )

    def all(self, *, owner: str | None = None, last: int | None = None) -> list[Document]:
        """List the documents, oldest first: of one owner, and only the `last` ones, if asked."""
        where, parameters = "vendor = ? AND kind = ?", [self.vendor, self.kind]
        if owner is not None:
            where, parameters = where + " AND owner = ?", [*parameters, owner]
        limit = -1 if last is None else last
        found = self.store.rows(
            f"SELECT body FROM documents WHERE {where} ORDER BY seq DESC LIMIT ?",  # noqa: S608 - fixed texts only
            (*parameters, limit),
        )
        return [json.loads(body) for (body,) in reversed(found)]

    def keep_last(self, count: int) -> None:
        """Drop all but the newest documents, whatever their owner."""
        self.store.rows(
            "DELETE FROM documents WHERE vendor = ? AND kind = ? AND seq <= (SELECT seq FROM documents"
            " WHERE vendor = ? AND kind = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)",
            (self.vendor, self.kind, self.vendor, self.kind, count),
        )
