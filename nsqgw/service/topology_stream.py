"""A journal of topology events over HTTP: server-sent events or WebSocket, on a connection handed over.

Each reader has a place in the journal and a task that writes from there; what it has not taken waits in the
journal, once for all. A reader that falls out of it, or does not read for a while, is cut: nobody waits for
it, and it goes on with a snapshot when it comes back. WebSocket needs the extra `gateways`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from tornado.iostream import IOStream, StreamClosedError

from nsqgw.service.origin import OriginPolicy
from nsqgw.service.topology_dialects import Dialect, EventStream, websocket
from nsqgw.topology.events import Position
from nsqgw.topology.journal import Journal
from nsqgw.topology.reader import JournalReader

logger = logging.getLogger(__name__)

MAX_READERS = 1000
HEARTBEAT = 10.0
"""Seconds without an event after which a sign of life is sent."""
WRITE_TIMEOUT = 10.0
"""Seconds a reader may take for what is written to it before it is cut."""

_FAREWELL_TIMEOUT = 0.5
_READ_CHUNK = 64 * 1024


class Refused(Exception):
    """The stream is not given; `status` is the answer's, the text says why."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class StreamRequest:
    """A GET for the stream: its target and headers, which are looked up whatever their case."""

    target: str
    headers: Mapping[str, str]
    last_event_id: str | None = None
    """From the query, for those that cannot set the header Last-Event-ID."""


class TopologyStreams:
    """Everybody who reads `journal` over HTTP. `close` ends them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._origins = OriginPolicy()
        self._tasks: set[asyncio.Task[None]] = set()
        self.cut = 0
        """Readers that were too slow."""

    @property
    def readers(self) -> int:
        """Those connected now."""
        return len(self._tasks)

    def check(self, request: StreamRequest) -> Dialect:
        """How to speak to who asks; Refused when there is no room, or it may not, or makes no sense.

        Pages of another origin may neither read the stream (no CORS header lets them) nor open a WebSocket.
        """
        headers = request.headers
        if len(self._tasks) >= MAX_READERS:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, f"there are {MAX_READERS} readers already")
        if not self._origins.permits(headers.get("Origin"), headers.get("Host", "")):
            raise Refused(HTTPStatus.FORBIDDEN, f"pages of {headers['Origin']} may not read the stream")
        if "websocket" not in headers.get("Upgrade", "").lower():
            return EventStream()
        try:
            return websocket(request.target, headers)
        except ModuleNotFoundError:
            text = "WebSocket needs the package websockets: pip install 'nsqgw[gateways]'"
            raise Refused(HTTPStatus.NOT_IMPLEMENTED, text) from None
        except ValueError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, f"the WebSocket handshake is malformed: {error}") from error

    def begin(self, stream: IOStream, request: StreamRequest, dialect: Dialect) -> None:
        """Serve the reader at the other end of `stream`, which is ours from now on."""
        text = request.headers.get("Last-Event-ID") or request.last_event_id or ""
        task = asyncio.get_running_loop().create_task(self._serve(stream, dialect, Position.parse(text)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End all streams; readers are told to come back where their protocol can say so."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, stream: IOStream, dialect: Dialect, position: Position | None) -> None:
        listening = asyncio.ensure_future(_listen(stream, dialect))
        telling = asyncio.ensure_future(self._tell(stream, dialect, position))
        try:
            await asyncio.wait({listening, telling}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            listening.cancel()
            telling.cancel()
            for result in await asyncio.gather(listening, telling, return_exceptions=True):
                _report(result)
            with contextlib.suppress(StreamClosedError, asyncio.TimeoutError):
                await _write(stream, dialect.farewell(), _FAREWELL_TIMEOUT)
            stream.close()

    async def _tell(self, stream: IOStream, dialect: Dialect, position: Position | None) -> None:
        try:
            await _write(stream, dialect.opening())
            with JournalReader(self._journal, position) as reader:
                entries = await reader.read(0.0)
                missed_before = reader.missed
                while reader.missed == missed_before:
                    await _write(stream, dialect.events(entries) if entries else dialect.heartbeat())
                    entries = await reader.read(HEARTBEAT)
        except asyncio.TimeoutError:
            pass
        self.cut += 1
        logger.warning("topology stream: a reader is too slow and was cut")


async def _listen(stream: IOStream, dialect: Dialect) -> None:
    """Until the reader leaves; what it says is answered, such as a ping, or of no interest."""
    while not dialect.closed:
        answer = dialect.received(await stream.read_bytes(_READ_CHUNK, partial=True))
        if answer:
            await _write(stream, answer)


async def _write(stream: IOStream, data: bytes, timeout: float | None = None) -> None:
    """Until the kernel has taken `data`; asyncio.TimeoutError when the reader does not let it."""
    written = stream.write(data)  # never cancelled: tornado would complain of that in the log
    await asyncio.wait({written}, timeout=WRITE_TIMEOUT if timeout is None else timeout)
    if not written.done():
        raise asyncio.TimeoutError
    written.result()


def _report(result: BaseException | None) -> None:
    """What ended one side of a stream: the reader's leave is no news, a mistake of ours is."""
    expected = (StreamClosedError, asyncio.TimeoutError, asyncio.CancelledError)
    if result is not None and not isinstance(result, expected):
        logger.error("topology stream failed", exc_info=result)
