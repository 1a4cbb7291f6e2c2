"""The sink to syslog: what rsyslog reads, TLS, lengths, receivers that do not end in order."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateways.pipeline.sink import CONFIRMED, Fate
from harness import stores
from harness.certificates import Certificates, make_certificates
from harness.pipeline import RecordingOrigin, make_batch, make_messages
from harness.private_server import RsyslogServer
from harness.stores import batch_for, make_sink

Open = Callable[[dict[str, Any]], Any]


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path)


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
        assert await sink.send(batch_for(sink, *(b"%d" % number for number in range(1000)))) is CONFIRMED
        assert store.events == [b"%d" % number for number in range(1000)]
        distrustful = await opened({**store.config, "tls": {}})
        outcome = await distrustful.send(batch_for(sink, b"body"))
        assert outcome.fate is Fate.BLOCKED
        assert "its certificate is not accepted" in outcome.reason


async def test_what_is_too_long_for_syslog_is_refused_or_cut_between_characters(opened: Open) -> None:
    with stores.running(stores.SyslogReceiver) as store:
        strict = await opened({**store.config, "max_length": 500})
        outcome = await strict.send(batch_for(strict, b"short", b"x" * 500))
        assert outcome.per_event == [Fate.CONFIRMED, Fate.REJECTED]
        assert "max_length is 500" in (outcome.reasons or {})[1]
        cutting = await opened({**store.config, "max_length": 500, "oversize": "truncate"})
        assert await cutting.send(batch_for(cutting, "ä☃😀".encode() * 100)) is CONFIRMED
        frame = store.events[-1].split(b" ", 1)[1]
        assert 497 <= len(frame) <= 500
        frame.decode()


async def test_newline_framing_keeps_an_event_on_its_line() -> None:
    sink = make_sink({"type": "syslog", "address": "h", "framing": "newline", "structured_data": False})
    (event,) = batch_for(sink, b"two\nlines").events
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
        outcome = await sink.send(batch_for(sink, b"body"))
        release.set()
        thread.join()
        assert outcome.fate is Fate.RETRY
        assert outcome.unsure
        if how == "reset":  # noticed at one of two places
            assert outcome.reason in ("Connection reset by peer", "Transport endpoint is not connected")
        else:
            assert outcome.reason == "no answer within 0.2s"


async def test_an_end_of_tcp_without_one_of_tls_confirms_nothing(
    certificates: Certificates, opened: Open
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def receive() -> None:
            connection, _ = server.accept()
            with certificates.serving.wrap_socket(connection, server_side=True) as stream:
                while stream.recv(1000):
                    pass  # until our close_notify; closing then without one is what a cut looks like

        thread = threading.Thread(target=receive)
        thread.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        sink = await opened({"type": "syslog", "address": address, "tls": {"ca_file": certificates.ca}})
        outcome = await sink.send(batch_for(sink, b"body"))
        await asyncio.to_thread(thread.join)
    assert (outcome.fate, outcome.unsure) == (Fate.RETRY, True)
    assert outcome.reason == "it was cut off: the receiver did not end TLS"


async def test_what_never_left_is_not_there_twice(opened: Open) -> None:
    sink = await opened({"type": "syslog", "address": "127.0.0.1:1"})
    outcome = await sink.send(batch_for(sink, b"body"))
    assert (outcome.fate, outcome.unsure) == (Fate.RETRY, False)


async def test_sent_is_not_enough_when_a_reset_follows(opened: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def receive() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(10)  # the rest is unread, so closing resets

        thread = threading.Thread(target=receive)
        thread.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        sink = await opened({"type": "syslog", "address": address, "confirm": "sent", "linger": 10})
        outcome = await sink.send(batch_for(sink, b"body"))
        await asyncio.to_thread(thread.join)
    assert (outcome.fate, outcome.unsure) == (Fate.RETRY, True)


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
            "linger": 0.1,
        }
        sink = await opened({**config, "tls": {"ca_file": certificates.ca}} if tls else config)
        assert await sink.send(batch_for(sink, b"body")) is CONFIRMED
        await asyncio.to_thread(thread.join)
    assert b"".join(received).endswith(b" body")
