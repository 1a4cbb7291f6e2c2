"""Data that a sink refuses: bad events stored apart, too large batches halved, too many refusals doubted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from gateways.pipeline.batch import Batch, BatchLimits
from gateways.pipeline.dead_letters import DeadLetter
from gateways.pipeline.fan_out import Route
from gateways.pipeline.pipeline import Pipeline, PipelineLimits
from gateways.pipeline.retry import RetryPolicy
from gateways.pipeline.sink import CONFIRMED, Fate, Outcome, SinkGone
from gateways.pipeline.transforms import Rejected
from harness.pipeline import FakeSource, ScriptedSink
from harness.polling import eventually_async
from nsqgw.message import Message

STREAM = ("events", "archive")


class Cemetery:
    """A store of dead letters that fails as often as it is told."""

    def __init__(self, *failures: Outcome) -> None:
        self.letters: list[DeadLetter] = []
        self.tries = 0
        self.answered_early = 0
        self._failures = list(failures)

    @property
    def buried(self) -> list[tuple[bytes, str]]:
        return [(letter.message.body, letter.reason) for letter in self.letters]

    async def store(self, letters: Sequence[DeadLetter]) -> Outcome:
        self.tries += 1
        self.answered_early += sum(letter.message.answered for letter in letters)
        if self._failures:
            outcome = self._failures.pop(0)
            fates = outcome.per_event or []
            self.letters += [
                letter for letter, fate in zip(letters, fates, strict=False) if fate is Fate.CONFIRMED
            ]
            return outcome
        self.letters += letters
        return CONFIRMED


Start = Callable[..., Pipeline]


@pytest.fixture
def source() -> FakeSource:
    return FakeSource()


@pytest.fixture
def start(run: Start, source: FakeSource) -> Start:
    """Starts a pipeline from the source to a sink and a place for dead letters."""

    def start_one(
        sink: ScriptedSink, dead_letters: Cemetery | None, budget: float = 300.0, **batch: Any
    ) -> Pipeline:
        limits = PipelineLimits(BatchLimits(max_age=0.01, **batch), concurrency=1)
        retry = RetryPolicy(0.001, 2, 0.002, budget=budget)
        return run([source], [Route(sink)], limits, retry, dead_letters=dead_letters)

    return start_one


def refusing(*bad: bytes) -> Callable[[Batch], Outcome]:
    """A service that takes a batch or refuses it as a whole, as most do."""
    return lambda batch: Outcome(Fate.REJECTED, "HTTP 400") if set(bad) & set(batch.events) else CONFIRMED


async def test_one_bad_event_of_a_thousand_is_the_only_dead_letter(start: Start, source: FakeSource) -> None:
    cemetery, bodies = Cemetery(), [b"%d" % number for number in range(1000)]
    pipeline = start(sink := ScriptedSink(*[refusing(b"617")] * 100), cemetery, max_messages=1000)
    source.deliver(*bodies)
    await eventually_async(lambda: pipeline.held_messages == 0 and sink.tried)
    assert cemetery.buried == [(b"617", "HTTP 400")]
    assert sorted(sink.delivered) == sorted(set(bodies) - {b"617"})
    assert sorted(source.origin.finished) == sorted(bodies)
    assert source.origin.requeued == []
    assert pipeline.counters.dead_letters == {(STREAM, "scripted"): 1}
    assert len(sink.tried) <= 21
    assert pipeline.trouble is None


async def test_a_message_is_finished_only_when_its_dead_letter_is_stored(
    start: Start, source: FakeSource
) -> None:
    full = Outcome(Fate.RETRY, "disk full")
    cemetery = Cemetery(full, full)
    pipeline = start(ScriptedSink(Outcome(Fate.REJECTED, "HTTP 422")), cemetery)
    source.deliver(b"bad")
    await eventually_async(lambda: source.origin.finished == [b"bad"])
    assert (cemetery.tries, cemetery.answered_early) == (3, 0)
    assert pipeline.trouble is None


async def test_letters_that_were_stored_are_not_stored_again(start: Start, source: FakeSource) -> None:
    half = Outcome(Fate.RETRY, "half of it", per_event=[Fate.CONFIRMED, Fate.RETRY])
    cemetery = Cemetery(half)
    fates = Outcome(Fate.REJECTED, "", per_event=[Fate.REJECTED, Fate.REJECTED, Fate.CONFIRMED])
    start(ScriptedSink(fates), cemetery, max_messages=3)
    source.deliver(b"a", b"b", b"c")
    await eventually_async(lambda: len(source.origin.finished) == 3)
    assert [body for body, _ in cemetery.buried] == [b"a", b"b"]


async def test_when_dead_letters_cannot_be_stored_messages_go_back(start: Start, source: FakeSource) -> None:
    cemetery = Cemetery(*[Outcome(Fate.RETRY, "disk full")] * 10_000)
    pipeline = start(ScriptedSink(Outcome(Fate.REJECTED, "no")), cemetery, budget=0.1)
    source.deliver(b"bad")
    await eventually_async(lambda: pipeline.trouble == "dead letters: disk full")
    await eventually_async(lambda: source.origin.requeued)
    assert source.origin.finished == []
    assert pipeline.counters.requeued[STREAM, "budget"] == 1
    assert (pipeline.held_messages, pipeline.held_bytes) == (0, 0)


async def test_a_drain_gives_back_letters_that_are_not_stored(start: Start, source: FakeSource) -> None:
    cemetery = Cemetery(*[Outcome(Fate.RETRY, "disk full")] * 10_000)
    pipeline = start(ScriptedSink(Outcome(Fate.REJECTED, "no")), cemetery)
    source.deliver(b"bad")
    await eventually_async(lambda: cemetery.tries)
    await pipeline.drain(0.02)
    assert source.origin.requeued == [(b"bad", 0.0)]


class Unreadable:
    """No transform could read any of them."""

    def apply(self, message: Message) -> Rejected:
        return Rejected("no JSON", "decode")


class SlowCemetery(Cemetery):
    """Needs a while for each letter."""

    async def store(self, letters: Sequence[DeadLetter]) -> Outcome:
        await asyncio.sleep(0.01 * len(letters))
        return await super().store(letters)


async def test_a_store_too_slow_for_all_letters_at_once_gets_fewer(run: Start, source: FakeSource) -> None:
    cemetery = SlowCemetery()
    limits = PipelineLimits(BatchLimits(max_age=0.01), send_timeout=0.2)
    retry = RetryPolicy(0.001, 2, 0.002)
    run([source], [Route(ScriptedSink())], limits, retry, transforms=Unreadable(), dead_letters=cemetery)
    source.deliver(*[b"%d" % number for number in range(40)])
    await eventually_async(lambda: len(source.origin.finished) == 40)
    assert len(cemetery.letters) == 40
    assert cemetery.answered_early == 0


async def test_without_dead_letters_refused_events_go_back_and_the_others_pass(
    start: Start, source: FakeSource
) -> None:
    pipeline = start(sink := ScriptedSink(*[refusing(b"c")] * 100), None, max_messages=4)
    source.deliver(b"a", b"b", b"c", b"d")
    await eventually_async(lambda: source.origin.requeued and len(source.origin.finished) == 3)
    assert sink.delivered == source.origin.finished == [b"a", b"b", b"d"]
    ((body, delay),) = source.origin.requeued
    assert body == b"c"
    assert delay is not None
    assert 15 <= delay <= 30
    assert pipeline.counters.requeued[STREAM, "rejected"] == 1


async def test_each_refused_event_of_a_batch_has_its_own_reason(start: Start, source: FakeSource) -> None:
    told = Outcome(
        Fate.REJECTED,
        "2 of 3 refused",
        per_event=[Fate.REJECTED, Fate.CONFIRMED, Fate.REJECTED],
        reasons={2: "mapper_parsing_exception"},
    )
    cemetery = Cemetery()
    start(sink := ScriptedSink(told), cemetery, max_messages=3)
    source.deliver(b"a", b"b", b"c")
    await eventually_async(lambda: len(source.origin.finished) == 3)
    assert cemetery.buried == [(b"a", "2 of 3 refused"), (b"c", "mapper_parsing_exception")]
    assert len(sink.tried) == 1


async def test_when_everything_is_refused_all_is_held_and_no_topic_moves_to_the_dead_letters(
    start: Start, source: FakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    cemetery = Cemetery()
    mended = asyncio.Event()

    def judge(batch: Batch) -> Outcome:
        return CONFIRMED if mended.is_set() else Outcome(Fate.REJECTED, "HTTP 400 wrong index")

    pipeline = start(sink := ScriptedSink(*[judge] * 100_000), cemetery, max_messages=100)
    with caplog.at_level(logging.WARNING):
        source.deliver(*[b"%d" % number for number in range(100)])
        await eventually_async(lambda: pipeline.trouble)
        await eventually_async(lambda: len(sink.tried[-1]) == 100 and len(sink.tried) > 20)
    assert "too many events are refused" in str(pipeline.trouble)
    assert source.paused
    assert cemetery.letters == source.origin.finished == source.origin.requeued == []
    mended.set()
    await eventually_async(lambda: len(source.origin.finished) == 100)
    assert cemetery.letters == []
    await eventually_async(lambda: not source.paused)


async def test_a_batch_too_large_is_halved_and_later_ones_are_smaller(
    start: Start, source: FakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    def judge(batch: Batch) -> Outcome:
        return Outcome(Fate.TOO_LARGE, "HTTP 413") if batch.size > 300 else CONFIRMED

    cemetery = Cemetery()
    pipeline = start(sink := ScriptedSink(*[judge] * 1000), cemetery, max_messages=100)
    source.deliver(*[b"x" * 9] * 100)
    await eventually_async(lambda: len(source.origin.finished) == 100)
    assert [len(events) for events in sink.tried] == [100, 50, 25, 25, 50, 25, 25]
    source.deliver(*[b"y" * 9] * 100)
    await eventually_async(lambda: len(source.origin.finished) == 200)
    assert all(len(events) <= 30 for events in sink.tried[7:])
    assert cemetery.letters == []
    assert pipeline.trouble is None


async def test_a_single_event_too_large_is_a_dead_letter(start: Start, source: FakeSource) -> None:
    def judge(batch: Batch) -> Outcome:
        return Outcome(Fate.TOO_LARGE, "HTTP 413") if batch.size > 300 else CONFIRMED

    cemetery = Cemetery()
    start(ScriptedSink(*[judge] * 1000), cemetery, max_messages=3)
    source.deliver(b"a", b"x" * 1000, b"b")
    await eventually_async(lambda: len(source.origin.finished) == 3)
    assert cemetery.buried == [(b"x" * 1000, "HTTP 413")]


async def test_a_single_event_too_large_makes_no_later_batch_smaller(
    start: Start, source: FakeSource
) -> None:
    def judge(batch: Batch) -> Outcome:
        too_large = any(len(event) > 300 for event in batch.events)
        return Outcome(Fate.TOO_LARGE, "HTTP 413") if too_large else CONFIRMED

    start(sink := ScriptedSink(*[judge] * 1000), Cemetery(), max_messages=100)
    source.deliver(*[b"a" * 9] * 50, b"x" * 1000, *[b"b" * 9] * 49)
    await eventually_async(lambda: len(source.origin.finished) == 100)
    source.deliver(*[b"y" * 9] * 100)
    await eventually_async(lambda: len(source.origin.finished) == 200)
    assert len(sink.tried[-1]) == 100


async def test_a_sink_for_which_all_is_too_large_moves_nothing_to_the_dead_letters(
    start: Start, source: FakeSource
) -> None:
    cemetery = Cemetery()
    pipeline = start(ScriptedSink(*[Outcome(Fate.TOO_LARGE, "HTTP 413")] * 100_000), cemetery)
    source.deliver(*[b"x"] * 100)
    await eventually_async(lambda: pipeline.trouble is not None)
    assert "too many events are refused" in str(pipeline.trouble)
    assert cemetery.letters == source.origin.finished == []


async def test_a_store_whose_reader_went_away_is_trouble_and_no_mistake_of_ours(
    start: Start, source: FakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    class Gone(Cemetery):
        async def store(self, letters: Sequence[DeadLetter]) -> Outcome:
            raise SinkGone("stdout was closed by its reader")

    pipeline = start(ScriptedSink(refusing(b"bad")), Gone(), budget=0.2)
    source.deliver(b"bad")
    await eventually_async(lambda: [body for body, _ in source.origin.requeued] == [b"bad"])
    assert pipeline.trouble == "dead letters: stdout was closed by its reader"
    assert not any(record.exc_info for record in caplog.records)
