"""Reading a stream of server-sent events for as long as it lasts; coming back is for the caller."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine
from tornado.iostream import IOStream, StreamClosedError

from nsqgw.config import HttpConfig
from nsqgw.deadline import within
from nsqgw.errors import BadAnswer, ConnectionClosed, DeadlineExceeded, HttpError, NSQError
from nsqgw.http.address import HttpAddress
from nsqgw.http.answer import nothing
from nsqgw.http.call import Call, Request, conversation
from nsqgw.http.event_stream import EventStreamParser, ServerSentEvent
from nsqgw.http.exchange import Exchange

_ENDLESS = 2**62
_MAX_HEADER_BYTES = 64 * 1024

OnEvent = Callable[[ServerSentEvent], None]


class EventSource(Exchange):
    """Reads event streams. `silence` is how many seconds may pass without a byte, comments included."""

    def __init__(self, config: HttpConfig, silence: float) -> None:
        super().__init__(config)
        self._limits = config
        self._silence = silence

    async def read(self, address: HttpAddress, path: str, last_event_id: str, on_event: OnEvent) -> None:
        """Call `on_event` for each event until the stream ends, which it does by raising.

        HttpError for a refusal; ConnectionFailed, ConnectionClosed, DeadlineExceeded or BadAnswer when there
        is no stream, or none any more; whatever `on_event` raises.
        """
        request = next(conversation(Call("GET", path, nothing), address, self._limits.auth_secret))
        try:
            await self._converse(request, last_event_id, on_event)
        except NSQError:
            raise
        except asyncio.TimeoutError as error:
            text = f"{request.what}: no connection within {self._limits.timeout:g} s"
            raise DeadlineExceeded(text) from error
        except (StreamClosedError, OSError) as error:
            raise ConnectionClosed(f"{request.what}: connection lost: {error}") from error

    async def _converse(self, request: Request, last_event_id: str, on_event: OnEvent) -> None:
        stream = await within(self._limits.timeout, self._connect(request))
        try:
            limits = HTTP1ConnectionParameters(
                no_keep_alive=True, max_header_size=_MAX_HEADER_BYTES, max_body_size=_ENDLESS
            )
            connection = HTTP1Connection(stream, True, limits)
            headers = {**request.headers, "Host": request.address.origin, "Accept": "text/event-stream"}
            if last_event_id:
                headers["Last-Event-ID"] = last_event_id
            connection.write_headers(
                RequestStartLine("GET", request.target, "HTTP/1.1"), HTTPHeaders(headers)
            )
            connection.finish()
            reader = _StreamReader(
                request.what, EventStreamParser(self._limits.max_answer_bytes), on_event, stream
            )
            await self._listen(connection, reader)
        finally:
            stream.close()

    async def _listen(self, connection: HTTP1Connection, reader: _StreamReader) -> None:
        """Until the stream ends, or nothing was heard for too long."""
        reading = asyncio.ensure_future(connection.read_response(reader))
        try:
            while not reading.done():
                heard = reader.heard
                await asyncio.wait({reading}, timeout=self._silence)
                if not reading.done() and reader.heard == heard:
                    raise DeadlineExceeded(f"{reader.what}: nothing was heard for {self._silence:g} s")
        finally:
            reading.cancel()
            await asyncio.wait({reading})
        if reader.error is not None:
            raise reader.error
        raise ConnectionClosed(f"{reader.what}: the stream ended")


class _StreamReader(HTTPMessageDelegate):
    """What tornado parses, as events. An error is kept: tornado would log what is raised here."""

    def __init__(self, what: str, parser: EventStreamParser, on_event: OnEvent, stream: IOStream) -> None:
        self.what = what
        self.heard = 0
        self.error: Exception | None = None
        self._parser = parser
        self._on_event = on_event
        self._stream = stream

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        assert isinstance(start_line, ResponseStartLine)
        self.heard += 1
        if start_line.code != 200:
            self._fail(HttpError(f"{self.what}: answered {start_line.code}", start_line.code))
        elif not headers.get("Content-Type", "").startswith("text/event-stream"):
            self._fail(BadAnswer(f"{self.what}: the answer is no event stream"))

    def data_received(self, chunk: bytes) -> None:
        self.heard += 1
        if self.error is not None:
            return
        try:
            for event in self._parser.feed(chunk):
                self._on_event(event)
        except Exception as error:  # noqa: BLE001 - raised again by `read`
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.error = error
        self._stream.close()
