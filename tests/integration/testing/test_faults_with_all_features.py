"""Faults on an nsqd that asks an auth server, stores to disk, encrypts or compresses: the rest still works.

What these features make a command wait for, it waits for under faults, too; and faults strike inside them.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from compat.testing import EmbeddedNsqd
from harness.auth_server import ALL, AuthServer
from harness.certificates import make_certificates
from harness.encrypted import CODECS, Layered
from harness.polling import eventually
from harness.wire import ERROR, RESPONSE, Closed, Wire, mpub_body

Start = Callable[..., EmbeddedNsqd]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts an nsqd as the fixture `nsqd` gives it, with flags."""
    with ExitStack() as running:

        def begin(**flags: Any) -> EmbeddedNsqd:
            daemon = EmbeddedNsqd(**flags)
            running.callback(daemon.close)
            daemon.start()
            return daemon

        yield begin


@pytest.fixture
def auth() -> Iterator[AuthServer]:
    with AuthServer() as server:
        server.grants["secret"] = [ALL]
        yield server


def test_auth_is_answered_when_the_auth_server_has_answered(start: Start, auth: AuthServer) -> None:
    nsqd = start(auth_http_addresses=(auth.address,))
    nsqd.faults.delay("AUTH", 0.01)
    nsqd.faults.fail("PUB", nth=2, error="E_PUB_FAILED on purpose")
    with Wire(nsqd.tcp_address) as wire:
        wire.send(b"AUTH\n\0\0\0\6secret" + b"PUB t\n\0\0\0\1x" * 2)
        assert b'"permission_count":1' in wire.frame().data
        assert wire.frame() == (RESPONSE, b"OK")
        assert wire.error() == "E_PUB_FAILED on purpose"
        assert wire.is_closed()
    nsqd.topic("t").assert_published(1)


def test_auth_refused_on_purpose_and_by_the_auth_server(start: Start, auth: AuthServer) -> None:
    nsqd = start(auth_http_addresses=(auth.address,))
    nsqd.faults.fail("AUTH", nth=1)
    for secret, told in (
        (b"secret", b"E_AUTH_FAILED AUTH failed on purpose"),
        (b"unknown", b"E_AUTH_FAILED AUTH failed"),
    ):
        with Wire(nsqd.tcp_address) as wire:
            assert wire.ask(b"AUTH", secret) == (ERROR, told)
    assert [question["secret"] for question in auth.questions] == ["unknown"]


def test_a_grant_expires_by_the_turned_clock(start: Start, auth: AuthServer) -> None:
    nsqd = start(auth_http_addresses=(auth.address,))
    with Wire(nsqd.tcp_address) as wire:
        wire.identify(heartbeat_interval=-1)
        assert wire.ask(b"AUTH", b"secret").type == RESPONSE
        wire.ok(b"PUB t", b"x")
        assert len(auth.questions) == 1
        nsqd.clock.advance(3601)
        wire.ok(b"PUB t", b"y")
        assert len(auth.questions) == 2


@pytest.mark.parametrize("sync_every", [1, 2500])
def test_answers_wait_for_the_disk_and_keep_their_order(
    start: Start, tmp_path: Path, sync_every: int
) -> None:
    flags = {"data_path": str(tmp_path), "mem_queue_size": 0, "sync_every": sync_every}
    nsqd = start(**flags)
    nsqd.faults.delay("PUB", 0.01, nth=2)
    nsqd.faults.drop("PUB", nth=3)
    with Wire(nsqd.tcp_address) as wire:
        wire.send(b"".join(b"PUB t\n\0\0\0\1%d" % number for number in range(5)))
        wire.send(b"MPUB t\n" + mpub_body(b"m", b"n") + b"DPUB t 0\n\0\0\0\1d" + b"FIN x\n")
        assert [wire.frame() for _ in range(6)] == [(RESPONSE, b"OK")] * 6
        assert wire.error() == "E_INVALID cannot FIN in current state"
    expected = [b"0", b"1", b"3", b"4", b"m", b"n", b"d"]
    assert nsqd.topic("t").published == expected
    nsqd.stop()
    nsqd.start()
    with Wire(nsqd.tcp_address) as wire:
        wire.subscribe("t", "c", rdy=1)
        for body in expected:
            message = wire.message()
            assert message.body == body
            wire.finish(message.id)
    nsqd.topic("t").channel("c").assert_finished(len(expected))


def test_what_is_read_from_disk_comes_twice_on_demand(start: Start, tmp_path: Path) -> None:
    nsqd = start(data_path=str(tmp_path), mem_queue_size=0, sync_every=1)
    nsqd.faults.duplicate(nth=1)
    with Wire(nsqd.tcp_address) as wire:
        wire.subscribe("t", "c", rdy=1)
        wire.send(b"PUB t\n\0\0\0\1x")
        frames = sorted((wire.frame(), wire.frame()))
        assert frames[0] == (RESPONSE, b"OK")
        wire.finish(frames[1].data[10:26])
        again = wire.message()
        assert (again.body, again.attempts) == (b"x", 2)
        wire.finish(again.id)
    nsqd.topic("t").channel("c").assert_finished(1)


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("compression", ["none", *CODECS])
def test_faults_strike_inside_tls_and_compression(
    start: Start, tmp_path: Path, encrypted: bool, compression: str
) -> None:
    files = make_certificates(tmp_path)
    nsqd = start(tls_cert=files.server, tls_key=files.server_key, https_address="")
    nsqd.faults.delay("PUB", 0.01, nth=1)
    nsqd.faults.fail("TOUCH")
    nsqd.faults.disconnect("PUB", nth=3)
    asked = {} if compression == "none" else {compression: True}
    with Wire(nsqd.tcp_address) as wire:
        answer = wire.negotiate(tls_v1=encrypted, **asked)
        assert answer["tls_v1"] is encrypted
        stream = Layered(wire, ssl.create_default_context(cafile=files.ca) if encrypted else None)
        with stream.socket:
            if encrypted:
                assert stream.frame() == (RESPONSE, b"OK")
            if asked:
                stream.start_compression(CODECS[compression]())
                assert stream.frame() == (RESPONSE, b"OK")
            assert stream.ask(b"SUB t c") == (RESPONSE, b"OK")
            stream.send(b"PUB t\n\0\0\0\1x" + b"TOUCH 0123456789abcdef\n" + b"PUB t\n\0\0\0\1y")
            assert [stream.frame() for _ in range(3)] == [
                (RESPONSE, b"OK"),
                (ERROR, b"E_TOUCH_FAILED TOUCH failed on purpose"),
                (RESPONSE, b"OK"),
            ]
            stream.send(b"PUB t\n\0\0\0\1z")
            with pytest.raises((Closed, ssl.SSLError, ConnectionError)):
                stream.frame()
    assert nsqd.topic("t").published == [b"x", b"y"]
    eventually(lambda: nsqd.topic("t").channel("c").figures.consumers == 0)
