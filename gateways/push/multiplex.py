"""One WebSocket for many channels: carries out the commands of `protocol` and acknowledges each.

Messages of all channels are encoded once for all connections of the same dialect, their channel in them.
What a client says wrong is answered by an error with a code; what cannot even be answered, and too many
errors in a row, close the connection. Nothing a client sends is kept, beside the names of what it follows.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import cast

from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode

from gateways.push.context import Context
from gateways.push.frame import Burst
from gateways.push.presence import Client
from gateways.push.protocol import (
    DIALECTS,
    VERSION,
    Command,
    Fault,
    Malformed,
    Notice,
    Refused,
    refusal,
    reply,
)
from gateways.push.session import Ending
from gateways.push.websocket import Handshake, WebSocketConnection
from nsqgw.errors import NSQError


class MultiplexSession(WebSocketConnection):
    """A client of the multiplexed protocol."""

    __slots__ = ("_dialect", "_errors", "_opcode", "_parts", "_pinged_client_at", "_publishing", "client")

    topics: set[str]
    kind = "multiplex"

    def __init__(self, context: Context, handshake: Handshake) -> None:
        self._dialect = DIALECTS[str(handshake.core.subprotocol)]
        super().__init__(context, set(), handshake, self._dialect.message)
        self.client = secrets.token_hex(8)
        self._opcode: Opcode | None = None
        self._parts: list[bytes] = []
        self._errors = 0
        self._publishing = 0
        self._pinged_client_at = context.clock()

    # what the connection does

    def _open(self) -> None:
        super()._open()
        limits = self._context.limits
        self._say(
            {
                "push": "hello",
                "version": VERSION,
                "client": self.client,
                "ping": limits.ping_interval,
                "max_channels": limits.max_channels,
                "max_bytes": limits.max_client_message_bytes,
            }
        )

    def _keep_alive(self, now: float) -> None:
        super()._keep_alive(now)
        if now - self._pinged_client_at >= self._context.limits.ping_interval:
            self._pinged_client_at = now
            self._say({"push": "ping"})

    def _gap(self, topic: str, lost: int | None) -> bytes:
        return self._dialect.write({"push": "gap", "channel": topic, "lost": lost})

    def _leave(self, reason: str) -> None:
        if self._listening:
            self._parts.clear()
            super()._leave(reason)
            for topic in self.topics:
                self._tell("leave", topic, self._context.presence.leave(topic, self))

    def _heard(self, frame: WireFrame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._opcode = frame.opcode
        elif frame.opcode is not Opcode.CONT:
            return
        self._parts.append(bytes(frame.data))  # bounded together by the core
        if not frame.fin or self._opcode is None:
            return
        data = b"".join(self._parts)
        self._parts.clear()
        self._take(self._opcode, data)

    def _take(self, opcode: Opcode, data: bytes) -> None:
        try:
            if opcode is Opcode.TEXT:
                data.decode()
            command = self._dialect.read(opcode, data)
        except UnicodeDecodeError:
            self.close(Ending.NOT_UTF8)
        except Malformed:
            self.close(Ending.BAD_COMMAND)
        else:
            self._execute(command)

    def _execute(self, command: Command) -> None:
        try:
            work = _WORK.get(command.op)
            if work is None:
                raise Refused(Fault.BAD_REQUEST, f"there is no op of this name; there are {', '.join(_WORK)}")
            work(self, command)
        except Refused as refused:
            self._refuse(command, refused)
        else:
            self._errors = 0

    # what clients may ask for

    def _subscribe(self, command: Command) -> None:
        context, channel = self._context, self._channel(command)
        since = command.text("since") if "since" in command.arguments else None
        watching = command.flag("presence")
        if channel in self.topics:
            raise Refused(Fault.ALREADY_SUBSCRIBED)
        if len(self.topics) >= context.limits.max_channels:
            raise Refused(Fault.TOO_MANY_CHANNELS, f"at most {context.limits.max_channels}")
        if watching and not context.presence.shown(channel):
            raise Refused(Fault.NOT_ALLOWED, "presence is not shown for this channel")
        self.topics.add(channel)
        replay = context.hub.subscribe(channel, self, since)
        recovered = {} if since is None else {"recovered": not replay.gap}
        self._say(reply(command, channel=channel, position=replay.start, **recovered))
        self.replay(channel, replay)
        if self._listening:  # a replay that does not fit closes the connection
            self._tell("join", channel, context.presence.join(channel, self, watching=watching))

    def _unsubscribe(self, command: Command) -> None:
        channel = self._channel(command)
        if channel not in self.topics:
            raise Refused(Fault.NOT_SUBSCRIBED)
        self.topics.remove(channel)
        self._context.hub.unsubscribe(channel, self)
        if self._backlog is not None:
            self._backlog.forget(channel)
        self._tell("leave", channel, self._context.presence.leave(channel, self))
        self._say(reply(command, channel=channel))

    def _publish(self, command: Command) -> None:
        context, channel = self._context, self._channel(command)
        if context.publisher is None or channel not in context.publish_topics:
            raise Refused(Fault.NOT_ALLOWED, "publishing is not allowed here")
        body = command.data(from_json=self._dialect.opcode is Opcode.TEXT)
        if not body:
            raise Refused(Fault.BAD_REQUEST, "data is empty")
        if self._publishing >= context.limits.max_publishing:
            raise Refused(Fault.TOO_MANY_REQUESTS, f"at most {context.limits.max_publishing} messages")
        self._publishing += 1

        def answered(error: NSQError | None) -> None:
            self._publishing -= 1
            if error is None:
                self._say(reply(command, channel=channel))
            else:
                self._refuse(command, Refused(Fault.NOT_PUBLISHED))

        try:
            context.publisher.publish_then(channel, body, answered)
        except NSQError as error:
            self._publishing -= 1
            raise Refused(Fault.NOT_PUBLISHED) from error

    def _presence(self, command: Command) -> None:
        channel, presence = self._channel(command), self._context.presence
        if not presence.shown(channel):
            raise Refused(Fault.NOT_ALLOWED, "presence is not shown for this channel")
        names = presence.names(channel, self._context.limits.max_presence)
        self._say(reply(command, channel=channel, count=presence.count(channel), clients=names))

    def _ping(self, command: Command) -> None:
        self._say(reply(command))

    # how it is said

    def _channel(self, command: Command) -> str:
        channel = command.text("channel")
        if channel not in self._context.hub.topics:
            raise Refused(Fault.UNKNOWN_CHANNEL)
        return channel

    def _say(self, document: Mapping[str, object]) -> None:
        if self._listening:
            self._transport.write(self._dialect.write(document))

    def _refuse(self, command: Command, refused: Refused) -> None:
        self._say(refusal(command, refused))
        self._errors += 1
        if self._errors >= self._context.limits.max_errors:
            self.close(Ending.TOO_MANY_ERRORS)

    def _tell(self, push: str, channel: str, clients: tuple[Client, ...]) -> None:
        """Tell others, who may be slow: it goes the way of messages."""
        notice = Burst(channel, [Notice(push, channel, self.client)])
        for client in clients:
            watcher = cast("MultiplexSession", client)
            watcher.offer(notice.encoded(watcher.encoding), notice)


_WORK: dict[str, Callable[[MultiplexSession, Command], None]] = {
    "subscribe": MultiplexSession._subscribe,
    "unsubscribe": MultiplexSession._unsubscribe,
    "publish": MultiplexSession._publish,
    "presence": MultiplexSession._presence,
    "ping": MultiplexSession._ping,
}
