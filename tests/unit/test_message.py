"""Messages: answered once, and what went wrong is said."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from nsqgw.consumer.batches import Batch
from nsqgw.errors import AlreadyAnswered, ConfigError
from nsqgw.message import Message


class RecordingOrigin:
    topic, channel, nsqd_address = "t", "ch", "127.0.0.1:4150"

    def __init__(self) -> None:
        self.answers: list[tuple[Any, ...]] = []
        self.gone: set[bytes] = set()

    def _note(self, message: Message, *answer: Any) -> bool:
        if message.id in self.gone:
            return False
        self.answers.append((answer[0], message.id, *answer[1:]))
        message.answered = answer[0] != "TOUCH"
        return True

    def finish(self, message: Message) -> bool:
        return self._note(message, "FIN")

    def requeue(self, message: Message, delay: float | None, backoff: bool) -> bool:
        return self._note(message, "REQ", delay, backoff)

    def touch(self, message: Message) -> bool:
        return self._note(message, "TOUCH")


@pytest.fixture
def origin() -> RecordingOrigin:
    return RecordingOrigin()


def make(origin: RecordingOrigin, number: int = 1, body: bytes = b"body") -> Message:
    return Message(5, 2, b"%016x" % number, body, origin)


def test_what_a_message_tells(origin: RecordingOrigin) -> None:
    message = make(origin)
    assert (message.topic, message.channel, message.nsqd_address) == ("t", "ch", "127.0.0.1:4150")
    assert (message.timestamp, message.attempts, message.body, message.answered) == (5, 2, b"body", False)
    assert repr(message) == "<Message 0000000000000001 attempts=2 4 bytes>"
    message.finish()
    assert repr(message).endswith(" answered>")


@pytest.mark.parametrize("first", ["finish", "requeue"])
@pytest.mark.parametrize("second", ["finish", "requeue", "touch"])
def test_c_cli_19_a_second_answer_sends_nothing(origin: RecordingOrigin, first: str, second: str) -> None:
    message = make(origin)
    getattr(message, first)()
    with pytest.raises(AlreadyAnswered, match="0000000000000001"):
        getattr(message, second)()
    assert len(origin.answers) == 1


def test_touches_are_no_answers(origin: RecordingOrigin) -> None:
    message = make(origin)
    for _ in range(3):
        message.touch()
    message.finish()
    assert [answer[0] for answer in origin.answers] == ["TOUCH"] * 3 + ["FIN"]


def test_answers_may_be_awaited(origin: RecordingOrigin) -> None:
    async def answer() -> None:
        message = make(origin)
        await message.touch()
        await message.requeue(1.5, backoff=False)

    asyncio.run(answer())
    assert origin.answers[1] == ("REQ", b"%016x" % 1, 1.5, False)


@pytest.mark.parametrize("delay", [-1, -0.001, math.nan, math.inf, "5", b"5", [1]])
def test_a_senseless_delay_leaves_the_message_unanswered(origin: RecordingOrigin, delay: Any) -> None:
    message = make(origin)
    with pytest.raises(ConfigError, match="must be seconds, 0 or more"):
        message.requeue(delay)
    assert not message.answered
    message.finish()
    assert [answer[0] for answer in origin.answers] == ["FIN"]


def test_an_id_that_is_no_ascii_can_be_shown(origin: RecordingOrigin) -> None:
    message = Message(0, 1, b"\xff" * 16, b"x", origin)
    assert "\\xff" in repr(message)
    message.finish()
    with pytest.raises(AlreadyAnswered):
        message.finish()


# -- batches


def test_a_batch_is_a_sequence(origin: RecordingOrigin) -> None:
    messages = [make(origin, number, b"x" * number) for number in (1, 2, 3)]
    batch = Batch(messages)
    assert (len(batch), batch.size) == (3, 6)
    assert list(batch) == messages
    assert batch[0] is messages[0]
    assert batch[1:] == messages[1:]
    assert messages[2] in batch


def test_a_batch_skips_what_was_answered_before(origin: RecordingOrigin) -> None:
    batch = Batch([make(origin, number) for number in (1, 2, 3)])
    batch[1].requeue(0.0, backoff=False)
    batch.touch()
    batch.finish()
    batch.finish()
    assert [(answer[0], int(answer[1], 16)) for answer in origin.answers] == [
        ("REQ", 2),
        ("TOUCH", 1),
        ("TOUCH", 3),
        ("FIN", 1),
        ("FIN", 3),
    ]


def test_a_batch_answers_the_rest_when_a_connection_is_gone(origin: RecordingOrigin) -> None:
    batch = Batch([make(origin, number) for number in (1, 2, 3)])
    origin.gone = {batch[0].id, batch[2].id}
    assert not batch.finish()
    assert [int(answer[1], 16) for answer in origin.answers] == [2]
    assert [message.answered for message in batch] == [False, True, False]


def test_a_batch_goes_back_as_one(origin: RecordingOrigin) -> None:
    Batch([make(origin, number) for number in (1, 2)]).requeue(2.5, backoff=False)
    assert [answer[2:] for answer in origin.answers] == [(2.5, False)] * 2


async def test_an_answer_says_whether_it_is_on_its_way(origin: RecordingOrigin) -> None:
    origin.gone = {b"%016x" % 2}
    sent, gone = make(origin, 1), make(origin, 2)
    assert sent.touch()
    assert await sent.finish()
    for answer in (gone.finish, gone.requeue, gone.touch):
        assert not answer()
        assert not await answer()
    assert "delivers the message again" in repr(gone.finish())
