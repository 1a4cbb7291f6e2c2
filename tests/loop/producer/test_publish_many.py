"""Many messages in several MPUBs: what is certain of them when one fails, and one deadline for all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from harness.scripted import OK, QUICK, ScriptedNsqd, error
from nsqgw import Producer
from nsqgw.errors import ConnectionClosed, DeadlineExceeded, MpubFailed, NSQError, PublishError

BODIES = [b"12345678"] * 6
LIMITS: dict[str, Any] = {"max_batch_size": 28, "max_message_size": 12}
"""Two of the bodies a batch."""


def producer_of(fake: ScriptedNsqd, **options: Any) -> Producer:
    return Producer([fake.address], **QUICK | LIMITS | {"on_fact": lambda fact: None} | options)


@pytest.mark.parametrize("batch", [0, 1, 2])
async def test_the_error_says_how_many_are_published(fake: ScriptedNsqd, batch: int) -> None:
    answers = [OK] * batch + [error("E_MPUB_FAILED MPUB failed disk full")]
    fake.answers["MPUB"] = lambda session, line: answers.pop(0)
    async with producer_of(fake) as producer:
        with pytest.raises(MpubFailed, match="disk full") as caught:
            await producer.publish_many("t", BODIES)
        assert caught.value.published == 2 * batch
        assert len((await fake.session()).lines("MPUB")) == batch + 1


async def test_each_has_its_own_count_though_they_fail_together(fake: ScriptedNsqd) -> None:
    seen = 0

    def answer(session: Any, line: str) -> bytes | None:
        nonlocal seen
        seen += 1
        if seen == 4:
            session.drop()
        return OK if seen == 1 else None

    fake.answers["MPUB"] = answer
    async with producer_of(fake) as producer:
        await producer.wait_connected(5)
        first = asyncio.ensure_future(producer.publish_many("t", BODIES))
        await (await fake.session()).received("MPUB", 2)
        others = [asyncio.ensure_future(producer.publish_many("t", BODIES[:2])) for _ in range(2)]
        outcomes = await asyncio.gather(first, *others, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ConnectionClosed] * 3
        assert [outcome.published for outcome in outcomes if isinstance(outcome, NSQError)] == [2, 0, 0]


async def test_one_deadline_for_all(fake: ScriptedNsqd) -> None:
    """The first answers take most of the time; the rest is not given it anew."""

    def slowly(session: Any, line: str) -> None:
        asyncio.get_running_loop().call_later(0.15, session.send, OK)

    fake.answers["MPUB"] = slowly
    async with producer_of(fake) as producer:
        await producer.wait_connected(5)
        with pytest.raises((DeadlineExceeded, PublishError), match=r"within 0\.4 s") as caught:
            await producer.publish_many("t", BODIES, timeout=0.4)
        assert caught.value.published in (0, 2, 4)
        assert producer.stats.published <= 4
