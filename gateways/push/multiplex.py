"""One WebSocket for many channels: carries out the commands of `protocol` and acknowledges each.

Messages of all channels are encoded once for all connections of the same dialect, their channel in them.
What a client says wrong is answered by an error with a code; what cannot even be answered, and too many
errors in a row, close the connection. Nothing a client sends is kept, beside the names of what it follows.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from typing import cast

from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode

from gateways.push import sign_in
from gateways.push.access.grant import Denial, Right, denial
from gateways.push.context import Context
from gateways.push.filter import Filter
from gateways.push.frame import Burst
from gateways.push.pattern import covers, prefix_of
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

logger = logging.getLogger(__name__)


class MultiplexSession(WebSocketConnection):
    """A client of the multiplexed protocol."""

    __slots__ = (
        "_dialect",
        "_errors",
        "_opcode",
        "_parts",
        "_pinged_client_at",
        "_publishing",
        "_subscribes",
        "client",
        "signing_in",
    )

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
        self._subscribes = 0
        self.signing_in = False
        """Whether a token is being looked at."""
        self._pinged_client_at = context.clock()

    @property
    def context(self) -> Context:
        """What all connections share."""
        return self._context

    @property
    def open(self) -> bool:
        """Whether the client is still listened to."""
        return self._listening

    # what the connection does

    def _open(self) -> None:
        super()._open()
        sign_in.expect(self)
        limits = self._context.limits
        self.say(
            {
                "push": "hello",
                "version": VERSION,
                "client": self.client,
                "auth": sign_in.asked_of(self),
                "ping": limits.ping_interval,
                "max_channels": limits.max_channels,
                "max_bytes": limits.max_client_message_bytes,
            }
        )

    def _keep_alive(self, now: float) -> None:
        super()._keep_alive(now)
        self._subscribes = 0
        if now - self._pinged_client_at >= self._context.limits.ping_interval:
            self._pinged_client_at = now
            self.say({"push": "ping"})

    def _gap(self, topic: str, lost: int | None) -> bytes:
        return self._dialect.write({"push": "gap", "channel": topic, "lost": lost})

    def _leave(self, reason: str) -> None:
        if self._listening:
            self._parts.clear()
            super()._leave(reason)
            for topic in self.topics:
                watchers = self._context.presence.leave(topic, self)
                if reason != Ending.RESTART.reason:  # all go then, and each would be told of each
                    self._tell("leave", topic, watchers)

    def _heard(self, frame: WireFrame) -> None:
        super()._heard(frame)
        if not self._listening:
            return
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._opcode = frame.opcode
        elif frame.opcode is not Opcode.CONT:
            return
        if frame.data:  # bounded together by the core, which counts bytes
            self._parts.append(bytes(frame.data))
        if not frame.fin or self._opcode is None:
            return
        data = b"".join(self._parts)
        self._parts.clear()
        self._take(self._opcode, data)

    def _take(self, opcode: Opcode, data: bytes) -> None:
        try:
            command = self._dialect.read(opcode, data)
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
            self.refuse(command, refused)
        except Exception:  # a mistake of ours is answered, too, and costs the client no other channel
            logger.exception("%s: the command %s was not carried out", self.peer, command.op)
            self.refuse(command, Refused(Fault.INTERNAL))
        else:
            self._errors = 0

    # what clients may ask for

    def _subscribe(self, command: Command) -> None:
        self._subscribes += 1
        if self._subscribes > self._context.limits.max_subscribes:
            raise Refused(Fault.TOO_MANY_REQUESTS, f"at most {self._context.limits.max_subscribes} at once")
        channel = self._channel(command, Right.SUBSCRIBE)
        if any(covers(followed, channel) or covers(channel, followed) for followed in self.topics):
            raise Refused(Fault.ALREADY_SUBSCRIBED)
        try:
            self._begin(command, channel)
        except Refused:
            raise
        except Exception:  # a mistake of ours, told by who called: the channel may be asked for again
            self._drop(channel)
            raise

    def _begin(self, command: Command, channel: str) -> None:
        context = self._context
        watching, wanted = command.flag("presence"), command.wanted()
        if len(self.topics) >= context.limits.max_channels:
            raise Refused(Fault.TOO_MANY_CHANNELS, f"at most {context.limits.max_channels}")
        if not context.hub.has_room(channel):
            raise Refused(Fault.TOO_MANY_CHANNELS, "the gateway has no room for another one")
        if watching and not context.presence.shown(channel):
            raise Refused(Fault.NOT_ALLOWED, "presence is not shown for this channel")
        if watching:
            self.authorize(Right.PRESENCE, channel)
        if prefix_of(channel) is not None:
            self._follow_pattern(command, channel, wanted)
            return
        since = command.text("since") if "since" in command.arguments else None
        self.topics.add(channel)
        replay = context.hub.subscribe(channel, self, since, wanted)
        recovered = {} if since is None else {"recovered": not replay.gap}
        self.say(reply(command, channel=channel, position=replay.start, **recovered))
        self.replay(channel, replay)
        if self._listening:  # a replay that does not fit closes the connection
            self._tell("join", channel, context.presence.join(channel, self, watching=watching))

    def _follow_pattern(self, command: Command, pattern: str, wanted: Filter | None) -> None:
        since = command.since(pattern)
        self.topics.add(pattern)
        hub = self._context.hub
        position = hub.position
        replays = hub.subscribe_pattern(pattern, self, since, wanted)
        recovered = {"recovered": not any(replay.gap for _, replay in replays)} if since else {}
        self.say(reply(command, channel=pattern, position=position, **recovered))
        for channel, replay in replays:
            self.replay(channel, replay)

    def _unsubscribe(self, command: Command) -> None:
        channel = command.text("channel")
        if channel not in self.topics:
            self._channel(command, Right.SUBSCRIBE)  # where it is unknown or not allowed, that is said
            raise Refused(Fault.NOT_SUBSCRIBED)
        self._drop(channel)
        self.say(reply(command, channel=channel))

    def unsubscribed(self, channel: str, fault: Fault = Fault.NOT_ALLOWED) -> None:
        """The client may follow `channel` no longer, and is told so."""
        self._drop(channel)
        self.say({"push": "unsubscribed", "channel": channel, "error": fault.document})

    def channel_ended(self, channel: str) -> None:
        self.unsubscribed(channel, Fault.UNKNOWN_CHANNEL)

    def _drop(self, channel: str) -> None:
        self.topics.discard(channel)
        self._context.hub.unsubscribe(channel, self)
        if self._backlog is not None:
            self._backlog.forget(channel)
        self._tell("leave", channel, self._context.presence.leave(channel, self))

    def _publish(self, command: Command) -> None:
        context, channel = self._context, self._channel(command, Right.PUBLISH)
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
                self.say(reply(command, channel=channel))
            else:
                self.refuse(command, Refused(Fault.NOT_PUBLISHED))

        try:
            context.publisher.publish_then(channel, body, answered)
        except NSQError as error:
            self._publishing -= 1
            raise Refused(Fault.NOT_PUBLISHED) from error

    def _presence(self, command: Command) -> None:
        channel, presence = self._channel(command, Right.PRESENCE), self._context.presence
        if not presence.shown(channel):
            raise Refused(Fault.NOT_ALLOWED, "presence is not shown for this channel")
        names = presence.names(channel, self._context.limits.max_presence)
        self.say(reply(command, channel=channel, count=presence.count(channel), clients=names))

    def _ping(self, command: Command) -> None:
        self.say(reply(command))

    def _auth(self, command: Command) -> None:
        sign_in.begin(self, command)

    def _grant_due(self, now: float) -> None:
        sign_in.remind(self, now)

    def authorize(self, right: Right, channel: str) -> None:
        """Refused where the client has no `right` on `channel`, or on all that match a pattern."""
        denied = denial(self.visitor, right, channel, self._context.clock())
        if denied is not None:
            raise Refused(_FAULTS[denied])

    # how it is said

    def _channel(self, command: Command, right: Right) -> str:
        channel = command.text("channel")
        if len(channel) > MAX_NAME:
            raise Refused(Fault.BAD_REQUEST, f"channel has more than {MAX_NAME} characters")
        # first: who may not have a channel is not told whether there is one
        self.authorize(right, channel)
        if not self._context.hub.knows(channel):
            raise Refused(Fault.UNKNOWN_CHANNEL)
        return channel

    def leave_in(self, seconds: float) -> None:
        self.say({"push": "drain", "seconds": round(seconds, 3)})

    def say(self, document: Mapping[str, object]) -> None:
        """Write a reply or a push; who asks and does not read has the bound of messages."""
        if not self._listening:
            return
        self._transport.write(self._dialect.write(document))
        if self._transport.get_write_buffer_size() > self._context.limits.max_queue_bytes:
            self.close(Ending.SLOW)

    def refuse(self, command: Command, refused: Refused) -> None:
        """Answer `command` with an error; too many of them close the connection."""
        self.say(refusal(command, refused))
        self._errors += 1
        if self._errors >= self._context.limits.max_errors:
            self.close(Ending.TOO_MANY_ERRORS)

    def _tell(self, push: str, channel: str, clients: tuple[Client, ...]) -> None:
        """Tell others, who may be slow: it goes the way of messages."""
        notice = Burst(channel, [Notice(push, channel, self.client)])
        for client in clients:
            watcher = cast("MultiplexSession", client)
            watcher.offer(notice.encoded(watcher.encoding), notice)


MAX_NAME = 255
"""Characters of a channel's name."""

_FAULTS = {
    Denial.NO_GRANT: Fault.UNAUTHORIZED,
    Denial.NOT_ALLOWED: Fault.NOT_ALLOWED,
    Denial.EXPIRED: Fault.TOKEN_EXPIRED,
}

_WORK: dict[str, Callable[[MultiplexSession, Command], None]] = {
    "subscribe": MultiplexSession._subscribe,
    "unsubscribe": MultiplexSession._unsubscribe,
    "publish": MultiplexSession._publish,
    "presence": MultiplexSession._presence,
    "ping": MultiplexSession._ping,
    "auth": MultiplexSession._auth,
}
