"""`POST /pub?id=c`: the body to NSQ; the answer comes when nsqd has confirmed it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus

from gateways.push.context import Context
from gateways.push.frame import Frame
from gateways.push.http import Response
from gateways.push.push_stream.paths import EMPTY, EXPLAIN, Refused, answer
from gateways.push.session import ANSWERED, Ending, Session
from nsqgw.errors import NSQError


def _nothing(frame: Frame) -> bytes:
    return b""


class PublishSession(Session):
    """One request with a body of `length` bytes, published to each of `channels`.

    `document` makes the answer once all is confirmed.
    """

    __slots__ = ("_asked_at", "_body", "_channels", "_document", "_failed", "_headers", "_left", "_length")

    encoding = staticmethod(_nothing)
    kind = "poll"

    def __init__(
        self,
        context: Context,
        channels: Sequence[str],
        length: int,
        headers: Mapping[str, str],
        document: Callable[[], Response],
    ) -> None:
        super().__init__(context, ())
        self._channels = channels
        self._length = length
        self._headers = headers
        self._document = document
        self._body = bytearray()
        self._left = len(channels)
        self._failed: NSQError | None = None
        self._asked_at = context.clock()

    def data_received(self, data: bytes) -> None:
        if not self._listening or len(self._body) >= self._length:
            return
        self._body += data[: self._length - len(self._body)]
        if len(self._body) == self._length:
            self._publish()

    def end(self) -> None:
        """What is here in full is still answered, if nsqd confirms it in time."""
        if len(self._body) < self._length:
            self.close(Ending.RESTART)

    def _open(self) -> None:
        if not self._length:
            self._finish(Refused(*EMPTY).response(dict(self._headers)))

    def _publish(self) -> None:
        publisher = self._context.publisher
        assert publisher is not None, "the routes refuse publications then"
        body = bytes(self._body)
        for channel in self._channels:
            try:
                publisher.publish_then(channel, body, self._answered)
            except NSQError as error:
                self._answered(error)

    def _answered(self, error: NSQError | None) -> None:
        self._left -= 1
        self._failed = self._failed or error
        if self._left or not self._listening:
            return
        if self._failed is None:
            self._finish(self._document())
        else:
            why = {EXPLAIN: "nsqd did not take the message.", "Retry-After": "1", **self._headers}
            self._finish(answer(HTTPStatus.SERVICE_UNAVAILABLE, headers=why))

    def _keep_alive(self, now: float) -> None:
        if now - self._asked_at >= self._context.limits.handshake_timeout and len(self._body) < self._length:
            self._finish(answer(HTTPStatus.REQUEST_TIMEOUT, headers=dict(self._headers)))

    def _finish(self, response: Response) -> None:
        self._leave(ANSWERED)
        self._transport.write(response.serialize())
        self._transport.close()

    def _say_farewell(self, ending: Ending) -> None:
        self._transport.close()
