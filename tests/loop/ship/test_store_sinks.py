"""The sinks to PostgreSQL, SQLite, Redis, syslog and NSQ: servers that end, data they refuse."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from gateways.pipeline.batch import Batch
from gateways.pipeline.sink import CONFIRMED, Fate, Sink, SinkUnusable
from harness import stores
from harness.kill_targets import KEYED
from harness.private_server import PostgresqlServer, RedisServer
from harness.stores import RedisStore, TableStore, batch_for, make_sink
from nsqgw.errors import NSQError

Open = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize("name", [name for name in stores.STORES if name != "nsq"])
async def test_a_server_that_ends_and_comes_back(name: str, opened: Open) -> None:
    with stores.running(stores.STORES[name]) as store:
        sink = await opened(store.config)
        assert await sink.send(batch_for(sink, b"before")) is CONFIRMED
        await asyncio.to_thread(store.kill)
        batch = batch_for(sink, b"ignored by keys", b"after")
        outcome = await sink.send(batch)
        assert outcome.fate is Fate.RETRY
        assert outcome.reason
        await asyncio.to_thread(store.start)
        assert await _sent_again(sink, batch)
        assert await sink.send(batch) is CONFIRMED
        assert set(store.events) >= {b"before", b"after"}
        if name in KEYED:
            assert len(store.events) == 2


async def _sent_again(sink: Sink, batch: Batch) -> bool:
    """Connections that the server cut are found out one by one."""
    for _ in range(5):
        if await sink.send(batch) is CONFIRMED:
            return True
    return False


async def test_a_server_that_is_down_at_the_start_is_waited_for(opened: Open) -> None:
    for config in (
        {"type": "postgresql", "dsn": "host=127.0.0.1 port=1 user=x dbname=x"},
        {"type": "redis", "url": "redis://127.0.0.1:1"},
        {"type": "syslog", "address": "127.0.0.1:1"},
        {"type": "nsq", "nsqd_tcp_addresses": ["127.0.0.1:1"], "publish_timeout": 0.05},
    ):
        sink = await opened(config)
        assert (await sink.send(batch_for(sink, b"body"))).fate is Fate.RETRY, config


@pytest.mark.parametrize("name", ["postgresql", "redis list", "syslog", "nsq"])
async def test_a_probe_tells_whether_it_is_reached(name: str, opened: Open) -> None:
    with stores.running(stores.IN_CONTRACT[name]) as store:
        config = store.config
        sink = await opened(config)
        await sink.probe()
        if name != "postgresql":  # which has no table yet
            assert store.events == []
    address = {"postgresql": "dsn", "redis list": "url", "syslog": "address", "nsq": "nsqd_tcp_addresses"}[
        name
    ]
    nobody = {"dsn": "host=127.0.0.1 port=1", "url": "redis://127.0.0.1:1", "address": "127.0.0.1:1"}
    wrong = {address: nobody.get(address, ["127.0.0.1:1"])}
    if name == "nsq":
        wrong["publish_timeout"] = 0.05
    with pytest.raises(NSQError, match=r"refused|Connect call failed"):
        await (await opened({**config, **wrong})).probe()


# -- PostgreSQL


@pytest.mark.parametrize("column", ["text", "jsonb"])
async def test_bodies_that_a_column_cannot_take_are_refused_alone(column: str, opened: Open) -> None:
    with stores.running(TableStore) as store:
        sink = await opened({**store.config, "body": column})
        outcome = await sink.send(batch_for(sink, b'{"a":1}', b"\xff", b'"\0"', b'{"b":2}'))
        assert outcome.per_event == [Fate.CONFIRMED, Fate.REJECTED, Fate.REJECTED, Fate.CONFIRMED]
        assert outcome.reasons == {
            1: "the body is no UTF-8, and the column takes no other",
            2: "the body has a NUL, which the column does not take",
        }


async def test_what_is_no_json_refuses_its_batch_for_the_pipeline_to_find_it(opened: Open) -> None:
    with stores.running(TableStore) as store:
        sink = await opened({**store.config, "body": "jsonb"})
        outcome = await sink.send(batch_for(sink, b"{}", b"no json"))
        assert (outcome.fate, outcome.per_event) == (Fate.REJECTED, None)
        assert "22P02" in outcome.reason
        assert await sink.send(batch_for(sink, b"{}")) is CONFIRMED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"table": "missing", "create_table": False},
            r'relation "missing" does not exist \(SQLSTATE 42P01\)',
        ),
        ({"dsn": "{dsn} options='-c default_transaction_read_only=on'"}, "read-only transaction"),
        ({"dsn": "host={folder} user=postgres dbname=nowhere"}, 'database "nowhere" does not exist'),
        ({"dsn": "host={folder} user=nobody dbname=postgres"}, 'role "nobody" does not exist'),
    ],
)
async def test_what_a_person_has_to_mend_in_postgresql(
    changes: dict[str, Any], reason: str, opened: Open
) -> None:
    with stores.running(TableStore) as store:
        config = store.config
        folder = config["dsn"].split()[0].removeprefix("host=")
        given = {
            name: value.format(dsn=config["dsn"], folder=folder) if isinstance(value, str) else value
            for name, value in changes.items()
        }
        sink = await opened({**config, **given})
        outcome = await sink.send(batch_for(sink, b"body"))
        assert outcome.fate is (Fate.RETRY if "read-only" in reason else Fate.BLOCKED)
        assert re.search(reason, outcome.reason), outcome.reason


async def test_a_dsn_that_makes_no_sense_is_not_shown() -> None:
    sink = make_sink({"type": "postgresql", "dsn": "password=secret nonsense"})
    with pytest.raises(SinkUnusable, match="the dsn cannot be read: write one such as") as caught:
        await sink.open()
    assert "secret" not in str(caught.value)


async def test_an_insert_that_hangs_can_be_given_up_at_once(opened: Open) -> None:
    with stores.running(stores.PostgresqlStore) as store:
        assert isinstance(store, PostgresqlServer)
        sink = await opened(store.config)
        await sink.send(batch_for(sink, b"first"))
        import psycopg

        with psycopg.connect(store.dsn) as holder:
            holder.execute("LOCK TABLE nsq_events IN ACCESS EXCLUSIVE MODE")
            batch = batch_for(sink, b"first", b"second")
            sending = asyncio.create_task(sink.send(batch))
            await asyncio.wait([sending], timeout=0.05)
            sending.cancel()
            await asyncio.wait([sending], timeout=1.0)
            assert sending.cancelled()
        assert await _sent_again(sink, batch)
        assert sorted(store.events) == [b"first", b"second"]


# -- SQLite


async def test_a_database_that_was_moved_away_is_begun_anew(tmp_path: Path, opened: Open) -> None:
    path = tmp_path / "events.db"
    sink = await opened({"type": "sqlite", "path": str(path)})
    await sink.send(batch_for(sink, b"first"))
    path.rename(tmp_path / "old.db")
    assert await sink.send(batch_for(sink, b"second", b"\xff\0")) is CONFIRMED
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT topic, attempts, body FROM nsq_events").fetchall()
    database.close()
    assert rows == [("events", 1, "second"), ("events", 1, b"\xff\0")]


async def test_what_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    path.write_bytes(b"no database" * 100)
    sink = make_sink({"type": "sqlite", "path": str(path)})
    with pytest.raises(SinkUnusable, match=f"cannot open {path}: file is not a database; choose"):
        await sink.open()
    await sink.close()


# -- Redis


async def test_a_key_of_another_kind_refuses_only_its_events(opened: Open) -> None:
    with stores.running(lambda: RedisStore("list")) as store:
        assert isinstance(store, RedisServer)
        store.ask(lambda client: client.set("taken", "text"))
        sink = await opened({**store.config, "key": "{field:key}"})
        outcome = await sink.send(batch_for(sink, b'{"key":"events"}', b'{"key":"taken"}', b"{}"))
        assert outcome.per_event == [Fate.CONFIRMED, Fate.BLOCKED, Fate.REJECTED]
        assert outcome.reasons is not None
        assert outcome.reasons[1].startswith("WRONGTYPE")


@pytest.mark.parametrize(("mode", "kept"), [("list", [b"2", b"3"]), ("stack", [b"3", b"2"])])
async def test_a_list_is_cut_to_its_length(mode: str, kept: list[bytes], opened: Open) -> None:
    with stores.running(lambda: RedisStore(mode)) as store:
        sink = await opened({**store.config, "max_length": 2})
        assert await sink.send(batch_for(sink, b"1", b"2", b"3")) is CONFIRMED
        assert store.events == kept


async def test_a_stream_has_what_is_known_of_the_message(opened: Open) -> None:
    with stores.running(lambda: RedisStore("stream")) as store:
        assert isinstance(store, RedisServer)
        sink = await opened({**store.config, "max_length": 1000})
        await sink.send(batch_for(sink, b"body"))
        ((_, fields),) = store.ask(lambda client: client.xrange("events"), [])  # type: ignore[misc]
        assert fields == {
            b"body": b"body", b"topic": b"events", b"id": b"%016x" % 0, b"timestamp": b"0", b"attempts": b"1",
        }  # fmt: skip


async def test_what_is_set_is_the_last_one_and_what_is_published_is_heard(opened: Open) -> None:
    with stores.running(lambda: RedisStore("set")) as store:
        assert isinstance(store, RedisServer)
        sink = await opened({**store.config, "key": "last:{topic}"})
        assert await sink.send(batch_for(sink, b"one", b"two")) is CONFIRMED
        assert store.ask(lambda client: client.get("last:events")) == b"two"
        sink = await opened({**store.config, "mode": "publish", "key": "{topic}"})
        with redis.Redis(unix_socket_path=store.url.removeprefix("unix://")) as client:
            listener = client.pubsub()
            listener.subscribe("events")
            assert listener.get_message(timeout=5.0)
            assert await sink.send(batch_for(sink, b"one")) is CONFIRMED
            heard = listener.get_message(timeout=5.0)
            listener.close()
        assert heard is not None
        assert heard["data"] == b"one"


@pytest.mark.parametrize("mode", ["set", "publish"])
def test_a_length_of_what_has_none_is_refused(mode: str) -> None:
    with pytest.raises(ValueError, match=f"max_length has no meaning with mode {mode}"):
        make_sink({"type": "redis", "url": "redis://h", "mode": mode, "max_length": 1})


async def test_replicas_that_are_not_there_confirm_nothing(opened: Open) -> None:
    with stores.running(lambda: RedisStore("list")) as store:
        sink = await opened({**store.config, "wait_replicas": 1, "timeout": 0.2})
        outcome = await sink.send(batch_for(sink, b"body"))
        assert (outcome.fate, outcome.reason) == (Fate.RETRY, "fewer than 1 replicas have it in time")
        assert outcome.unsure, "they are there, and pushed again"


async def test_wrong_credentials_for_redis_need_a_person(opened: Open) -> None:
    with stores.running(lambda: RedisStore("list")) as store:
        assert isinstance(store, RedisServer)
        store.ask(lambda client: client.config_set("requirepass", "right"))
        for url in (store.url, store.url.replace("unix://", "unix://:wrong@")):
            sink = await opened({**store.config, "url": url})
            outcome = await sink.send(batch_for(sink, b"body"))
            assert outcome.fate is Fate.BLOCKED
            assert "wrong@" not in sink.describe()


# -- NSQ


async def test_what_nsqd_takes_from_nobody_is_refused_alone(opened: Open) -> None:
    with stores.running(stores.IN_CONTRACT["nsq"]) as store:
        sink = await opened({**store.config, "topic": "{field:to|events}", "max_message_size": 1000})
        outcome = await sink.send(batch_for(sink, b"", b"x" * 1001, b'{"to":"no topic"}', b"good"))
        assert outcome.per_event == [*[Fate.REJECTED] * 3, Fate.CONFIRMED]
        assert store.events == [b"good"]


def test_an_nsq_sink_needs_an_nsqd() -> None:
    with pytest.raises(ValueError, match="no nsqd: give nsqd_tcp_addresses or lookupd_http_addresses"):
        make_sink({"type": "nsq"})
