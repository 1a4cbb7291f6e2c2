"""Subscribers on push-stream's URLs: several channels a connection, with what they missed."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from itertools import groupby

from gateways.push.answer import AnswerSession
from gateways.push.context import Context
from gateways.push.frame import Burst, Encoding, Frame
from gateways.push.history import Replay
from gateways.push.push_stream.paths import Wish, answer
from gateways.push.push_stream.resume import begin
from gateways.push.push_stream.stamps import Stamp
from gateways.push.push_stream.template import MessageTemplate
from gateways.push.session import ANSWERED, Ending, Session
from gateways.push.sse import GAP_EVENT, RETURN_MS
from gateways.push.websocket import Handshake, WebSocketConnection
from gateways.push.wire import WebSocketEncoding


@dataclass(frozen=True)
class Manner:
    """What all connections of one gateway have in common."""

    template: MessageTemplate
    socket: WebSocketEncoding


@dataclass(frozen=True)
class Following:
    """What one request asks for; `since` is the hub's position after what the client has."""

    wishes: Mapping[str, Wish]
    since: str | None
    manner: Manner

    @property
    def channels(self) -> Collection[str]:
        """All channels of the request."""
        return self.wishes.keys()

    def subscribe(self, context: Context, channel: str, session: Session) -> Replay:
        """Follow one of its channels; what comes first."""
        return begin(context.hub, self.wishes[channel], self.since, session)

    def begin(self, context: Context, session: Session) -> None:
        """Follow all of them; a replay may be too much for a browser, and end all that is followed.

        What was missed comes in the order of its numbers, for one position stands for all channels: a browser
        that is cut off in the middle goes on behind what it has.
        """
        replays = {channel: self.subscribe(context, channel, session) for channel in self.channels}
        ordered = replays.items() if self.since is None else _by_number(replays, context.hub.numbering.epoch)
        for channel, replay in ordered:
            session.replay(channel, replay)


def _by_number(replays: Mapping[str, Replay], epoch: str) -> Iterator[tuple[str, Replay]]:
    """Gaps, then all messages; those of an epoch before `epoch` first."""
    for channel, replay in replays.items():
        yield channel, replace(replay, frames=())
    frames = [frame for replay in replays.values() for frame in replay.frames]
    frames.sort(key=lambda frame: (frame.epoch == epoch, frame.offset))
    for channel, run in groupby(frames, lambda frame: frame.channel):
        yield channel, replace(replays[channel], frames=tuple(run), gap=False)


class StreamSession(AnswerSession):
    """An answer that never ends: messages as the template has them, and nothing between them."""

    __slots__ = ("_following", "encoding")

    kind = "lines"
    content_type = "text/plain"

    def __init__(self, context: Context, following: Following, headers: Mapping[str, str]) -> None:
        super().__init__(context, "", None, headers)
        self.topics = following.channels
        self._following = following
        self.encoding: Encoding = following.manner.template.plain

    @property
    def heartbeat(self) -> bytes:  # type: ignore[override]  # what it is depends on the template
        """A message with the id -1."""
        return self._following.manner.template.ping

    def deleted(self, channel: str, text: str) -> None:
        """The channel is no more: a last message, and the end."""
        self._transport.write(self._last_words(self._following.manner.template.deletion(channel, text)))
        self.close(Ending.DISCONNECTED)

    def _last_words(self, text: str) -> bytes:
        return text.encode()

    def _follow_all(self) -> None:
        self._following.begin(self._context, self)


class EventSourceSession(StreamSession):
    """The same as server-sent events; a gap is an event of its own, which pages that do not know it miss."""

    __slots__ = ()

    kind = "sse"
    content_type = "text/event-stream; charset=utf-8"

    def __init__(self, context: Context, following: Following, headers: Mapping[str, str]) -> None:
        super().__init__(context, following, headers)
        self.encoding = following.manner.template.block

    @property
    def heartbeat(self) -> bytes:  # type: ignore[override]  # see StreamSession
        return b": -1\n"

    def leave_in(self, seconds: float) -> None:
        if self._listening:
            self._transport.write(b"retry: %d\n\n" % random.randint(*RETURN_MS))

    def _begin(self) -> bytes:
        return b": \n"

    def _gap(self, topic: str, lost: int | None) -> bytes:
        data = json.dumps({"channel": topic, "lost": lost})
        return f"event: {GAP_EVENT}\ndata: {data}\n\n".encode()

    def _last_words(self, text: str) -> bytes:
        return f"data: {text}\n\n".encode()


class SocketSession(WebSocketConnection):
    """A WebSocket: text frames as the template has them."""

    __slots__ = ("_following",)

    kind = "websocket"

    def __init__(self, context: Context, following: Following, handshake: Handshake) -> None:
        super().__init__(context, following.channels, handshake, following.manner.socket)
        self._following = following

    def deleted(self, channel: str, text: str) -> None:
        """The text as a message, then a close without a code, as the module has it."""
        last = self._following.manner.template.deletion(channel, text)
        self._core.send_text(last.encode())
        self._leave(Ending.DISCONNECTED.reason)
        self._core.send_close()
        self._write_control()

    def _open(self) -> None:
        super()._open()
        self._following.begin(self._context, self)


class RefusedSocket(WebSocketConnection):
    """A WebSocket whose request is refused: the handshake, and a close that says so, for browsers to read."""

    __slots__ = ("_reason",)

    kind = "websocket"

    def __init__(
        self, context: Context, handshake: Handshake, socket: WebSocketEncoding, status: int, why: str
    ) -> None:
        super().__init__(context, (), handshake, socket)
        self._reason = json.dumps({"http_status": status, "explain": why})

    def _open(self) -> None:
        super()._open()
        self._leave(Ending.NOT_ALLOWED.reason)
        self._core.send_close(1008, self._reason)
        self._write_control()


class LongPollSession(Session):
    """One request, answered with all that is there, or with the next burst; 304 when its time is up."""

    __slots__ = ("_asked_at", "_began", "_callback", "_following", "_headers", "_patient", "encoding")

    kind = "poll"

    def __init__(
        self,
        context: Context,
        following: Following,
        headers: Mapping[str, str],
        *,
        patient: bool,
        callback: str | None,
    ) -> None:
        super().__init__(context, following.channels)
        self._following = following
        self._headers = headers
        self._patient = patient
        self._callback = callback
        self._began: str | None = None
        """The position it waits at."""
        self._asked_at = context.clock()
        self.encoding: Encoding = following.manner.template.plain

    def data_received(self, data: bytes) -> None:
        """A client has nothing to say after its request; it is read so that its end is seen."""

    def offer(self, data: bytes, burst: Burst) -> None:
        if self._listening:
            self._answer(self._so_far(burst.frames))

    def miss(self, channel: str) -> None:
        """The module knows no word for it."""

    def leave_in(self, seconds: float) -> None:
        self.end()

    def end(self) -> None:
        if self._listening:
            self._answer(self._so_far())

    def deleted(self, channel: str, text: str) -> None:
        """The channel is no more: that is the answer."""
        if self._listening:
            template = self._following.manner.template
            self._write(HTTPStatus.OK, [template.deletion(channel, text).encode()])

    def _open(self) -> None:
        found: list[Frame] = []
        for channel in self.topics:
            replay = self._following.subscribe(self._context, channel, self)
            self._began = replay.position
            found += replay.frames
        if found or not self._patient:
            self._answer(found)

    def _keep_alive(self, now: float) -> None:
        if now - self._asked_at >= self._context.limits.poll_timeout:
            self._answer(self._so_far())

    def _so_far(self, burst: Sequence[Frame] = ()) -> list[Frame]:
        """`burst`, and what is being handed out that has not come to this browser yet.

        The stamp of an answer is after all of it, in every channel.
        """
        missed = self._context.hub.missed
        found = {frame.offset: frame for name in self.topics for frame in missed(name, self._began).frames}
        found.update((frame.offset, frame) for frame in burst)
        return [found[offset] for offset in sorted(found)]

    def _answer(self, frames: Sequence[Frame]) -> None:
        if frames:
            self._write(HTTPStatus.OK, [frame.encoded(self.encoding) for frame in frames], frames)
        else:
            self._write(HTTPStatus.NOT_MODIFIED, [])

    def _write(self, status: HTTPStatus, messages: list[bytes], frames: Sequence[Frame] = ()) -> None:
        last = Stamp.after_all(self._context.hub.numbering, time.time())
        newest = max(map(Stamp.of, frames), default=last)
        headers = {"Last-Modified": newest.date, "Etag": f"W/{newest.tag}", **self._headers}
        body, content_type = b"".join(messages), "text/plain"
        if self._callback is not None and messages:
            body = b"%s([%s]);" % (self._callback.encode(), b",".join(messages))
            content_type = "application/javascript"
        self._leave(ANSWERED)
        self._transport.write(answer(status, body, content_type, headers).serialize())
        self._transport.close()

    def _say_farewell(self, ending: Ending) -> None:
        self._transport.close()


Deletable = StreamSession | SocketSession | LongPollSession
"""What is told when a channel is deleted."""
