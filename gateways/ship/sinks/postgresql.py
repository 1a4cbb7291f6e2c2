"""Rows of a PostgreSQL table, one an event; its key makes a second delivery of the same event do nothing.

A batch is one INSERT and so one transaction: confirmed is what was committed. With a cut connection nobody
knows, and the batch is sent again, which the key makes safe.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gateways.pipeline.batch import Batch
from gateways.pipeline.identity import event_id
from gateways.pipeline.refusal import refusal
from gateways.pipeline.sink import CONFIRMED, Fate, Outcome, Sink, SinkUnusable
from gateways.service.values import Seconds, Secret
from gateways.ship.sinks.outcomes import Failure, outcome_of
from gateways.ship.sinks.settings import SinkSettings
from nsqgw.deadline import within
from nsqgw.message import Message

if TYPE_CHECKING:
    import psycopg

_CLOSE_TIMEOUT = 1.0
_REJECTED_CLASSES = ("22", "23", "54")  # data, constraints other than our key, sizes beyond a limit
_BLOCKED_CLASSES = ("0A", "28", "3D", "3F", "42")  # rights, databases, schemas, tables and columns
_REFUSED_AT_LOGIN = re.compile(
    r"authentication failed|no pg_hba\.conf entry|does not exist|is not permitted|no password supplied"
)

Body = Literal["text", "jsonb", "bytea"]


class PostgresqlSettings(SinkSettings):
    """Rows of a table with the columns event_key (primary key), topic, ts, attempts and body."""

    type: Literal["postgresql"] = "postgresql"
    dsn: Secret = Field(description="`postgresql://user:password@host/database`, or `host=... dbname=...`")
    table: str = Field(
        default="nsq_events",
        pattern=r"^[A-Za-z_][\w$]{0,62}(\.[A-Za-z_][\w$]{0,62})?$",
        description="may be `schema.table`",
    )
    create_table: bool = Field(default=True, description="create it when it is missing")
    body: Body = Field(
        default="text", description="the column's type; text takes UTF-8 without NUL, jsonb only JSON"
    )
    connect_timeout: Seconds = Field(default=5.0, gt=0, le=60, description="for a connection, 2 s at least")

    def make(self, concurrency: int) -> Sink:
        """The sink, with a connection for each batch on its way."""
        return PostgresqlSink(self)


class PostgresqlSink:
    """Connections are made when they are needed, and kept; all are given up when one fails."""

    event_overhead = 0
    max_events = 0
    max_bytes = 0

    def __init__(self, settings: PostgresqlSettings) -> None:
        self._settings = settings
        self.name = "postgresql"
        self._where = f"postgresql table {settings.table}"
        self._idle: list[psycopg.AsyncConnection[Any]] = []
        self._inserts: set[asyncio.Task[Outcome]] = set()
        self._statement = _insert_statement(settings)

    async def open(self) -> None:
        """Nothing is sent: a server that is down at the start is waited for, as at any other time."""
        try:
            from psycopg.conninfo import conninfo_to_dict
        except ImportError as error:
            raise SinkUnusable("the sink needs psycopg: pip install 'nsqgw[postgresql]'") from error
        import psycopg

        try:
            parts = conninfo_to_dict(self._settings.dsn.get_secret_value())
        except psycopg.ProgrammingError:
            raise SinkUnusable(
                "the dsn cannot be read: write one such as postgresql://user:password@host/database"
            ) from None
        host = parts.get("host") or parts.get("hostaddr") or "localhost"
        self.name = f"postgresql {host}"
        self._where = (
            f"postgresql table {self._settings.table} of {parts.get('dbname') or 'default'} on {host}"
        )

    async def probe(self) -> None:
        """Log in. Raises SinkUnusable."""
        import psycopg

        try:
            self._idle.append(await self._connect())
        except psycopg.Error as error:
            raise SinkUnusable(f"{self._where}: {_failure(error)[1]}") from error

    def encode(self, message: Message) -> bytes:
        """The body itself."""
        return message.body

    async def send(self, batch: Batch) -> Outcome:
        """Insert the batch, in a task of its own: psycopg takes seconds to let go when it is cancelled."""
        insert = asyncio.create_task(self._send(batch))
        self._inserts.add(insert)
        insert.add_done_callback(self._inserts.discard)
        try:
            return await asyncio.shield(insert)
        except asyncio.CancelledError:
            insert.cancel()
            raise

    async def close(self) -> None:
        """Cut the inserts under way."""
        for insert in self._inserts:
            insert.cancel()
        if self._inserts:
            await asyncio.wait(self._inserts, timeout=_CLOSE_TIMEOUT)
        with contextlib.suppress(asyncio.TimeoutError):
            await within(_CLOSE_TIMEOUT, self._close_idle())

    def describe(self) -> str:
        return self._where

    # -- one batch

    async def _send(self, batch: Batch) -> Outcome:
        import psycopg

        bodies, refused = self._bodies(batch)
        indexes = list(bodies)
        if not indexes:
            return outcome_of(len(batch), refused)
        messages = [batch.messages[index] for index in indexes]
        try:
            try:
                await self._insert(messages, list(bodies.values()))
            except psycopg.errors.UndefinedTable:
                if not self._settings.create_table:
                    raise
                await self._create_table()
                await self._insert(messages, list(bodies.values()))
        except psycopg.Error as error:
            await self._close_idle()
            failure = _failure(error)
            if not refused:
                return Outcome(*failure)
            return outcome_of(len(batch), {**dict.fromkeys(indexes, failure), **refused})
        return outcome_of(len(batch), refused) if refused else CONFIRMED

    def _bodies(self, batch: Batch) -> tuple[dict[int, bytes | str], dict[int, Failure]]:
        """By their index: the bodies as the column takes them, and those that it cannot take."""
        if self._settings.body == "bytea":
            return dict(enumerate(batch.events)), {}
        bodies: dict[int, bytes | str] = {}
        refused: dict[int, Failure] = {}
        for index, event in enumerate(batch.events):
            try:
                bodies[index] = event.decode()
            except UnicodeDecodeError:
                refused[index] = (Fate.REJECTED, "the body is no UTF-8, and the column takes no other")
            else:
                if b"\0" in event:
                    del bodies[index]
                    refused[index] = (Fate.REJECTED, "the body has a NUL, which the column does not take")
        return bodies, refused

    async def _insert(self, messages: list[Message], bodies: list[bytes | str]) -> None:
        connection = self._idle.pop() if self._idle else await self._connect()
        try:
            await connection.execute(
                self._statement,
                (
                    [event_id(message) for message in messages],
                    [message.topic for message in messages],
                    [message.timestamp // 1000 for message in messages],
                    [message.attempts for message in messages],
                    bodies,
                ),
            )
        except BaseException:
            await connection.close()
            raise
        self._idle.append(connection)

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        import psycopg

        settings = self._settings
        connection = await psycopg.AsyncConnection.connect(
            settings.dsn.get_secret_value(),
            autocommit=True,
            connect_timeout=max(2, round(settings.connect_timeout)),  # libpq takes whole seconds, from 2 on
            client_encoding="utf8",
            application_name="nsqgw ship",
        )
        try:
            # Committed must mean durable; a role or database may say otherwise.
            await connection.execute(
                "SELECT set_config('synchronous_commit', 'on', false)"
                " WHERE current_setting('synchronous_commit') = 'off'"
            )
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _create_table(self) -> None:
        from psycopg.errors import DuplicateObject, DuplicateTable, UniqueViolation

        connection = await self._connect()
        try:
            # Despite its IF NOT EXISTS, one of two that create it at once fails.
            with contextlib.suppress(DuplicateTable, DuplicateObject, UniqueViolation):
                await connection.execute(_create_statement(self._settings))
        finally:
            await connection.close()

    async def _close_idle(self) -> None:
        while self._idle:
            await self._idle.pop().close()


def _quoted(table: str) -> str:
    return ".".join(f'"{part}"' for part in table.split("."))


def _insert_statement(settings: PostgresqlSettings) -> bytes:
    element = "bytea" if settings.body == "bytea" else "text"
    # The settings take no table that is more than a name.
    return (
        f"INSERT INTO {_quoted(settings.table)} (event_key, topic, ts, attempts, body)"  # noqa: S608
        " SELECT event_key, topic, timestamptz 'epoch' + us * interval '1 microsecond', attempts,"
        f" body::{settings.body}"
        f" FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::int[], %s::{element}[])"
        " AS event (event_key, topic, us, attempts, body)"
        " ON CONFLICT (event_key) DO NOTHING"
    ).encode()


def _create_statement(settings: PostgresqlSettings) -> bytes:
    return (
        f"CREATE TABLE IF NOT EXISTS {_quoted(settings.table)} (event_key text PRIMARY KEY,"
        " topic text NOT NULL, ts timestamptz NOT NULL, attempts integer NOT NULL,"
        f" body {settings.body} NOT NULL)"
    ).encode()


def _failure(error: psycopg.Error) -> Failure:
    """What an error means for the whole batch, by the class of its SQLSTATE."""
    lines = (error.diag.message_primary or str(error) or type(error).__name__).splitlines()
    state = error.sqlstate
    if state is None:  # no connection, or none any more
        fate = Fate.BLOCKED if _REFUSED_AT_LOGIN.search(str(error)) else Fate.RETRY
        return fate, lines[0]
    if state.startswith(_REJECTED_CLASSES):
        return Fate.REJECTED, refusal(f"{lines[0]} (SQLSTATE {state})", code=state)
    fate = Fate.BLOCKED if state.startswith(_BLOCKED_CLASSES) else Fate.RETRY
    return fate, f"{lines[0]} (SQLSTATE {state})"
