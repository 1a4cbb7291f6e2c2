"""Letters in an NSQ topic, read on a channel of their own. A letter is finished after it was confirmed.

Looking at them takes them off the channel for a moment: they go back and have one more attempt each. A new
channel gets all that the topic has kept so far, so it must not be an ephemeral one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from gateways.pipeline.intake import Intake
from gateways.ship.dead_letters.source import Found, read_found
from nsqgw import Consumer
from nsqgw.errors import ConfigError
from nsqgw.message import Message

_AWAY = 60.0
_MAX_BYTES = 64 << 20  # in hand at once
_FIRST = 16  # messages in flight before anything is known of their sizes
_STOP_TIMEOUT = 5.0


class LetterTopic:
    """See `gateways.ship.dead_letters.source.Source`.

    wait           seconds without a new letter after which all were seen
    max_in_flight  letters in hand at once, fewer when they are large: memory is bounded. Those that are left
                   are kept in hand to the end; from half of this on they go back for a minute, so that the
                   same run does not see them again
    """

    total = None

    def __init__(
        self,
        topic: str,
        channel: str,
        *,
        wait: float,
        connect_timeout: float,
        max_in_flight: int,
        **consumer: Any,
    ) -> None:
        if channel.endswith("#ephemeral"):
            raise ConfigError(
                f"channel {channel!r} is ephemeral: when it goes, all letters go with it; name another"
            )
        self._consumer = Consumer(topic, channel, max_in_flight=min(_FIRST, max_in_flight), **consumer)
        self._intake = Intake(max_in_flight, _MAX_BYTES, 1)
        self._held_bytes = 0
        self._wait = wait
        self._max_in_flight = max_in_flight
        self._room = min(_FIRST, max_in_flight)  # messages in flight that their sizes allow
        self._connect_timeout = connect_timeout
        self._held: dict[bytes, Message] = {}

    async def __aenter__(self) -> LetterTopic:
        """NotConnected when no nsqd can be reached."""
        await self._consumer.start()
        try:
            await self._consumer.wait_connected(self._connect_timeout)
        except BaseException:
            await self._consumer.stop(_STOP_TIMEOUT)
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        """Whatever was not answered goes back at once.

        Only after nsqd was told that this consumer takes no more: else it would send them here again.
        """
        stopping = asyncio.create_task(self._consumer.stop(_STOP_TIMEOUT))
        await asyncio.sleep(0)
        for message in self._held.values():
            if not message.answered:
                message.requeue(0.0, backoff=False)
        self._held.clear()
        await stopping

    async def letters(self) -> AsyncGenerator[Found, None]:
        """Until none came for `wait` seconds, or one comes that was seen before."""
        seen: set[bytes] = set()
        chunks = self._consumer.batches(max_messages=self._max_in_flight, max_bytes=_MAX_BYTES, max_wait=0.0)
        coming: asyncio.Future[Sequence[Message]] | None = None
        try:
            while True:
                coming = coming or asyncio.ensure_future(chunks.__anext__())
                done, _ = await asyncio.wait({coming}, timeout=self._wait)
                if not done:
                    return
                messages, coming = coming.result(), None
                self._take(messages)
                if any(message.id in seen for message in messages):
                    return
                seen.update(message.id for message in messages)
                for message in messages:
                    yield read_found(message.id.decode("ascii", "backslashreplace"), message.body, message)
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    async def replayed(self, found: Sequence[Found]) -> None:
        """Finish them."""
        for message in self._taken(found):
            message.finish()

    async def left(self, found: Sequence[Found]) -> None:
        """Keep them in hand until the end, or give them back for a while."""
        if len(self._held) * 2 >= self._room or self._held_bytes * 2 >= _MAX_BYTES:
            for message in self._taken(found):
                message.requeue(_AWAY, backoff=False)

    def _take(self, messages: Sequence[Message]) -> None:
        """Hold them, and have so many in flight as their sizes allow."""
        self._held |= {message.id: message for message in messages}
        self._held_bytes += sum(len(message.body) for message in messages)
        self._intake.arrived(max(len(message.body) for message in messages))
        self._room = self._intake.allowance(0)
        self._consumer.set_max_in_flight(self._room)

    def _taken(self, found: Sequence[Found]) -> list[Message]:
        messages = [each.handle for each in found if isinstance(each.handle, Message)]
        for message in messages:
            if self._held.pop(message.id, None) is not None:
                self._held_bytes -= len(message.body)
        return [message for message in messages if not message.answered]
