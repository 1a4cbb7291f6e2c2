"""What every sink has to keep, whatever it leads to."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from gateways.pipeline.batch import Batch
from gateways.pipeline.sink import CONFIRMED, Sink
from gateways.ship.destination import SinkSettings
from gateways.ship.sinks.file import FileSettings
from gateways.ship.sinks.http import HttpSettings
from gateways.ship.sinks.stdout import StdoutSink
from harness import log_services, stores
from harness.pipeline import RecordingOrigin, make_batch, make_messages
from harness.sinks import LogService

STORE_KINDS = {name.split()[0] for name in stores.IN_CONTRACT}
BODIES = [b"plain", b'{"a":1}', b"\xff\x00binary", "naïve ☃".encode(), b"x" * 100_000, b" "]


class Subject:
    """A sink under test and a way to see the events that arrived; `splits` when a newline ends an event."""

    def __init__(self, sink: Sink, events: Callable[[], list[bytes]], *, splits: bool = False) -> None:
        self.sink = sink
        self.events = events
        self.splits = splits

    def batches(self, *bodies: list[bytes]) -> list[Batch]:
        """Encoded, each with messages of its own."""
        made = make_messages([body for each in bodies for body in each], RecordingOrigin())
        for second, message in enumerate(made, 1):
            message.timestamp = second * 1_000_000_000
        messages = iter(made)
        batches = []
        for each in bodies:
            of_batch = [next(messages) for _ in each]
            batch = make_batch([self.sink.encode(message) for message in of_batch])
            batch.messages = of_batch
            batches.append(batch)
        return batches


@pytest.fixture(params=["file", "stdout", "http", *log_services.KINDS, *stores.IN_CONTRACT])
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    path = tmp_path / "out"
    if request.param == "http":
        plain = LogService()
        yield Subject(HttpSettings(url=(plain.url,)).make(4), lambda: plain.lines)
        await plain.close()
    elif request.param in log_services.KINDS:
        async with log_services.running(request.param) as (service, settings):
            sink = TypeAdapter[Any](SinkSettings).validate_python(settings).make(4)
            yield Subject(sink, lambda: service.events)
    elif request.param in stores.IN_CONTRACT:
        with stores.running(stores.IN_CONTRACT[request.param]) as store:
            sink = TypeAdapter[Any](SinkSettings).validate_python(store.config).make(4)
            yield Subject(sink, lambda: store.events)
    elif request.param == "file":
        file = FileSettings(path=str(path)).make(1)
        yield Subject(file, lambda: path.read_bytes().split(b"\n")[:-1], splits=True)
    else:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT)
        yield Subject(StdoutSink(fd), lambda: path.read_bytes().split(b"\n")[:-1], splits=True)
        os.close(fd)


def readable(event: bytes) -> Any:
    """An event without the freedom that JSON leaves."""
    try:
        return json.loads(event)
    except ValueError:
        return event


async def test_a_confirmed_batch_has_arrived_in_order(subject: Subject) -> None:
    sink = subject.sink
    await sink.open()
    (batch,) = subject.batches(BODIES)
    assert await sink.send(batch) is CONFIRMED
    assert [*map(readable, subject.events())] == [*map(readable, batch.events)]
    await sink.close()


async def test_batches_sent_at_once_do_not_mix(subject: Subject) -> None:
    await subject.sink.open()
    batches = subject.batches(
        *([b'{"n":"%d-%d"}' % (number, event) for event in range(50)] for number in range(4))
    )
    outcomes = await asyncio.gather(*(subject.sink.send(batch) for batch in batches))
    assert outcomes == [CONFIRMED] * 4
    events = [*map(readable, subject.events())]
    pieces = [events[start : start + 50] for start in range(0, 200, 50)]
    expected = [[*map(readable, batch.events)] for batch in batches]
    assert sorted(pieces, key=str) == sorted(expected, key=str)
    await subject.sink.close()


async def test_a_message_with_newlines_stays_one_event_wherever_the_sink_promises_it(
    subject: Subject,
) -> None:
    await subject.sink.open()
    (batch,) = subject.batches([b"two\nlines", b'{\n"a":\n1}'])
    assert await subject.sink.send(batch) is CONFIRMED
    assert len(subject.events()) == (5 if subject.splits else 2)
    await subject.sink.close()


async def test_names_are_short_and_descriptions_one_line(subject: Subject) -> None:
    assert subject.sink.name.split()[0] in ("file", "stdout", "http", *log_services.KINDS, *STORE_KINDS)
    assert len(subject.sink.name) < 64
    assert "\n" not in subject.sink.describe()
    assert "token" not in subject.sink.describe()


async def test_limits_are_told(subject: Subject) -> None:
    assert 0 <= subject.sink.event_overhead <= 8
    assert subject.sink.max_events >= 0
    assert subject.sink.max_bytes >= 0


async def test_closing_an_unopened_sink_does_nothing(subject: Subject) -> None:
    await subject.sink.close()
