"""What every sink has to keep, whatever it leads to."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateways.pipeline.sink import CONFIRMED, Sink
from gateways.ship.sinks.file import FileSettings
from gateways.ship.sinks.http import HttpSettings
from gateways.ship.sinks.stdout import StdoutSink
from harness.pipeline import RecordingOrigin, make_batch, make_messages
from harness.sinks import LogService

BODIES = [b"plain", b'{"a":1}', b"\xff\x00binary", "naïve ☃".encode(), b"x" * 100_000, b" "]


class Subject:
    """A sink under test and a way to see the lines that arrived."""

    def __init__(self, sink: Sink, lines: Callable[[], list[bytes]]) -> None:
        self.sink = sink
        self.lines = lines


@pytest.fixture(params=["file", "stdout", "http"])
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    if request.param == "http":
        service = LogService()
        yield Subject(HttpSettings(url=(service.url,)).make(4), lambda: service.lines)
        await service.close()
        return
    path = tmp_path / "out"
    if request.param == "file":
        yield Subject(FileSettings(path=str(path)).make(1), lambda: path.read_bytes().split(b"\n")[:-1])
        return
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    yield Subject(StdoutSink(fd), lambda: path.read_bytes().split(b"\n")[:-1])
    os.close(fd)


async def test_a_confirmed_batch_has_arrived_in_order(subject: Subject) -> None:
    sink = subject.sink
    await sink.open()
    events = [sink.encode(message) for message in make_messages(BODIES, RecordingOrigin())]
    assert await sink.send(make_batch(events)) is CONFIRMED
    assert subject.lines() == events
    await sink.close()


async def test_batches_sent_at_once_do_not_mix(subject: Subject) -> None:
    await subject.sink.open()
    batches = [make_batch([b"%d-%d" % (number, event) for event in range(50)]) for number in range(4)]
    outcomes = await asyncio.gather(*(subject.sink.send(batch) for batch in batches))
    assert outcomes == [CONFIRMED] * 4
    lines = subject.lines()
    pieces = [lines[start : start + 50] for start in range(0, 200, 50)]
    assert sorted(pieces) == sorted(batch.events for batch in batches)
    await subject.sink.close()


async def test_an_event_is_one_line_wherever_the_sink_promises_it(subject: Subject) -> None:
    (message,) = make_messages([b"two\nlines"], RecordingOrigin())
    event = subject.sink.encode(message)
    assert (
        event == b"two\nlines"
        if subject.sink.name in ("file", "stdout")
        else json.loads(event) == "two\nlines"
    )


async def test_names_are_short_and_descriptions_one_line(subject: Subject) -> None:
    assert subject.sink.name.split()[0] in ("file", "stdout", "http")
    assert len(subject.sink.name) < 64
    assert "\n" not in subject.sink.describe()
    assert subject.sink.event_overhead == 1


async def test_closing_an_unopened_sink_does_nothing(subject: Subject) -> None:
    await subject.sink.close()
