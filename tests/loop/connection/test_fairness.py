"""A connection that is never out of data leaves the rest of the loop its turns."""

from __future__ import annotations

import asyncio

from harness.consuming import Subject
from harness.scripted import ScriptedNsqd, message
from nsqgw import Message


async def test_other_callbacks_run_between_reads_that_never_wait(fake: ScriptedNsqd) -> None:
    """Counted in messages, not in seconds: how many are handled between two turns of the loop."""
    count = 200_000
    between_turns = handled = most = 0

    def handle(_: Message) -> None:
        nonlocal between_turns, handled, most
        handled += 1
        between_turns += 1
        most = max(most, between_turns)

    async def take_turns() -> None:
        nonlocal between_turns
        while handled < count:
            between_turns = 0
            await asyncio.sleep(0)

    async with Subject(handle, fake, max_in_flight=2500):
        session = await fake.subscribed()
        session.send(b"".join(message(number, b"x" * 10) for number in range(count)))
        await asyncio.wait_for(take_turns(), 60)
    assert handled == count
    assert most < count / 2, f"{most} messages were handled without a turn for anybody else"
