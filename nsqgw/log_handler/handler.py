"""The logging handler: puts records into the backlog of this process, and has them delivered."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterable
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nsqgw.config import ProducerConfig
from nsqgw.connection.address import address_list
from nsqgw.errors import Closed, ConfigError, MessageTooBig
from nsqgw.instrument import OnFact, to_logging
from nsqgw.log_handler.backlog import Backlog
from nsqgw.log_handler.complaint import complain
from nsqgw.log_handler.delivery import BatchLimits, Delivery
from nsqgw.log_handler.formatter import JsonFormatter
from nsqgw.log_handler.spool import Spool
from nsqgw.producer import Producer
from nsqgw.producer.shared import default_addresses
from nsqgw.producer.thread import ProducerThread
from nsqgw.protocol.names import check_topic

_OWN = "nsqgw"
_END_TIMEOUT = 2.0


@dataclass(frozen=True, slots=True)
class NsqHandlerStats:
    """A handler's figures in this process: records confirmed, dropped, in memory; bytes in the spool."""

    published: int
    dropped: int
    waiting: int
    spooled_bytes: int


class NsqHandler(logging.Handler):
    """Publishes log records to `topic`, in batches, from a background thread; logging never waits for nsqd.

    nsqd_tcp_addresses  by default those in NSQD_TCP_ADDRESS, or 127.0.0.1:4150
    spool_dir           where records wait while nsqd is away, also over restarts of the program; processes
                        may share it. None: they wait in memory, and are lost when the program ends
    spool_max_bytes     the most of them on disk, for each process
    max_memory_bytes    the most of them in memory
    batch_max_messages, batch_max_bytes, batch_max_age
                        a batch goes out at so many records, bytes, or seconds after its first
    flush_timeout       seconds that `flush` and `close` may take
    config, on_fact, options  as for `Producer`

    Delivery is at least once, in the order of logging. A record that finds memory full is dropped: without
    a spool, when nsqd is away for long; with one, when that is full, too, or the disk cannot keep up. How
    many those were is told in a record at the place where they are missing, and by `stats`.

    Records are formatted as `JsonFormatter` does, unless another formatter is set. Those of nsqgw itself
    (loggers `nsqgw` and below) and of the publishing thread are left out: each might cause the next.

    The thread starts, and what an earlier process left in the spool is delivered, with the first record.
    After a fork the child starts anew; records that wait then are the parent's to deliver.
    """

    def __init__(
        self,
        topic: str,
        nsqd_tcp_addresses: Iterable[str] | None = None,
        *,
        level: int | str = logging.NOTSET,
        spool_dir: str | os.PathLike[str] | None = None,
        spool_max_bytes: int = 256 * 1024 * 1024,
        max_memory_bytes: int = 8 * 1024 * 1024,
        batch_max_messages: int = 500,
        batch_max_bytes: int = 1024 * 1024,
        batch_max_age: float = 0.25,
        flush_timeout: float = 5.0,
        config: ProducerConfig | None = None,
        on_fact: OnFact = to_logging,
        **options: Any,
    ) -> None:
        super().__init__(level)
        _check_positive(spool_max_bytes=spool_max_bytes, max_memory_bytes=max_memory_bytes)
        _check_positive(batch_max_messages=batch_max_messages, batch_max_bytes=batch_max_bytes)
        _check_positive(batch_max_age=batch_max_age, flush_timeout=flush_timeout)
        self.topic = check_topic(topic)
        self.formatter = JsonFormatter()
        if nsqd_tcp_addresses is None and "lookupd_http_addresses" not in options:
            nsqd_tcp_addresses = default_addresses()
        addresses = address_list("nsqd_tcp_addresses", nsqd_tcp_addresses or ())
        self._make = partial(Producer, addresses, config=config, on_fact=on_fact, **options)
        self._max_message_size = self._make().config.max_message_size
        self._spool = None if spool_dir is None else _usable(Path(spool_dir))
        self._spool_max_bytes = spool_max_bytes
        self._max_memory_bytes = max_memory_bytes
        self._limits = BatchLimits(batch_max_messages, batch_max_bytes, batch_max_age)
        self._flush_timeout = flush_timeout
        self._closed = False
        # One life for each process, by pid: see BlockingProducer.
        self._lives: dict[int, _Life] = {}
        self._beginning: int | None = None
        self._told_closed = False

    # -- for logging

    def filter(self, record: logging.LogRecord) -> Any:
        """Leaves out nsqgw's own records. Here, since `handle` locks next: the publishing thread must not."""
        if record.name == _OWN or record.name.startswith(f"{_OWN}."):
            return False
        life = self._lives.get(os.getpid())
        if life is not None and life.thread.inside:
            return False
        return super().filter(record)

    def emit(self, record: logging.LogRecord) -> None:
        """Take the record, or count it as dropped."""
        try:
            # An empty line is a record, too, but nsqd takes no empty message.
            body = self.format(record).encode("utf-8", "backslashreplace") or b" "
            life = self._life()
            if life is None:
                return
            if len(body) > self._max_message_size:
                life.backlog.drop(1)
                text = f"the record has {len(body)} bytes, max_message_size is {self._max_message_size}"
                raise MessageTooBig(text)
            life.add(body)
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001 - logging's way: told on stderr, unless logging.raiseExceptions is off
            self.handleError(record)

    def flush(self, timeout: float | None = None) -> None:
        """Wait until all records so far are confirmed or in the spool, at most `timeout` seconds."""
        life = self._lives.get(os.getpid())
        if life is not None and not life.thread.inside:
            life.flush(self._flush_timeout if timeout is None else timeout)

    def close(self) -> None:
        """Flush, then end; what is left goes to the spool, or is lost and said. Later records are lost."""
        self.acquire()  # every record up to now is in the backlog, later ones are told
        closed, self._closed = self._closed, True
        self.release()
        life = self._lives.get(os.getpid())
        if not closed and life is not None:
            life.close(self._flush_timeout)
        super().close()

    @property
    def stats(self) -> NsqHandlerStats:
        """Figures up to now, of this process."""
        life = self._lives.get(os.getpid())
        if life is None:
            return NsqHandlerStats(0, 0, 0, 0)
        backlog = life.backlog
        return NsqHandlerStats(backlog.confirmed, backlog.dropped, backlog.count, backlog.spooled)

    # -- the life in this process

    def _life(self) -> _Life | None:
        """What takes the record, if anything does.

        Called by `emit` under the handler's lock, which logging makes anew in a forked child.
        """
        pid = os.getpid()
        life = self._lives.get(pid)
        if self._closed:
            if life is not None:
                life.backlog.drop(1)
            self._tell_closed()
            return None
        if life is None and self._beginning != pid:  # asyncio logs the beginning of a loop
            self._beginning = pid
            for inherited in self._lives.values():
                inherited.disinherit()
            life = self._lives[pid] = _Life(self._make(), self._backlog(), self.topic, self._limits)
            life.begin(self._open_spool)
        return life

    def _backlog(self) -> Backlog:
        return Backlog(self._max_memory_bytes, self._tell_dropped)

    def _open_spool(self) -> Spool | None:
        return None if self._spool is None else Spool(self._spool, self._spool_max_bytes)

    def _tell_dropped(self, count: int) -> bytes:
        text = "%d log records were dropped: there was no room for them, or nsqd refused them"
        record = logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (count,), None)
        return self.format(record).encode("utf-8", "backslashreplace") or b" "

    def _tell_closed(self) -> None:
        if not self._told_closed:
            self._told_closed = True
            complain(f"records for topic {self.topic} come after their handler was closed, and are lost")


class _Life:
    """Backlog and delivery in one process, and the thread they run in."""

    def __init__(self, producer: Producer, backlog: Backlog, topic: str, limits: BatchLimits) -> None:
        self.backlog = backlog
        self.thread = ProducerThread(producer, "nsqgw-log-handler")
        self._delivery = Delivery(topic, backlog, limits)
        self._limits = limits
        self._running: asyncio.Task[None] | None = None

    def begin(self, open_spool: Callable[[], Spool | None]) -> None:
        """Deliver from now on, first of all what is in the spool."""
        self.thread.submit(partial(self._begin, open_spool))

    def add(self, body: bytes) -> None:
        """Take a record; wake the thread only when that changes what it has to do."""
        count, size, grown = self.backlog.add(body)
        marks = (self._limits.max_bytes, self.backlog.half)
        if count in (1, self._limits.max_messages) or any(size - grown < mark <= size for mark in marks):
            self.thread.call_soon(self._delivery.wake)

    def flush(self, timeout: float) -> None:
        """Until all is confirmed or in the spool; it returns at the latest after `timeout` seconds."""
        mark = self.backlog.hurry()
        self.thread.call_soon(self._delivery.wake)
        self.backlog.wait_left(mark, timeout)

    def close(self, timeout: float) -> None:
        """Flush, save the rest, end the thread."""
        if self.thread.inside:
            raise RuntimeError("the handler cannot be closed on its own thread, as from on_fact")
        self.flush(timeout)
        with contextlib.suppress(Closed, NotInTime):
            self.thread.submit(self._end).result(_END_TIMEOUT)
        self.thread.stop(0.0)

    def disinherit(self) -> None:
        """In a forked child: let go of the parent's spool, so that its lock ends with the parent."""
        self.backlog.leave_spool()

    async def _begin(self, open_spool: Callable[[], Spool | None], producer: Producer) -> None:
        try:
            self.backlog.use_spool(open_spool())
        except OSError as error:
            self.backlog.tell_spool_failed(error)
        self._running = asyncio.create_task(self._delivery.run(producer))
        self._running.add_done_callback(_tell_failure)

    async def _end(self, _producer: Producer) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
        self.backlog.close()


def _tell_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        complain(f"records are not published any more: {error!r}")


def _check_positive(**settings: float) -> None:
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise ConfigError(f"{name} = {value!r} is out of range: it must be a number above 0")


def _usable(directory: Path) -> Path:
    """`directory`, made if need be; ConfigError when no files can be made in it."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"spool_dir = {str(directory)!r} cannot be made: {error.strerror}") from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ConfigError(f"spool_dir = {str(directory)!r} cannot be written to")
    return directory
