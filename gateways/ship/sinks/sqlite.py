"""Rows of an SQLite table, one an event; its key makes a second delivery of the same event do nothing.

One writer, one transaction for all batches that wait, on the disk when it is confirmed (WAL with
synchronous=FULL). A locked or full database is waited for; a file that was moved away is left alone and a new
one begun.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import Field

from gateways.pipeline.batch import Batch
from gateways.pipeline.identity import event_id
from gateways.pipeline.sink import CONFIRMED, Fate, Outcome, Sink, SinkUnusable
from gateways.service.values import Seconds
from gateways.ship.files.placing import sync_folder
from gateways.ship.sinks.base import ThreadSink
from gateways.ship.sinks.settings import PathText, SinkSettings

_MENDED_BY_A_PERSON = ("no such", "has no column", "readonly", "syntax error")


class SqliteSettings(SinkSettings):
    """Rows of a table with the columns event_key (primary key), topic, ts (ns), attempts and body.

    A body is TEXT when it is UTF-8 without NUL, else a BLOB. The table is created when it is missing.
    """

    type: Literal["sqlite"] = "sqlite"
    path: PathText = Field(min_length=1, description="of the database; its folder has to be there")
    table: str = Field(
        default="nsq_events", pattern=r"^[A-Za-z_]\w{0,62}$", description="created when it is missing"
    )
    busy_timeout: Seconds = Field(
        default=5.0, ge=0, le=20, description="how long another program may hold the database"
    )

    def make(self, concurrency: int) -> Sink:
        """The sink; its transactions are one after the other, whatever `concurrency`."""
        return SqliteSink(self)


class SqliteSink(ThreadSink):
    """Confirmed once the transaction is committed."""

    name = "sqlite"
    event_overhead = 0

    def __init__(self, settings: SqliteSettings) -> None:
        super().__init__()
        self._settings = settings
        self._path = os.path.abspath(settings.path)
        self._connection: sqlite3.Connection | None = None
        self._file: os.stat_result | None = None

    def describe(self) -> str:
        return f"sqlite table {self._settings.table} in {self._path}"

    def _open(self) -> None:
        try:
            self._connect()
        except (sqlite3.Error, OSError) as error:
            folder = os.path.dirname(self._path)
            remedy = "choose a database that this user may write"
            if not os.path.isdir(folder):
                remedy = f"create the folder {folder} first"
            raise SinkUnusable(f"cannot open {self._path}: {error}; {remedy}") from error

    def _write(self, batches: Sequence[Batch]) -> list[Outcome]:
        try:
            connection = self._connection if self._is_there() else None
            if connection is None:
                connection = self._connect()
            self._insert(connection, batches)
        except (sqlite3.Error, OSError) as error:
            self._close()
            return [Outcome(_fate(error), str(error))] * len(batches)
        return [CONFIRMED] * len(batches)

    def _insert(self, connection: sqlite3.Connection, batches: Sequence[Batch]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        # The settings take no table that is more than a name.
        statement = (
            f"INSERT INTO {self._settings.table} (event_key, topic, ts, attempts, body)"  # noqa: S608
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT (event_key) DO NOTHING"
        )
        for batch in batches:
            connection.executemany(statement, _rows(batch))
        connection.execute("COMMIT")

    def _connect(self) -> sqlite3.Connection:
        self._close()
        connection = sqlite3.connect(self._path, timeout=self._settings.busy_timeout, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {self._settings.table} (event_key TEXT PRIMARY KEY,"
                " topic TEXT NOT NULL, ts INTEGER NOT NULL, attempts INTEGER NOT NULL, body NOT NULL)"
            )
            sync_folder(os.path.dirname(self._path))
            self._file = os.stat(self._path)
        except (sqlite3.Error, OSError):
            connection.close()
            raise
        self._connection = connection
        return connection

    def _is_there(self) -> bool:
        """Whether the path still leads to the database that is open: SQLite would write on without a name."""
        try:
            return self._file is not None and os.path.samestat(os.stat(self._path), self._file)
        except FileNotFoundError:
            return False

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()  # which takes back a transaction under way
            self._connection = None


def _rows(batch: Batch) -> Iterator[tuple[str, str, int, int, str | bytes]]:
    for message, event in zip(batch.messages, batch.events, strict=True):
        body: str | bytes = event
        if b"\0" not in event:
            with contextlib.suppress(UnicodeDecodeError):
                body = event.decode()
        yield event_id(message), message.topic, message.timestamp, message.attempts, body


def _fate(error: Exception) -> Fate:
    """Busy, locked, full and broken disks are waited for; what is no database needs a person."""
    if isinstance(error, sqlite3.DataError):
        return Fate.REJECTED
    if isinstance(error, OSError):
        return Fate.RETRY
    if isinstance(error, sqlite3.OperationalError):
        return Fate.BLOCKED if any(word in str(error) for word in _MENDED_BY_A_PERSON) else Fate.RETRY
    return Fate.BLOCKED
