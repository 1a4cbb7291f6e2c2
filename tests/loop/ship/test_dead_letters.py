"""Dead letters into a sink, and out of a file again: none holds up another, no interruption loses one."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from gateways.pipeline.batch import Batch
from gateways.pipeline.dead_letters import DeadLetter
from gateways.pipeline.sink import CONFIRMED, Fate, Outcome
from gateways.ship.dead_letters.envelope import Letter, read_letter, write_letter
from gateways.ship.dead_letters.letter_file import LetterFile
from gateways.ship.dead_letters.replay import IntoSink, Pace, Tally, replay
from gateways.ship.dead_letters.store import SinkDeadLetters
from harness.pipeline import ScriptedSink
from harness.transforming import one_message


def dead(*bodies: bytes) -> list[DeadLetter]:
    return [
        DeadLetter(one_message(body, number), b"", f"reason of {number}", "search")
        for number, body in enumerate(bodies)
    ]


def everything(letter: Letter) -> bool:
    return True


def refusing(*parts: bytes) -> Callable[[Batch], Outcome]:
    """A step that refuses a batch as a whole when such an event is in it."""

    def answer(batch: Batch) -> Outcome:
        bad = any(part in event for event in batch.events for part in parts)
        return Outcome(Fate.REJECTED, "HTTP 400") if bad else CONFIRMED

    return answer


async def test_letters_are_stored_as_envelopes() -> None:
    sink = ScriptedSink()
    outcome = await SinkDeadLetters(sink, "app").store(dead(b"one", b"two"))
    assert (outcome.fate, list(outcome.per_event or ())) == (Fate.CONFIRMED, [Fate.CONFIRMED] * 2)
    letters = [read_letter(event) for event in sink.delivered]
    assert [(letter.body, letter.fields["reason"]) for letter in letters] == [
        (b"one", "reason of 0"),
        (b"two", "reason of 1"),
    ]
    assert {letter.fields["pipeline"] for letter in letters} == {"app"}


async def test_one_that_cannot_be_stored_holds_up_no_other() -> None:
    sink = ScriptedSink(*[refusing(b"three")] * 20)
    outcome = await SinkDeadLetters(sink, "app").store(dead(b"one", b"two", b"three", b"four"))
    assert (outcome.fate, outcome.reason) == (Fate.REJECTED, "HTTP 400")
    assert [fate is Fate.CONFIRMED for fate in outcome.per_event or ()] == [True, True, False, True]


async def test_the_body_of_a_letter_too_large_goes_to_a_topic_of_its_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink, raw = ScriptedSink(*[refusing(b"three")] * 20), ScriptedSink()
    outcome = await SinkDeadLetters(sink, "app", raw=raw).store(dead(b"one", b"three"))
    assert (outcome.fate, list(outcome.per_event or ())) == (Fate.CONFIRMED, [Fate.CONFIRMED] * 2)
    assert [read_letter(event).body for event in sink.delivered] == [b"one"]
    assert raw.delivered == [b"three"]
    assert "search: reason of 1" in caplog.text


async def test_a_raw_topic_that_fails_leaves_the_letter_where_it_is() -> None:
    sink, raw = ScriptedSink(*[refusing(b"x")] * 9), ScriptedSink(Outcome(Fate.RETRY, "full"))
    outcome = await SinkDeadLetters(sink, "app", raw=raw).store(dead(b"x"))
    assert (outcome.fate, list(outcome.per_event or ())) == (Fate.REJECTED, [Fate.RETRY])


async def test_a_store_that_fails_says_so_of_all() -> None:
    outcome = await SinkDeadLetters(ScriptedSink(Outcome(Fate.RETRY, "full")), "app").store(dead(b"a", b"b"))
    assert (outcome.fate, outcome.reason, list(outcome.per_event or ())) == (
        Fate.RETRY,
        "full",
        [Fate.RETRY] * 2,
    )


# -- out of a file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    lines = [
        write_letter(letter, "app", 0.0) for letter in dead(*(b"body %d" % number for number in range(250)))
    ]
    file = tmp_path / "dead.ndjson"
    file.write_bytes(b"\n".join(lines) + b"\nno letter\n\n" + lines[0])
    return file


class Taking:
    """Takes all but those of these bodies; may be stopped in the middle."""

    def __init__(self, *refused: bytes, stop_after: int = 1 << 30) -> None:
        self.bodies: list[bytes] = []
        self._refused = refused
        self._stop_after = stop_after

    async def take(self, letters: Sequence[Letter]) -> list[str]:
        if len(self.bodies) >= self._stop_after:
            raise asyncio.CancelledError
        taken = [letter.body for letter in letters if letter.body not in self._refused]
        self.bodies += taken
        return ["" if letter.body in taken else "refused" for letter in letters]


async def run(path: Path, target: Taking | IntoSink | None, again: bool = False, **options: int) -> Tally:
    async with LetterFile(path, again=again) as source:
        assert source.total == 252
        return await replay(source, target, wanted=everything, **options)


async def test_a_file_is_replayed_once(path: Path) -> None:
    target = Taking()
    tally = await run(path, target)
    assert (tally.replayed, tally.failed, tally.left, tally.unreadable) == (250, 0, 0, 1)
    assert target.bodies == [b"body %d" % number for number in range(250)]
    assert (await run(path, target)).replayed == 0
    assert (await run(path, None, again=True)).replayed == 250


async def test_what_was_not_taken_is_tried_again(path: Path) -> None:
    tally = await run(path, Taking(b"body 7"))
    assert (tally.replayed, tally.failed, tally.reasons) == (249, 1, ["refused"])
    target = Taking()
    assert (await run(path, target)).replayed == 1
    assert target.bodies == [b"body 7"]


async def test_an_interruption_loses_none(path: Path) -> None:
    first = Taking(stop_after=100)
    with pytest.raises(asyncio.CancelledError):
        await run(path, first)
    assert len(first.bodies) == 100
    second = Taking()
    await run(path, second)
    assert first.bodies + second.bodies == [b"body %d" % number for number in range(250)]


async def test_a_mark_that_was_cut_off_costs_no_other(path: Path) -> None:
    await run(path, Taking(), limit=10)
    marks = path.with_name("dead.ndjson.replayed")
    marks.write_bytes(marks.read_bytes()[:-5])
    target = Taking()
    await run(path, target)
    assert target.bodies == [b"body %d" % number for number in range(9, 250)]
    assert (await run(path, Taking())).replayed == 0


async def test_a_dry_run_and_a_limit(path: Path) -> None:
    assert (await run(path, None)).replayed == 250
    assert (await run(path, Taking(), limit=10)).replayed == 10
    assert (await run(path, None)).replayed == 240


async def test_what_a_filter_leaves_is_there_for_the_next(path: Path) -> None:
    async with LetterFile(path) as source:
        tally = await replay(source, Taking(), wanted=lambda letter: letter.fields["reason"].endswith("5"))
    assert (tally.replayed, tally.left) == (25, 225)
    assert (await run(path, None)).replayed == 225


async def test_a_rotated_and_compressed_file(path: Path) -> None:
    await run(path, Taking(), limit=10)
    zipped = path.with_name("dead.ndjson.1.gz")
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    path.with_name("dead.ndjson.replayed").rename(path.with_name("dead.ndjson.1.gz.replayed"))
    assert (await run(zipped, None)).replayed == 240


@pytest.mark.parametrize("rest", [b"", b"\xff" * 100], ids=["cut", "garbage"])
async def test_a_torn_compressed_file_is_read_up_to_there_and_told(path: Path, rest: bytes) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    whole, torn = gzip.compress(b"".join(lines[:200])), gzip.compress(b"".join(lines[200:]))
    zipped = path.with_name("dead.ndjson.gz")
    zipped.write_bytes(whole + torn[:20] + rest)
    target = Taking()
    async with LetterFile(zipped) as source:
        tally = await replay(source, target, wanted=everything)
    assert (len(target.bodies), tally.unreadable) == (200, 1)


async def test_into_a_sink_with_the_key_they_had(path: Path) -> None:
    sink = ScriptedSink(*[refusing(b"body 3")] * 40)
    tally = await run(path, IntoSink(sink))
    assert (tally.replayed, tally.reasons) == (239, ["HTTP 400"])  # 3, 30 to 39
    assert len(sink.delivered) == 239


async def test_a_pace() -> None:
    loop = asyncio.get_running_loop()
    pace = Pace(1000.0)
    began = loop.time()
    for _ in range(3):
        await pace.wait(20)
    assert loop.time() - began >= 0.04 - 0.005
    assert (pace.step, Pace(0).step, Pace(3).step) == (100, 100, 1)
