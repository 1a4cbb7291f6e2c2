"""AnyEvent::NSQ::Reader: a client that consumes one channel of one topic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compat.perl.callbacks import call, checked
from compat.perl.client import Client
from compat.perl.connection import Connection, Info
from compat.perl.message import Message, id_of
from compat.perl.rdy import SharedRdy
from nsqgw.errors import ConfigError, MessageError
from nsqgw.protocol.delays import check_delay
from nsqgw.protocol.names import check_channel, check_topic


class Reader(Client):
    """Calls `message_cb(reader, message)` for each message, which is to be answered by the program.

    ready_count    messages in flight, over all connections; by default a tenth of what nsqd allows one
    requeue_delay  seconds: what `requeue_msg` does without a delay, and the unit of negative ones

    The other arguments and callbacks are those of Client. What the callback returns is ignored; what it
    raises is logged, and nsqd delivers the message again after its time-out.
    """

    def __init__(
        self,
        *,
        topic: str,
        channel: str,
        message_cb: Callable[[Reader, Message], object],
        ready_count: int | None = None,
        requeue_delay: float | None = None,
        **client: Any,
    ) -> None:
        if message_cb is None:
            raise ConfigError("message_cb is missing: it is called with each message")
        self.topic = check_topic(topic)
        self.channel = check_channel(channel)
        self._message_cb = checked("message_cb", message_cb)
        if ready_count is not None and ready_count < 1:
            raise ConfigError(f"ready_count = {ready_count!r} must be 1 or more")
        self._rdy = SharedRdy(ready_count)
        self._requeue_delay = None if requeue_delay is None else check_delay(requeue_delay)
        super().__init__(topic=topic, **client)

    # -- answers

    def mark_as_done_msg(self, message: Message | str) -> bool:
        """Finish a message, given as such or by its id (FIN). True.

        Raises MessageError when no living connection has it in flight: it was answered before, or its
        connection was lost and nsqd delivers it again.
        """
        return self._connection_of(message).mark_as_done_msg(message)

    def requeue_msg(self, message: Message | str, delay: float | None = None) -> bool:
        """Give a message back, to come again after `delay` milliseconds (REQ). True; raises as above.

        Without a delay it waits `requeue_delay` seconds, or not at all where there is none; a negative
        delay stands for `requeue_delay` (or 90) seconds times the attempts.
        """
        return self._connection_of(message).requeue_msg(message, delay)

    def touch_msg(self, message: Message | str) -> bool:
        """Ask for more time (TOUCH). True; raises as above."""
        return self._connection_of(message).touch_msg(message)

    touch_message = touch_msg

    def ready(self, count: int) -> None:
        """So many messages in flight from now on, over all connections; 0 stops deliveries."""
        if count < 0:
            raise ConfigError(f"ready {count!r}: it must be 0 or more")
        self._rdy.set_count(count)

    # -- inside

    def _connection_of(self, message: Message | str) -> Connection:
        candidates = self._connections if isinstance(message, str) else [message.connection]
        for connection in candidates:
            if connection.holds(message):
                return connection
        raise MessageError(
            f"message {id_of(message)} is not in flight: it was answered before, or its connection is lost"
        )

    def _identified(self, connection: Connection, info: Info) -> None:
        super()._identified(connection, info)
        connection.requeue_delay = self._requeue_delay
        connection.subscribe(self.topic, self.channel, self._received)
        self._rdy.add(connection, info["max_rdy_count"])

    def _received(self, connection: Connection, message: Message) -> None:
        self._rdy.heard(connection)
        call(self._message_cb, self, message)

    def _lost(self, connection: Connection) -> None:
        self._rdy.remove(connection)
