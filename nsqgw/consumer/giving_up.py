"""Where messages go that are not tried again: a dead-letter topic, or the user's own code.

Never to the floor: nsqd is told that such a message is finished only after its dead letter is stored
or the user's code has returned.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from nsqgw.config import ConnectionConfig
from nsqgw.connection import Connection, connect
from nsqgw.errors import NSQError
from nsqgw.message import Message
from nsqgw.protocol.commands import encode_pub

ReportGivenUp = Callable[[Message, str | None, BaseException | None], None]
"""Called as report(message, dead_letter_topic, error); `error` when the dead letter could not be stored."""


class DeadLetters:
    """Publishes the bodies to another topic of the nsqd they came from.

    On a connection of its own: a refused dead letter ends it, and must not take the messages down that
    are being handled. What could not be stored is given back, to come again and be given up once more.
    """

    def __init__(self, topic: str, config: ConnectionConfig, report: ReportGivenUp) -> None:
        self._topic = topic
        self._config = config
        self._report = report
        self._letter_boxes: dict[str, _LetterBox] = {}
        self._storing: set[asyncio.Task[None]] = set()

    def dispatch(self, messages: list[Message]) -> None:
        """Store each message as a dead letter, then finish it."""
        for message in messages:
            task = asyncio.get_running_loop().create_task(self._store(message))
            self._storing.add(task)
            task.add_done_callback(self._storing.discard)

    def take_unhandled(self) -> list[Message]:
        """None: what was dispatched is on its way."""
        return []

    def discard_stale(self) -> None:
        """Nothing waits here."""

    def is_run_by(self, task: asyncio.Task[Any] | None) -> bool:
        """No: there is no handler."""
        return False

    async def close(self) -> None:
        """End what is under way; nsqd delivers it again."""
        for task in self._storing:
            task.cancel()
        await asyncio.gather(*self._storing, return_exceptions=True)
        await asyncio.gather(*(box.close() for box in self._letter_boxes.values()))

    async def _store(self, message: Message) -> None:
        box = self._letter_boxes.get(message.nsqd_address)
        if box is None:
            box = self._letter_boxes[message.nsqd_address] = _LetterBox(message.nsqd_address, self._config)
        failed: NSQError | None = None
        try:
            await box.publish(self._topic, message.body)
        except NSQError as error:
            failed = error
        if not message.answered:
            if failed is None:
                message.finish()
            else:
                message.requeue(backoff=False)
        self._report(message, self._topic, failed)


class _LetterBox:
    """A connection to one nsqd, made when there is something to publish and again after it broke."""

    def __init__(self, address: str, config: ConnectionConfig) -> None:
        self._address = address
        self._config = config
        self._connecting = asyncio.Lock()
        self._connection: Connection | None = None
        self._reading: asyncio.Task[None] | None = None

    async def publish(self, topic: str, body: bytes) -> None:
        """Until nsqd has confirmed; an NSQError otherwise, at the latest after `reply_timeout`."""
        async with self._connecting:
            if self._connection is None or self._connection.closed:
                await self.close()
                self._connection = await connect(self._address, self._config)
                self._reading = asyncio.get_running_loop().create_task(_read(self._connection))
        await self._connection.request(encode_pub(topic, body))

    async def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
        if self._reading is not None:
            await self._reading


async def _read(connection: Connection) -> None:
    with contextlib.suppress(NSQError):  # whoever waits for an answer is told
        await connection.run()
