"""The sinks to PostgreSQL, SQLite, Redis, syslog and NSQ: servers that end, data they refuse."""

from __future__ import annotations

import asyncio
import re
import socket
import sqlite3
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from gateways.pipeline.batch import Batch
from gateways.pipeline.sink import CONFIRMED, Fate, Sink, SinkUnusable
from gateways.ship.destination import SinkSettings
from harness import stores
from harness.certificates import Certificates, make_certificates
from harness.pipeline import RecordingOrigin, make_batch, make_messages
from harness.private_server import PostgresqlServer, RedisServer, RsyslogServer
from harness.stores import RedisStore, TableStore

TABLE = TypeAdapter[Any](SinkSettings)


def make(config: dict[str, Any]) -> Sink:
    sink: Sink = TABLE.validate_python(config).make(4)
    return sink


def batch_of(sink: Sink, *bodies: bytes) -> Batch:
    messages = make_messages(bodies, RecordingOrigin())
    batch = make_batch([sink.encode(message) for message in messages])
    batch.messages = messages
    return batch


@pytest.fixture
async def opened() -> AsyncIterator[Callable[[dict[str, Any]], Any]]:
    """Opens sinks, and closes them."""
    sinks: list[Sink] = []

    async def open_sink(config: dict[str, Any]) -> Sink:
        sink = make(config)
        await sink.open()
        sinks.append(sink)
        return sink

    yield open_sink
    for sink in sinks:
        await sink.close()


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path)


Open = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize("name", [name for name in stores.STORES if name != "nsq"])
async def test_a_server_that_ends_and_comes_back(name: str, opened: Open) -> None:
    with stores.running(stores.STORES[name]) as store:
        sink = await opened(store.config)
        assert await sink.send(batch_of(sink, b"before")) is CONFIRMED
        await asyncio.to_thread(store.kill)
        batch = batch_of(sink, b"ignored by keys", b"after")
        outcome = await sink.send(batch)
        assert outcome.fate is Fate.RETRY
        assert outcome.reason
        await asyncio.to_thread(store.start)
        assert await _sent_again(sink, batch)
        assert await sink.send(batch) is CONFIRMED
        assert set(store.events) >= {b"before", b"after"}
        if name in stores.KEYED:
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
        assert (await sink.send(batch_of(sink, b"body"))).fate is Fate.RETRY, config


# -- PostgreSQL


@pytest.mark.parametrize("column", ["text", "jsonb"])
async def test_bodies_that_a_column_cannot_take_are_refused_alone(column: str, opened: Open) -> None:
    with stores.running(TableStore) as store:
        sink = await opened({**store.config, "body": column})
        outcome = await sink.send(batch_of(sink, b'{"a":1}', b"\xff", b'"\0"', b'{"b":2}'))
        assert outcome.per_event == [Fate.CONFIRMED, Fate.REJECTED, Fate.REJECTED, Fate.CONFIRMED]
        assert outcome.reasons == {
            1: "the body is no UTF-8, and the column takes no other",
            2: "the body has a NUL, which the column does not take",
        }


async def test_what_is_no_json_refuses_its_batch_for_the_pipeline_to_find_it(opened: Open) -> None:
    with stores.running(TableStore) as store:
        sink = await opened({**store.config, "body": "jsonb"})
        outcome = await sink.send(batch_of(sink, b"{}", b"no json"))
        assert (outcome.fate, outcome.per_event) == (Fate.REJECTED, None)
        assert "22P02" in outcome.reason
        assert await sink.send(batch_of(sink, b"{}")) is CONFIRMED


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
        outcome = await sink.send(batch_of(sink, b"body"))
        assert outcome.fate is (Fate.RETRY if "read-only" in reason else Fate.BLOCKED)
        assert re.search(reason, outcome.reason), outcome.reason


async def test_a_dsn_that_makes_no_sense_is_not_shown() -> None:
    sink = make({"type": "postgresql", "dsn": "password=secret nonsense"})
    with pytest.raises(SinkUnusable, match="the dsn cannot be read: write one such as") as caught:
        await sink.open()
    assert "secret" not in str(caught.value)


async def test_an_insert_that_hangs_can_be_given_up_at_once(opened: Open) -> None:
    with stores.running(stores.PostgresqlStore) as store:
        assert isinstance(store, PostgresqlServer)
        sink = await opened(store.config)
        await sink.send(batch_of(sink, b"first"))
        import psycopg

        with psycopg.connect(store.dsn) as holder:
            holder.execute("LOCK TABLE nsq_events IN ACCESS EXCLUSIVE MODE")
            batch = batch_of(sink, b"first", b"second")
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
    await sink.send(batch_of(sink, b"first"))
    path.rename(tmp_path / "old.db")
    assert await sink.send(batch_of(sink, b"second", b"\xff\0")) is CONFIRMED
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT topic, attempts, body FROM nsq_events").fetchall()
    database.close()
    assert rows == [("events", 1, "second"), ("events", 1, b"\xff\0")]


async def test_what_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    path.write_bytes(b"no database" * 100)
    sink = make({"type": "sqlite", "path": str(path)})
    with pytest.raises(SinkUnusable, match=f"cannot open {path}: file is not a database; choose"):
        await sink.open()
    await sink.close()


# -- Redis


async def test_a_key_of_another_kind_refuses_only_its_events(opened: Open) -> None:
    with stores.running(lambda: RedisStore("list")) as store:
        assert isinstance(store, RedisServer)
        store.ask(lambda client: client.set("taken", "text"))
        sink = await opened({**store.config, "key": "{field:key}"})
        outcome = await sink.send(batch_of(sink, b'{"key":"events"}', b'{"key":"taken"}', b"{}"))
        assert outcome.per_event == [Fate.CONFIRMED, Fate.BLOCKED, Fate.REJECTED]
        assert outcome.reasons is not None
        assert outcome.reasons[1].startswith("WRONGTYPE")


@pytest.mark.parametrize(("mode", "kept"), [("list", [b"2", b"3"]), ("stack", [b"3", b"2"])])
async def test_a_list_is_cut_to_its_length(mode: str, kept: list[bytes], opened: Open) -> None:
    with stores.running(lambda: RedisStore(mode)) as store:
        sink = await opened({**store.config, "max_length": 2})
        assert await sink.send(batch_of(sink, b"1", b"2", b"3")) is CONFIRMED
        assert store.events == kept


async def test_a_stream_has_what_is_known_of_the_message(opened: Open) -> None:
    with stores.running(lambda: RedisStore("stream")) as store:
        assert isinstance(store, RedisServer)
        sink = await opened({**store.config, "max_length": 1000})
        await sink.send(batch_of(sink, b"body"))
        ((_, fields),) = store.ask(lambda client: client.xrange("events"), [])  # type: ignore[misc]
        assert fields == {
            b"body": b"body", b"topic": b"events", b"id": b"%016x" % 0, b"timestamp": b"0", b"attempts": b"1",
        }  # fmt: skip


async def test_replicas_that_are_not_there_confirm_nothing(opened: Open) -> None:
    with stores.running(lambda: RedisStore("list")) as store:
        sink = await opened({**store.config, "wait_replicas": 1, "timeout": 0.2})
        outcome = await sink.send(batch_of(sink, b"body"))
        assert (outcome.fate, outcome.reason) == (Fate.RETRY, "fewer than 1 replicas have it in time")


async def test_wrong_credentials_for_redis_need_a_person(opened: Open) -> None:
    with stores.running(lambda: RedisStore("list")) as store:
        assert isinstance(store, RedisServer)
        store.ask(lambda client: client.config_set("requirepass", "right"))
        for url in (store.url, store.url.replace("unix://", "unix://:wrong@")):
            sink = await opened({**store.config, "url": url})
            outcome = await sink.send(batch_of(sink, b"body"))
            assert outcome.fate is Fate.BLOCKED
            assert "wrong@" not in sink.describe()


# -- syslog


async def test_rsyslog_reads_what_is_known_of_the_message(opened: Open) -> None:
    with stores.running(stores.RsyslogStore) as store:
        assert isinstance(store, RsyslogServer)
        sink = await opened(
            {
                **store.config,
                "facility": "local3",
                "severity": "warning",
                "hostname": "a b",
                "app_name": "{topic}",
            }
        )
        (message,) = make_messages([b"hello"], RecordingOrigin())
        message.timestamp = 1_700_000_000_123_456_789
        batch = make_batch([sink.encode(message)])
        assert await sink.send(batch) is CONFIRMED
        key = f"events-{'0' * 16}-1700000000123456789"
        (header,) = store.headers
        assert header.startswith(b"156 2023-11-14T22:13:20.123456")
        assert header.endswith(f'a_b events [nsq@32473 topic="events" key="{key}"]'.encode())


async def test_rsyslog_over_tls(certificates: Certificates, opened: Open) -> None:
    with stores.running(
        lambda: stores.RsyslogStore(certificates.ca, certificates.server, certificates.server_key)
    ) as store:
        sink = await opened({**store.config, "tls": {"ca_file": certificates.ca}})
        assert await sink.send(batch_of(sink, *(b"%d" % number for number in range(1000)))) is CONFIRMED
        assert store.events == [b"%d" % number for number in range(1000)]
        distrustful = await opened({**store.config, "tls": {}})
        outcome = await distrustful.send(batch_of(sink, b"body"))
        assert outcome.fate is Fate.BLOCKED
        assert "its certificate is not accepted" in outcome.reason


async def test_what_is_too_long_for_syslog_is_refused_or_cut_between_characters(opened: Open) -> None:
    with stores.running(stores.SyslogReceiver) as store:
        strict = await opened({**store.config, "max_length": 500})
        outcome = await strict.send(batch_of(strict, b"short", b"x" * 500))
        assert outcome.per_event == [Fate.CONFIRMED, Fate.REJECTED]
        assert "max_length is 500" in (outcome.reasons or {})[1]
        cutting = await opened({**store.config, "max_length": 500, "oversize": "truncate"})
        assert await cutting.send(batch_of(cutting, "ä☃😀".encode() * 100)) is CONFIRMED
        frame = store.events[-1].split(b" ", 1)[1]
        assert 497 <= len(frame) <= 500
        frame.decode()


async def test_newline_framing_keeps_an_event_on_its_line() -> None:
    sink = make({"type": "syslog", "address": "h", "framing": "newline", "structured_data": False})
    (event,) = batch_of(sink, b"two\nlines").events
    assert re.fullmatch(rb"<14>1 1970-01-01T00:00:00\.000000Z \S+ events \d+ - - two#012lines\n", event)


@pytest.mark.parametrize("how", ["reset", "silence"])
async def test_a_receiver_that_does_not_end_in_order_confirms_nothing(how: str, opened: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        release = threading.Event()

        def receive() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(10)
                if how == "reset":  # unread data does the same when a process dies
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    release.wait(10)

        thread = threading.Thread(target=receive)
        thread.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        sink = await opened({"type": "syslog", "address": address, "timeout": 0.2})
        outcome = await sink.send(batch_of(sink, b"body"))
        release.set()
        thread.join()
        assert outcome.fate is Fate.RETRY
        if how == "reset":  # noticed at one of two places
            assert outcome.reason in ("Connection reset by peer", "Transport endpoint is not connected")
        else:
            assert outcome.reason == "no answer within 0.2s"


@pytest.mark.parametrize("tls", [False, True])
async def test_sent_is_enough_for_receivers_that_never_close(
    tls: bool, certificates: Certificates, opened: Open
) -> None:
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def receive() -> None:
            connection, _ = server.accept()
            with (
                certificates.serving.wrap_socket(connection, server_side=True)
                if tls
                else connection as stream
            ):
                try:
                    while data := stream.recv(1000):
                        received.append(data)
                except ssl.SSLError:
                    pass

        thread = threading.Thread(target=receive)
        thread.start()
        config: dict[str, Any] = {
            "type": "syslog",
            "address": f"127.0.0.1:{server.getsockname()[1]}",
            "confirm": "sent",
        }
        sink = await opened({**config, "tls": {"ca_file": certificates.ca}} if tls else config)
        assert await sink.send(batch_of(sink, b"body")) is CONFIRMED
        await asyncio.to_thread(thread.join)
    assert b"".join(received).endswith(b" body")


# -- NSQ


async def test_what_nsqd_takes_from_nobody_is_refused_alone(opened: Open) -> None:
    with stores.running(stores.IN_CONTRACT["nsq"]) as store:
        sink = await opened({**store.config, "topic": "{field:to|events}", "max_message_size": 1000})
        outcome = await sink.send(batch_of(sink, b"", b"x" * 1001, b'{"to":"no topic"}', b"good"))
        assert outcome.per_event == [*[Fate.REJECTED] * 3, Fate.CONFIRMED]
        assert store.events == [b"good"]


def test_an_nsq_sink_needs_an_nsqd() -> None:
    with pytest.raises(ValueError, match="no nsqd: give nsqd_tcp_addresses or lookupd_http_addresses"):
        make({"type": "nsq"})
