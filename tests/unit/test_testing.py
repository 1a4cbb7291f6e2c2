"""Messages for handler tests without a server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nsqgw import Message, errors, testing


def test_a_handler_that_finishes() -> None:
    message = testing.message(b"one")
    assert message.finish()
    assert (message.finished, message.requeued, message.answered) == (True, False, True)
    with pytest.raises(errors.AlreadyAnswered):
        message.requeue()


def test_a_handler_that_requeues() -> None:
    message = testing.message(b"one", attempts=3)
    message.touch()
    message.touch()
    message.requeue(30.0, backoff=False)
    assert (message.requeued, message.delay, message.backoff, message.touches) == (True, 30.0, False, 2)
    assert not message.finished


def test_an_asynchronous_handler() -> None:
    async def handle(message: Message) -> None:
        await message.requeue()

    message = testing.message(b"one")
    asyncio.run(handle(message))
    assert (message.requeued, message.delay, message.backoff) == (True, None, True)


def test_answers_that_come_too_late() -> None:
    message = testing.message(b"one", connected=False)
    assert not message.touch()
    assert not message.finish()
    assert not message.requeue(1.0)
    assert (message.finished, message.requeued, message.touches, message.answered) == (False, False, 0, False)


def test_it_is_a_message_like_any_other() -> None:
    message = testing.message(
        b"one", attempts=2, topic="orders", channel="billing", timestamp=5, message_id=b"a" * 16
    )
    assert isinstance(message, Message)
    assert (message.body, message.attempts, message.topic, message.channel) == (
        b"one",
        2,
        "orders",
        "billing",
    )
    assert (message.timestamp, message.id, message.nsqd_address) == (5, b"a" * 16, "127.0.0.1:4150")
    assert repr(message) == "<Message aaaaaaaaaaaaaaaa attempts=2 3 bytes>"
    assert testing.message(b"one").id != testing.message(b"one").id


def test_a_delay_that_is_none_is_refused_as_in_earnest() -> None:
    message = testing.message(b"one")
    with pytest.raises(errors.ConfigError):
        message.requeue(-1.0)


def test_a_body_is_bytes() -> None:
    body: Any = "text"
    with pytest.raises(TypeError, match="body must be bytes, not str"):
        testing.message(body)
