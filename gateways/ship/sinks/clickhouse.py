"""ClickHouse over HTTP: a batch is one INSERT of rows as JSON objects.

A block below ClickHouse's own bound is inserted as a whole or not at all, and a replicated table takes one
that comes again under the same token once. `key_column` makes redelivered events tellable in any table.
"""

from __future__ import annotations

import hashlib
import re
from typing import Literal
from urllib.parse import urlencode

from pydantic import Field, field_validator

from gateways.pipeline.batch import Batch
from gateways.pipeline.identity import event_id
from gateways.pipeline.refusal import refusal
from gateways.pipeline.sink import Fate, Outcome
from gateways.service.values import Bytes
from gateways.ship.sinks.documents import document
from gateways.ship.sinks.http_answers import Answer
from gateways.ship.sinks.http_base import HttpRequest, HttpSinkBase
from gateways.ship.sinks.http_settings import HttpSinkSettings
from nsqgw.message import Message

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?")
_SETTING = re.compile(r"[a-z][a-z0-9_]*")

# The server's error codes; all others are judged by the HTTP status.
_CODES = {
    **dict.fromkeys((159, 202, 209, 210, 241, 242, 252, 285, 319, 999), Fate.RETRY),
    **dict.fromkeys((6, 26, 27, 38, 41, 53, 69, 72, 117), Fate.REJECTED),
    **dict.fromkeys((16, 47, 60, 62, 81, 115, 192, 193, 194, 497, 516), Fate.BLOCKED),
}


class ClickhouseSettings(HttpSinkSettings):
    """A server, a table in it, and how rows come to be; user and password as for any sink over HTTP."""

    type: Literal["clickhouse"] = "clickhouse"
    table: str = Field(description="TABLE or DATABASE.TABLE")
    time_column: str = Field(default="", description="filled with the time of publishing (ns) if absent")
    key_column: str = Field(default="", description="filled with the event's key if absent")
    settings: dict[str, str] = Field(
        default={"input_format_skip_unknown_fields": "1", "date_time_input_format": "best_effort"},
        description="ClickHouse's own settings for the INSERT",
    )
    max_events: int = Field(default=100_000, gt=0, description="rows of one INSERT")
    max_bytes: Bytes = Field(default=50_000_000, gt=0, description="of one INSERT, uncompressed")

    @field_validator("table")
    @classmethod
    def _check_table(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError(f"table {value!r} is no name: write TABLE or DATABASE.TABLE")
        return value

    @field_validator("settings")
    @classmethod
    def _check_settings(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not _SETTING.fullmatch(name):
                raise ValueError(f"setting {name!r} is none of ClickHouse's")
        if value.get("async_insert", "0") != "0" and value.get("wait_for_async_insert", "1") == "0":
            raise ValueError("wait_for_async_insert = 0 loses what cannot be stored: leave it out")
        return value

    def make(self, concurrency: int) -> ClickhouseSink:
        """The sink, with at most `concurrency` batches at once."""
        return ClickhouseSink(self, concurrency)


class ClickhouseSink(HttpSinkBase):
    """A row is one line."""

    kind = "clickhouse"
    health = HttpRequest(b"", method="GET", path="/ping")

    def __init__(self, settings: ClickhouseSettings, concurrency: int) -> None:
        super().__init__(settings, concurrency)
        self._settings = settings
        self.max_events = settings.max_events
        self.max_bytes = settings.max_bytes

    def encode(self, message: Message) -> bytes:
        """The object; a body that is none is the text of a `message` column."""
        added: dict[str, object] = {}
        if self._settings.time_column:
            added[self._settings.time_column] = message.timestamp
        if self._settings.key_column:
            added[self._settings.key_column] = event_id(message)
        return document(message, added)

    def request(self, batch: Batch, place: str) -> HttpRequest:
        """The rows in the body, the statement in the query."""
        keys = "\n".join([event_id(message) for message in batch.messages])
        query = {
            "query": f"INSERT INTO {self._settings.table} FORMAT JSONEachRow",
            "insert_deduplication_token": hashlib.sha256(keys.encode()).hexdigest(),
            "wait_end_of_query": "1",  # else a status of 200 could come before an error
            **self._settings.settings,
        }
        return HttpRequest(b"\n".join(batch.events) + b"\n", path=f"/?{urlencode(query)}")

    def judge(self, batch: Batch, answer: Answer) -> Outcome:
        """The code in the header says more than the status."""
        code = answer.headers.get("X-ClickHouse-Exception-Code")
        outcome = super().judge(batch, answer)
        if code is None:
            return outcome
        number = int(code) if code.isascii() and code.isdigit() else 0
        words = f"{answer.summary}, ClickHouse's error {code[:10]}"
        reason = refusal(words, status=answer.status, code=code[:10])
        fate = Fate.RETRY if outcome.fate is Fate.CONFIRMED else outcome.fate
        return Outcome(_CODES.get(number, fate), reason, outcome.retry_after)
