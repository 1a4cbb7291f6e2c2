"""Publishing without a loop: threads, a broker that dies, the end of a program, forks, Ctrl-C."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from harness.daemons import Daemon
from harness.draining import consume
from harness.http import stats
from harness.polling import eventually
from nsqgw import BlockingProducer, Producer, ProducerConfig
from nsqgw.errors import (
    Closed,
    ConfigError,
    DeadlineExceeded,
    InvalidName,
    MessageTooBig,
    NotConnected,
    NSQError,
    PublishError,
)
from nsqgw.instrument import Connected, Fact
from nsqgw.producer import blocking
from nsqgw.producer.thread import ProducerThread

ROOT = Path(__file__).parents[3]
NOWHERE = ["127.0.0.1:1"]
QUICK: dict[str, Any] = {"reconnect_min_delay": 0.02, "reconnect_max_delay": 0.2}
_topics = itertools.count()


@pytest.fixture
def topic() -> str:
    return f"blocking-{next(_topics)}"


def in_threads(count: int, work: Callable[[int], None]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    return threads


def message_count(nsqd: Daemon, topic: str) -> int:
    found = [
        entry["message_count"] for entry in stats(nsqd.http_address)["topics"] if entry["topic_name"] == topic
    ]
    return sum(found)


def program(nsqd: Daemon, code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, "NSQD_TCP_ADDRESS": nsqd.tcp_address},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


# -- in one process


def test_many_threads_publish_everything_once(broker: Daemon, topic: str) -> None:
    with BlockingProducer([broker.tcp_address]) as producer:

        def work(thread: int) -> None:
            for number in range(50):
                producer.publish(topic, b"one %d %d" % (thread, number))
            producer.publish_many(topic, (b"many %d %d" % (thread, number) for number in range(50)))

        for thread in in_threads(20, work):
            thread.join(30)
        assert producer.stats.published == 2000
    got = asyncio.run(consume(broker.tcp_address, topic, lambda got: len(got) >= 2000))
    assert len(got) == len(set(got)) == 2000


def test_a_publish_right_after_the_thread_began_waits_for_the_producer(broker: Daemon, topic: str) -> None:
    for _ in range(30):
        with BlockingProducer([broker.tcp_address]) as producer:
            producer.publish(topic, b"x")


def test_soon_many_are_under_way_and_flush_waits_for_them(broker: Daemon, topic: str) -> None:
    with BlockingProducer([broker.tcp_address], max_outstanding=100) as producer:
        futures = [producer.publish_soon(topic, b"%d" % number) for number in range(3000)]
        producer.flush()
        assert all(future.done() and future.exception() is None for future in futures)
        producer.publish(topic, b"later", delay=0.1, key=b"k")
        buffer = bytearray(b"before")
        future = producer.publish_soon(topic, buffer)
        buffer[:] = b"after!"
        future.result(10)
    got = asyncio.run(consume(broker.tcp_address, topic, lambda got: len(got) >= 3002))
    assert set(got) == {b"%d" % number for number in range(3000)} | {b"later", b"before"}


def test_errors_are_those_of_producer(broker: Daemon, topic: str) -> None:
    with BlockingProducer([broker.tcp_address], max_message_size=100) as producer:
        for error, arguments in (
            (InvalidName, ("no topic", b"x")),
            (TypeError, (topic, "text")),
            (PublishError, (topic, b"")),
            (MessageTooBig, (topic, b"x" * 101)),
            (ConfigError, (topic, b"x", -1.0)),
        ):
            with pytest.raises(error):
                producer.publish(*arguments)  # type: ignore[arg-type]
            assert isinstance(producer.publish_soon(*arguments).exception(10), error)  # type: ignore[arg-type]
        with pytest.raises(MessageTooBig):
            producer.publish_many(topic, [b"x", b"x" * 101])
        producer.publish(topic, b"fine")
    with pytest.raises(Closed):
        producer.publish(topic, b"x")
    with pytest.raises(Closed):
        producer.start()
    producer.close()


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((), {}),
        (("127.0.0.1:4150",), {}),
        ((["here"],), {}),
        ((NOWHERE,), {"publish_timout": 5}),
        ((NOWHERE,), {"publish_timeout": "5"}),
        ((NOWHERE,), {"config": ProducerConfig}),
    ],
)
def test_wrong_arguments_are_refused_by_the_constructor(
    arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError):
        BlockingProducer(*arguments, **options)


def test_without_nsqd_it_waits_within_the_deadline() -> None:
    with BlockingProducer(NOWHERE, publish_timeout=0.2, **QUICK) as producer:
        for attempt in (
            lambda: producer.publish("t", b"x"),
            lambda: producer.publish_many("t", [b"x"], timeout=0.1),
            lambda: producer.wait_connected(0.1),
        ):
            with pytest.raises(NotConnected, match=r"127\.0\.0\.1:1: Connection refused"):
                attempt()
        future = producer.publish_soon("t", b"x", timeout=5.0)
        with pytest.raises(DeadlineExceeded, match="1 messages are not confirmed"):
            producer.flush(0.01)
        producer.close(0.0)
        assert isinstance(future.exception(10), NSQError)


def test_what_exceeds_the_window_waits_and_a_full_one_is_an_error() -> None:
    with BlockingProducer(NOWHERE, max_outstanding=2, publish_timeout=5.0, **QUICK) as producer:
        kept = [producer.publish_soon("t", b"x") for _ in range(2)]
        with pytest.raises(PublishError, match=r"2 publishes are unanswered \(max_outstanding\)"):
            producer.publish_soon("t", b"x", timeout=0.05)
        failures: list[BaseException | None] = []
        waiting = in_threads(1, lambda _: failures.append(failure_of(producer)))
        producer.close(0.0)
        waiting[0].join(10)
        assert isinstance(failures[0], Closed)
        assert all(isinstance(future.exception(10), NSQError) for future in kept)


def failure_of(producer: BlockingProducer) -> BaseException | None:
    try:
        return producer.publish_soon("t", b"x").exception(10)
    except NSQError as error:
        return error


def test_blocking_calls_on_its_own_thread_are_an_error_not_a_deadlock(broker: Daemon, topic: str) -> None:
    told: list[BaseException] = []
    more: list[Future[None]] = []
    called = threading.Event()

    def on_fact(fact: Fact) -> None:
        if isinstance(fact, Connected):
            for call in (
                lambda: producer.publish(topic, b"x"),
                lambda: producer.publish_many(topic, [b"x"]),
                producer.flush,
                producer.wait_connected,
                producer._runs[os.getpid()].forbid_inside,
            ):
                try:
                    call()
                except RuntimeError as error:
                    told.append(error)
            more.append(producer.publish_soon(topic, b"from inside"))
            called.set()

    producer = BlockingProducer([broker.tcp_address], on_fact=on_fact)  # has its name before it connects
    with producer:
        producer.publish(topic, b"x")
        assert called.wait(10)
        more[0].result(10)
    assert len(told) == 5
    assert all("use publish_soon there" in str(error) for error in told)


def test_its_thread_is_known_from_the_first_moment(
    broker: Daemon, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where it is connected before who started it goes on."""
    calling = threading.Event()
    told: list[BaseException] = []

    class LateToReturn(ProducerThread):
        def __init__(self, producer: Producer) -> None:
            super().__init__(producer)
            assert calling.wait(10)
            time.sleep(0.05)  # for the call to get as far as it can

    def on_fact(fact: Fact) -> None:
        if isinstance(fact, Connected) and not calling.is_set():
            calling.set()
            try:
                producer.publish(topic, b"x")
            except RuntimeError as error:
                told.append(error)

    monkeypatch.setattr(blocking, "ProducerThread", LateToReturn)
    producer = BlockingProducer([broker.tcp_address], on_fact=on_fact)
    with producer:
        producer.publish(topic, b"x")
    assert len(told) == 1


def test_threads_publish_while_nsqd_is_killed(
    kind: str, start_nsqd: Callable[..., Daemon], topic: str
) -> None:
    """Each publish returns or raises; what returned is there, though nsqd was killed twice meanwhile.

    Ours keeps messages in memory only, so that there it is what was begun after the last crash.
    """
    flags = {"mem_queue_size": 0, "sync_every": 1} if kind == "real" else {}
    nsqd = start_nsqd(**flags)
    confirmed: list[bytes] = []
    attempted = itertools.count()
    enough = threading.Event()
    with BlockingProducer([nsqd.tcp_address], **QUICK) as producer:

        def work(thread: int) -> None:
            while not enough.is_set():
                body = b"%d" % next(attempted)
                try:
                    producer.publish(topic, body, timeout=20.0)
                    confirmed.append(body)
                except NSQError:
                    pass
                time.sleep(0.001)

        threads = in_threads(8, work)
        try:
            for _ in range(2):
                before = len(confirmed)
                eventually(lambda: len(confirmed) > before + 300)  # noqa: B023
                nsqd.stop()
                eventually(lambda: producer.stats.connected == ())
                nsqd.start()
                begun = next(attempted)
            before = len(confirmed)
            eventually(lambda: len(confirmed) > before + 300)
        finally:
            enough.set()
        for thread in threads:
            thread.join(30)
    due = confirmed if kind == "real" else [body for body in confirmed if int(body) > begun]
    assert len(due) > 200
    got = asyncio.run(consume(nsqd.tcp_address, topic, lambda got: set(due) <= set(got)))
    assert set(got) <= {b"%d" % number for number in range(next(attempted))}


# -- in programs of their own

AT_EXIT = """
import sys
from nsqgw import BlockingProducer
import os
producer = BlockingProducer([os.environ["NSQD_TCP_ADDRESS"]])
for number in range(500):
    producer.publish_soon(sys.argv[1], b"%d" % number)
"""

ONE_LINER = """
import os, sys, threading
import nsqgw
nsqgw.publish(sys.argv[1], b"one")
addresses = [os.environ.pop("NSQD_TCP_ADDRESS")]
def work():
    nsqgw.publish(sys.argv[1], b"two", nsqd_tcp_addresses=addresses)
threads = [threading.Thread(target=work) for _ in range(10)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print([thread.name for thread in threading.enumerate()].count("nsqgw-producer"))
"""

FORK = """
import os, sys, threading
from nsqgw import BlockingProducer
producer = BlockingProducer([os.environ["NSQD_TCP_ADDRESS"]])
busy = threading.Event()

def keep_busy():
    while not busy.is_set():
        producer.publish(sys.argv[1], b"parent")

thread = threading.Thread(target=keep_busy)
thread.start()
children = []
for number in range(5):
    pid = os.fork()
    if not pid:
        for _ in range(20):
            producer.publish(sys.argv[1], b"child")
        for _ in range(20):
            producer.publish_soon(sys.argv[1], b"soon")
        sys.exit(0)
    children.append(pid)
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
busy.set()
thread.join()
print(codes)
"""

INTERRUPTED = """
import signal, sys
from nsqgw import BlockingProducer
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells have their background jobs ignore it
with BlockingProducer(["127.0.0.1:1"]) as producer:
    try:
        print("publishing", flush=True)
        producer.publish("t", b"x")
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        raise
"""


def test_what_is_under_way_at_the_end_of_a_program_is_flushed(broker: Daemon, topic: str) -> None:
    assert outcome(program(broker, AT_EXIT, topic)) == (0, "", "")
    assert message_count(broker, topic) == 500


def test_the_one_liner(broker: Daemon, topic: str) -> None:
    # one producer: the same address, once from the environment and once as an argument
    assert outcome(program(broker, ONE_LINER, topic)) == (0, "1\n", "")
    assert message_count(broker, topic) == 11


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_publishes_over_connections_of_its_own(broker: Daemon, topic: str) -> None:
    code = FORK.replace("import os,", "import warnings; warnings.simplefilter('ignore')\nimport os,")
    assert outcome(program(broker, code, topic)) == (0, "[0, 0, 0, 0, 0]\n", "")
    count = message_count(broker, topic)
    got = asyncio.run(consume(broker.tcp_address, topic, lambda got: len(got) == count))
    assert (got.count(b"child"), got.count(b"soon")) == (100, 100)
    assert set(got) == {b"child", b"soon", b"parent"}


def test_interrupted_while_it_waits_for_nsqd(broker: Daemon) -> None:
    process = program(broker, INTERRUPTED)
    assert process.stdout is not None
    assert process.stdout.readline() == "publishing\n"
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    code, out, err = outcome(process)
    assert (code, out) == (-signal.SIGINT, "interrupted\n")
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert time.monotonic() - began < 15, "half the default time-out"
