"""Condition variables, timers and signals: on a running loop, and with the one that is there by itself."""

from __future__ import annotations

import os
import signal as signals
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

from compat.perl import condvar, signal, timer
from harness.polling import eventually_async
from nsqgw.errors import ConfigError

ROOT = Path(__file__).parents[3]


async def test_values_come_through() -> None:
    for values, outcome in (((), None), ((1,), 1), ((1, 2), (1, 2))):
        cv = condvar()
        timer(0, 0, lambda cv=cv, values=values: cv.send(*values))
        assert await cv == outcome
        assert cv.ready
        assert cv.recv() == outcome


async def test_croak_raises() -> None:
    cv = condvar()
    cv.croak("broken")
    cv.send("too late")
    with pytest.raises(RuntimeError, match="broken"):
        await cv
    cv = condvar()
    cv.croak(KeyError("k"))
    with pytest.raises(KeyError):
        cv.recv()


async def test_recv_does_not_block_a_running_loop() -> None:
    with pytest.raises(RuntimeError, match="use `await condvar`"):
        condvar().recv()


async def test_groups(record: Any) -> None:
    cv = condvar(record("ready"))
    cv.begin()
    cv.begin()
    cv.end()
    assert not cv.ready
    cv.end()
    assert cv.ready
    assert record.of("ready") == [(cv,)]
    cv.cb(record("late"))
    assert record.of("late") == [(cv,)]
    own = condvar()
    own.begin(lambda cv: cv.send("all"))
    own.end()
    assert await own == "all"


async def test_another_thread_may_send() -> None:
    cv = condvar()
    thread = threading.Timer(0.02, cv.send, ["from afar"])
    thread.start()
    assert await cv == "from afar"
    thread.join()


async def test_timers_repeat_until_cancelled(record: Any) -> None:
    watcher = timer(0, 0.001, record("tick"))
    await eventually_async(lambda: len(record.calls) >= 3)
    watcher.cancel()
    watcher.cancel()
    seen = len(record.calls)
    cv = condvar()
    timer(0.01, 0, cv.send)
    await cv
    assert len(record.calls) == seen


async def test_signals_are_seen(record: Any) -> None:
    watcher = signal("USR1", record("signal"))
    os.kill(os.getpid(), signals.SIGUSR1)
    await eventually_async(lambda: record.calls)
    watcher.cancel()
    with pytest.raises(ConfigError, match="signal 'NONE' does not exist"):
        signal("NONE", print)


def test_a_program_without_a_loop() -> None:
    program = """
        from compat.perl import Reader, Writer, condvar, timer
        from compat.threaded import ThreadedNsqd

        with ThreadedNsqd() as nsqd:
            done = condvar()

            def received(reader, message):
                reader.mark_as_done_msg(message)
                done.send(message["message"])

            Reader(topic="t", channel="ch", nsqd_tcp_addresses=nsqd.tcp_address, message_cb=received)
            Writer(nsqd_tcp_addresses=nsqd.tcp_address, identify_cb=lambda w, *_: w.publish("t", b"hello"))
            late = timer(20, 0, lambda: done.croak("late"))
            print(done.recv())
    """
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("b'hello'\n", "", 0)
