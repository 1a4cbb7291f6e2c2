"""Syslog messages (RFC 5424) over TCP or TLS, each with its length before it (RFC 6587, RFC 5425).

Syslog has no acknowledgement. What comes nearest is the default here: each write is a connection of its own,
and confirmed when the receiver has read to its end and closed it in order. A receiver that dies before that
resets it, and the events are sent again. What it has read and not stored when it dies is lost: that no sender
of syslog can see.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import lru_cache
from typing import Literal

from pydantic import Field, field_validator

from gateways.pipeline.batch import Batch
from gateways.pipeline.identity import event_id
from gateways.pipeline.refusal import refusal
from gateways.pipeline.sink import Fate, Outcome, Sink, SinkUnusable
from gateways.service.values import Bytes, Seconds
from gateways.ship.sinks.base import ThreadSink
from gateways.ship.sinks.http_settings import TlsSettings
from gateways.ship.sinks.outcomes import outcome_of
from gateways.ship.sinks.settings import SinkSettings, TemplateText
from gateways.ship.template import MissingField, Template
from nsqgw.connection.tls import client_context
from nsqgw.errors import ConfigError
from nsqgw.message import Message
from nsqgw.service.settings import parse_address

FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "security", "console", "solaris-cron", "local0", "local1", "local2", "local3", "local4"),
    *("local5", "local6", "local7"),
)
SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")

_PORT, _TLS_PORT = 514, 6514
_CHUNK = 65536
_NO_RESET = (TimeoutError, BlockingIOError, ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLWantReadError)
_UNFIT = re.compile(r"[^\x21-\x7e]")


class SyslogSettings(SinkSettings):
    """Messages to one receiver."""

    type: Literal["syslog"] = "syslog"
    address: str = Field(description="host and port, by default 514; with TLS 6514")
    tls: TlsSettings | None = Field(default=None, description="an empty table does for TLS")
    facility: str = Field(
        default="user", pattern=f"^({'|'.join(FACILITIES)})$", description="of all messages, by name"
    )
    severity: str = Field(
        default="info", pattern=f"^({'|'.join(SEVERITIES)})$", description="of all messages, by name"
    )
    hostname: str = Field(default="", description="by default this machine's")
    app_name: TemplateText = Field(default="{topic}", description="a template")
    structured_data: bool = Field(
        default=True, description="add `[nsq@32473 topic=... key=...]` with the event's key"
    )
    framing: Literal["octet_counting", "newline"] = Field(
        default="octet_counting",
        description="newline is for receivers that know no other; line ends inside become #012",
    )
    max_length: Bytes = Field(default=8192, ge=480, description="of a message, its header included")
    oversize: Literal["reject", "truncate"] = Field(
        default="reject", description="what becomes of longer ones: dead letters, or cut"
    )
    confirm: Literal["closed", "sent"] = Field(
        default="closed",
        description="closed: when the receiver has read all and closed; sent: when the kernel has it",
    )
    linger: Seconds = Field(
        default=2.0, ge=0, le=30, description="with confirm sent: how long a reset is waited for"
    )
    timeout: Seconds = Field(
        default=10.0, gt=0, le=60, description="to connect, for each write, and for the receiver to close"
    )

    @field_validator("address")
    @classmethod
    def _check_address(cls, value: str) -> str:
        parse_address(value, default_port=_PORT)
        return value

    def make(self, concurrency: int) -> Sink:
        """The sink; its connections are one after the other, with all batches that wait."""
        return SyslogSink(self)


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a connection confirmed nothing; `unsure` when the receiver may have read some of it."""

    fate: Fate
    reason: str
    unsure: bool


class SyslogSink(ThreadSink):
    """See the module for what is confirmed."""

    event_overhead = 0

    def __init__(self, settings: SyslogSettings) -> None:
        super().__init__()
        self._settings = settings
        self._where = parse_address(
            settings.address, default_port=_TLS_PORT if settings.tls is not None else _PORT
        )
        self.name = f"syslog {self._where.host}"
        self._app_name = Template(settings.app_name)
        self._host = _header(settings.hostname or socket.gethostname(), 255)
        self._priority = FACILITIES.index(settings.facility) * 8 + SEVERITIES.index(settings.severity)
        self._context: ssl.SSLContext | None = None

    async def probe(self) -> None:
        """Connect and end in order, without a message. Raises SinkUnusable."""
        assert self._lane is not None, "the sink was not opened"
        failure = await self._lane.submit(lambda: self._send([]))
        if failure is not None:
            raise SinkUnusable(f"{self.describe()}: {failure.reason}")

    def encode(self, message: Message) -> bytes:
        """The whole frame."""
        settings = self._settings
        try:
            app_name = _header(self._app_name.render(message), 48)
        except MissingField:
            app_name = "-"
        data = "-"
        if settings.structured_data:
            data = f'[nsq@32473 topic="{message.topic}" key="{event_id(message)}"]'
        time = _timestamp(message.timestamp // 1000)
        head = f"<{self._priority}>1 {time} {self._host} {app_name} {os.getpid()} - {data} ".encode()
        body = message.body
        if settings.framing == "newline":
            body = body.replace(b"\n", b"#012")
        if settings.oversize == "truncate" and len(head) + len(body) > settings.max_length:
            body = _cut(body, settings.max_length - len(head))
        if settings.framing == "newline":
            return head + body + b"\n"
        return b"%d %s%s" % (len(head) + len(body), head, body)

    def describe(self) -> str:
        return f"syslog {'over TLS ' if self._settings.tls is not None else ''}at {self._where}"

    # -- in the thread

    def _open(self) -> None:
        if self._settings.tls is not None:
            try:
                self._context = client_context(self._settings.tls.config())
            except ConfigError as error:
                raise SinkUnusable(f"{self.describe()}: {error}") from error

    def _write(self, batches: Sequence[Batch]) -> list[Outcome]:
        refused = [self._too_long(batch) for batch in batches]
        frames = [
            event
            for batch, long in zip(batches, refused, strict=True)
            for index, event in enumerate(batch.events)
            if index not in long
        ]
        failure = self._send(frames) if frames else None
        outcomes = []
        for batch, long in zip(batches, refused, strict=True):
            failures = {index: (Fate.REJECTED, reason) for index, reason in long.items()}
            if failure is not None:
                failures = dict.fromkeys(range(len(batch)), (failure.fate, failure.reason)) | failures
            outcome = outcome_of(len(batch), failures)
            outcomes.append(
                replace(outcome, unsure=True) if failure is not None and failure.unsure else outcome
            )
        return outcomes

    def _too_long(self, batch: Batch) -> dict[int, str]:
        limit = self._settings.max_length + len(f"{self._settings.max_length} ")
        if max(map(len, batch.events)) <= limit:
            return {}
        return {
            index: refusal(
                f"a message of {len(event)} bytes, max_length is {self._settings.max_length}", "too_large"
            )
            for index, event in enumerate(batch.events)
            if len(event) > limit
        }

    def _send(self, frames: Sequence[bytes]) -> _Failure | None:
        """One connection; why it failed, None when its end was confirmed."""
        timeout = self._settings.timeout
        begun = False
        try:
            with contextlib.ExitStack() as open_sockets:
                connection = open_sockets.enter_context(
                    socket.create_connection((self._where.host, self._where.port), timeout)
                )
                if self._context is not None:
                    connection = open_sockets.enter_context(self._encrypted(connection, self._context))
                begun = True
                connection.sendall(b"".join(frames))
                self._end(connection)
        except ssl.SSLCertVerificationError as error:
            return _Failure(Fate.BLOCKED, f"its certificate is not accepted: {error.verify_message}", False)
        except ssl.SSLEOFError:
            return _Failure(Fate.RETRY, "it was cut off: the receiver did not end TLS", begun)
        except TimeoutError:
            return _Failure(Fate.RETRY, f"no answer within {timeout:g}s", begun)
        except OSError as error:
            return _Failure(Fate.RETRY, error.strerror or str(error), begun)
        return None

    def _encrypted(self, connection: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
        tls = self._settings.tls
        assert tls is not None, "there is a context for TLS only"
        return context.wrap_socket(connection, server_hostname=tls.server_name or self._where.host)

    def _end(self, connection: socket.socket) -> None:
        """Say that this is all, and wait for the receiver to say so, too.

        Over TLS that is its close_notify: an end of TCP alone is also what a cut connection looks like.
        """
        if self._settings.confirm == "sent":
            connection.settimeout(self._settings.linger)
            with contextlib.suppress(*_NO_RESET):
                if isinstance(connection, ssl.SSLSocket):
                    connection.unwrap()
                else:
                    connection.shutdown(socket.SHUT_WR)
                    connection.recv(_CHUNK)
            return
        if isinstance(connection, ssl.SSLSocket):
            with contextlib.suppress(ssl.SSLZeroReturnError):
                connection = connection.unwrap()
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(_CHUNK):
            pass  # a receiver has nothing to say

    def _close(self) -> None:
        """No connection is kept."""


@lru_cache(maxsize=4096)
def _timestamp(microseconds: int) -> str:
    seconds, fraction = divmod(microseconds, 1_000_000)
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction:06d}Z"


def _header(text: str, length: int) -> str:
    """A field of the header: printable ASCII without spaces, `-` for nothing (RFC 5424, 6)."""
    return _UNFIT.sub("_", text)[:length] or "-"


def _cut(body: bytes, length: int) -> bytes:
    """At most `length` bytes, cut between characters where it is UTF-8."""
    end = max(0, length)
    start = max(0, end - 3)
    while end > start and body[end] & 0xC0 == 0x80:
        end -= 1
    return body[:end]
