"""The ClickHouse sink against ClickHouse's own engine: what it takes, refuses, and keeps once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest

from gateways.pipeline.sink import CONFIRMED, Fate, Sink
from harness.kill_targets import ClickHouseProcess
from harness.stores import batch_for, make_sink


@pytest.fixture(scope="module")
def server() -> Iterator[ClickHouseProcess]:
    with closing(ClickHouseProcess()) as process:
        process.start()
        yield process


@pytest.fixture
def table(server: ClickHouseProcess, request: pytest.FixtureRequest) -> Iterator[str]:
    """One of the test's own."""
    name = f"logs.{request.node.name.split('[')[0]}"
    server.ask(f"CREATE TABLE {name} AS logs.events")
    yield name
    server.ask(f"DROP TABLE {name}")


@asynccontextmanager
async def opened(server: ClickHouseProcess, **settings: Any) -> AsyncIterator[Sink]:
    sink = make_sink(server.config | settings)
    await sink.open()
    try:
        yield sink
    finally:
        await sink.close()


def numbers(server: ClickHouseProcess, table: str, final: str = "FINAL") -> Sequence[int]:
    return [int(row[0]) for row in server.ask(f"SELECT n FROM {table} {final} ORDER BY n")]


async def test_rows_are_taken_with_columns_it_has_and_those_it_lacks(
    server: ClickHouseProcess, table: str
) -> None:
    async with opened(server, table=table) as sink:
        batch = batch_for(sink, b'{"n":1,"other":{"a":[1]}}', b'{"n":"9007199254740993"}', b"no JSON")
        assert await sink.send(batch) is CONFIRMED
    assert numbers(server, table) == [0, 1, 9007199254740993]


async def test_a_batch_with_a_bad_row_is_refused_whole(server: ClickHouseProcess, table: str) -> None:
    """So that halving it finds the row, and no other one is there twice."""
    async with opened(server, table=table) as sink:
        outcome = await sink.send(batch_for(sink, b'{"n":1}', b'{"n":"many"}', b'{"n":3}'))
        assert (outcome.fate, outcome.per_event) == (Fate.REJECTED, None)
        assert numbers(server, table) == []
        alone = await sink.send(batch_for(sink, b'{"n":"many"}'))
        assert alone.fate is Fate.REJECTED


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"table": "logs.nowhere"}, "60"),
        ({"table": "nowhere.events"}, "81"),
        ({"settings": {"no_such_setting": "1"}}, "115"),
    ],
)
async def test_what_a_person_has_to_mend_holds_everything(
    server: ClickHouseProcess, settings: dict[str, Any], code: str
) -> None:
    async with opened(server, **settings) as sink:
        outcome = await sink.send(batch_for(sink, b'{"n":1}'))
    assert outcome.fate is Fate.BLOCKED
    assert f"ClickHouse's error {code}" in outcome.reason


async def test_an_event_that_comes_again_in_another_batch_is_there_once(
    server: ClickHouseProcess, table: str
) -> None:
    async with opened(server, table=table) as sink:
        assert await sink.send(batch_for(sink, b'{"n":1}', b'{"n":2}')) is CONFIRMED
        assert await sink.send(batch_for(sink, b'{"n":1}')) is CONFIRMED
    assert numbers(server, table, final="") == [1, 1, 2]
    assert numbers(server, table) == [1, 2]
