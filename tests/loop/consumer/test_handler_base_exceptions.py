"""Handlers that raise what is no Exception: their messages go back, and the connection lives on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from harness.consuming import Subject
from harness.scripted import ScriptedNsqd
from nsqgw import Message
from nsqgw.instrument import HandlerFailed


class Abandon(BaseException):
    """Derived past Exception, as some libraries do for what nobody is to catch."""


def failing(error: BaseException) -> dict[str, dict[str, Any]]:
    """Handlers of all kinds that raise `error` for the first message they see."""
    seen: list[bytes] = []

    def fail_once(*_: object) -> None:
        seen.append(b"")
        if len(seen) == 1:
            raise error

    def sync(message: Message) -> None:
        fail_once()

    async def asynchronous(message: Message) -> None:
        fail_once()

    async def suspending(message: Message) -> None:
        await asyncio.sleep(0)
        fail_once()

    def batch(messages: Sequence[Message]) -> None:
        fail_once()

    async def async_batch(messages: Sequence[Message]) -> None:
        await asyncio.sleep(0)
        fail_once()

    return {
        "sync": {"handler": sync},
        "async": {"handler": asynchronous},
        "suspending": {"handler": suspending},
        "batch": {"handler": None, "batch_handler": batch},
        "async-batch": {"handler": None, "batch_handler": async_batch},
        "threads": {"handler": sync, "threads": 1},
    }


KINDS = list(failing(Abandon()))


@pytest.mark.parametrize("error", [Abandon("past Exception"), GeneratorExit()], ids=["own", "generator"])
@pytest.mark.parametrize("kind", KINDS)
async def test_any_exception_gives_the_message_back_and_the_consumer_carries_on(
    fake: ScriptedNsqd, kind: str, error: BaseException
) -> None:
    """Not only Exception: the message of one that nobody caught would wait for its time-out otherwise."""
    async with Subject(
        **failing(error)[kind], nsqd_tcp_addresses=[fake.address], max_backoff_duration=0
    ) as consumer:
        session = await fake.subscribed()
        session.deliver(1)
        assert await session.received("REQ") == [f"REQ {1:016x} 90000"]
        session.deliver(2)
        await session.received("FIN")
        assert session.ids("FIN") == [2]
    assert [fact.error for fact in consumer.told(HandlerFailed)] == [error]
    assert len(fake.sessions) == 1
