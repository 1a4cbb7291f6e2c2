"""Log records through nsqd: batches, nsqd away and back, restarts, forks, the end of a program."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import logging.config
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.daemons import Daemon
from harness.draining import consume
from harness.http import stats
from harness.polling import eventually
from nsqgw import NsqHandler

ROOT = Path(__file__).parents[3]
QUICK: dict[str, Any] = {"reconnect_min_delay": 0.02, "reconnect_max_delay": 0.2}
NOWHERE = ["127.0.0.1:1"]
_topics = itertools.count()


@pytest.fixture
def topic() -> str:
    return f"records-{next(_topics)}"


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """A logger for the handler under test alone; its handlers are closed with the test."""
    logger = logging.getLogger("handled")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield logger
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def attach(log: logging.Logger, topic: str, *addresses: str, **options: Any) -> NsqHandler:
    handler = NsqHandler(topic, addresses or NOWHERE, **(QUICK | options))
    log.addHandler(handler)
    return handler


def messages(bodies: list[bytes]) -> list[str]:
    return [json.loads(body)["message"] for body in bodies]


def numbers(stop: int, start: int = 0) -> list[str]:
    return [str(number) for number in range(start, stop)]


def first_seen(texts: list[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def consumed(nsqd: Daemon, topic: str, count: int) -> list[str]:
    return messages(asyncio.run(consume(nsqd.tcp_address, topic, lambda got: len(got) >= count)))


# -- nsqd is there


def test_records_arrive_in_order_and_in_batches(broker: Daemon, log: logging.Logger, topic: str) -> None:
    handler = attach(log, topic, broker.tcp_address, batch_max_messages=100)
    for number in range(2000):
        log.info("%d", number)
    handler.flush()
    assert (handler.stats.published, handler.stats.waiting, handler.stats.dropped) == (2000, 0, 0)
    assert consumed(broker, topic, 2000) == numbers(2000)
    (entry,) = [entry for entry in stats(broker.http_address)["topics"] if entry["topic_name"] == topic]
    assert entry["message_count"] == 2000


def test_a_lone_record_goes_out_by_age(broker: Daemon, log: logging.Logger, topic: str) -> None:
    attach(log, topic, broker.tcp_address, batch_max_age=0.05)
    log.warning("alone")
    assert consumed(broker, topic, 1) == ["alone"]


def test_dict_config(broker: Daemon, topic: str, tmp_path: Path) -> None:
    config = {
        "version": 1,
        "formatters": {"plain": {"format": "%(levelname)s %(message)s"}},
        "handlers": {
            "nsq": {
                "class": "nsqgw.NsqHandler",
                "topic": topic,
                "nsqd_tcp_addresses": [broker.tcp_address],
                "spool_dir": str(tmp_path),
                "level": "INFO",
                "formatter": "plain",
            }
        },
        "loggers": {"configured": {"handlers": ["nsq"], "level": "DEBUG", "propagate": False}},
        "disable_existing_loggers": False,
    }
    logging.config.dictConfig(config)
    logger = logging.getLogger("configured")
    try:
        logger.debug("left out")
        logger.info("taken")
    finally:
        logger.handlers.pop().close()
    assert asyncio.run(consume(broker.tcp_address, topic, lambda got: len(got) == 1)) == [b"INFO taken"]


def test_a_record_nsqd_refuses_does_not_hold_up_the_others(
    start_nsqd: Callable[..., Daemon], log: logging.Logger, topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    nsqd = start_nsqd(max_msg_size=1000)
    handler = attach(log, topic, nsqd.tcp_address)
    for number in range(20):
        log.info("x" * 1000 if number == 7 else str(number))
    eventually(lambda: handler.stats.published == 20, what="19 records and the note")
    assert f"bytes is lost, nsqd refuses it: {nsqd.tcp_address}: E_BAD_MESSAGE" in capsys.readouterr().err
    told = "1 log records were dropped: there was no room for them, or nsqd refused them"
    texts = consumed(nsqd, topic, 20)
    assert sorted(texts) == sorted([*numbers(7), *numbers(20, 8), told])


def test_what_cannot_be_formatted_is_told_on_stderr(
    broker: Daemon, log: logging.Logger, topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = attach(log, topic, broker.tcp_address, max_message_size=1000)
    for text, *arguments in (("%d", "no number"), ("x" * 1000,), ("fine",)):
        # not through the logger, to which pytest adds a handler that raises
        handler.handle(logging.LogRecord("handled", logging.INFO, "", 1, text, tuple(arguments), None))
    handler.flush()
    assert capsys.readouterr().err.count("--- Logging error ---") == 2
    assert handler.stats.dropped == 1
    texts = consumed(broker, topic, 2)
    assert texts == ["fine", "1 log records were dropped: there was no room for them, or nsqd refused them"]


# -- nsqd is away


def test_logging_never_waits(log: logging.Logger, topic: str) -> None:
    handler = attach(log, topic, max_memory_bytes=100_000, flush_timeout=0.1)
    began = time.monotonic()
    for number in range(5000):
        log.info("%d", number)
    assert time.monotonic() - began < 10
    assert handler.stats.dropped > 3000
    assert handler.stats.waiting + handler.stats.dropped == 5000


def test_without_a_spool_drops_are_told_once_nsqd_is_back(
    start_nsqd: Callable[..., Daemon], log: logging.Logger, topic: str
) -> None:
    nsqd = start_nsqd()
    nsqd.stop()
    handler = attach(log, topic, nsqd.tcp_address, max_memory_bytes=100_000)
    for number in range(5000):
        log.info("%d", number)
    dropped = handler.stats.dropped
    nsqd.start()
    eventually(lambda: handler.stats.published == 5000 - dropped + 1)
    log.info("after")
    handler.flush()
    texts = consumed(nsqd, topic, 5000 - dropped + 2)
    told = f"{dropped} log records were dropped: there was no room for them, or nsqd refused them"
    assert texts == [*numbers(5000 - dropped), told, "after"]


def test_the_spool_keeps_everything_in_order_while_nsqd_is_away(
    start_nsqd: Callable[..., Daemon], log: logging.Logger, topic: str, tmp_path: Path
) -> None:
    nsqd = start_nsqd()
    nsqd.stop()
    handler = attach(log, topic, nsqd.tcp_address, spool_dir=tmp_path, max_memory_bytes=1_000_000)
    for number in range(5000):
        log.info("%d", number)
    eventually(lambda: handler.stats.waiting == 0, 60, what="all in the spool")
    assert handler.stats.spooled_bytes > 5000 * 80
    nsqd.start()
    log.info("5000")
    eventually(lambda: handler.stats.published == 5001, 60)
    assert (handler.stats.dropped, handler.stats.spooled_bytes) == (0, 0)
    assert first_seen(consumed(nsqd, topic, 5001)) == numbers(5001)
    assert list(tmp_path.rglob("*.spool")) == []


def test_the_spool_outlives_the_handler(
    start_nsqd: Callable[..., Daemon], log: logging.Logger, topic: str, tmp_path: Path
) -> None:
    nsqd = start_nsqd()
    nsqd.stop()
    for part in range(3):
        handler = attach(log, topic, nsqd.tcp_address, spool_dir=tmp_path, flush_timeout=0.2)
        for number in range(100):
            log.info("%d", 100 * part + number)
        log.removeHandler(handler)
        handler.close()
        assert handler.stats.dropped == 0
    nsqd.start()
    handler = attach(log, topic, nsqd.tcp_address, spool_dir=tmp_path)
    log.info("300")
    eventually(lambda: handler.stats.published == 301)
    assert consumed(nsqd, topic, 301) == numbers(301)


def test_threads_log_while_nsqd_is_killed(
    kind: str, start_nsqd: Callable[..., Daemon], log: logging.Logger, topic: str, tmp_path: Path
) -> None:
    """With an nsqd that keeps its messages on disk, every record arrives; with ours, all is confirmed."""
    flags = {"mem_queue_size": 0, "sync_every": 1} if kind == "real" else {}
    nsqd = start_nsqd(**flags)
    handler = attach(log, topic, nsqd.tcp_address, spool_dir=tmp_path, batch_max_age=0.01)
    enough = threading.Event()
    logged = [0] * 4

    def work(thread: int) -> None:
        while not enough.wait(0.01):
            log.info("%d.%d", thread, logged[thread])
            logged[thread] += 1

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            before = handler.stats.published
            eventually(lambda: handler.stats.published > before + 50)  # noqa: B023
            nsqd.stop()
            eventually(lambda: handler.stats.spooled_bytes > 2_000)
            nsqd.start()
        before = handler.stats.published
        eventually(lambda: handler.stats.published > before + 50)
    finally:
        enough.set()
    for thread in threads:
        thread.join(10)
    handler.flush()
    eventually(lambda: handler.stats.spooled_bytes == 0)
    assert (handler.stats.published, handler.stats.dropped) == (sum(logged), 0)
    if kind == "real":
        everything = {f"{thread}.{number}" for thread in range(4) for number in range(logged[thread])}
        asyncio.run(consume(nsqd.tcp_address, topic, lambda got: everything <= set(messages(got))))


# -- in programs of their own

LOG_AND_END = """
import logging, sys
from nsqgw import NsqHandler
topic, folder = sys.argv[1:]
handler = NsqHandler(topic, spool_dir=folder or None, flush_timeout=1.0)
logging.basicConfig(handlers=[handler], level=logging.INFO)
for number in range(500):
    logging.info("%d", number)
"""

FORK = """
import logging, os, sys
from nsqgw import NsqHandler
topic, folder = sys.argv[1:]
logging.basicConfig(handlers=[NsqHandler(topic, spool_dir=folder)], level=logging.INFO)
logging.info("parent before")
children = []
for child in range(3):
    pid = os.fork()
    if not pid:
        for number in range(100):
            logging.info("child %d %d", child, number)
        sys.exit(0)
    children.append(pid)
logging.info("parent after")
print([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children])
"""


def run(code: str, address: str, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, "NSQD_TCP_ADDRESS": address},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_end_of_a_program_flushes(broker: Daemon, topic: str) -> None:
    assert run(LOG_AND_END, broker.tcp_address, topic, "") == (0, "", "")
    assert consumed(broker, topic, 500) == numbers(500)


def test_the_end_of_a_program_spools_for_the_next(broker: Daemon, topic: str, tmp_path: Path) -> None:
    assert run(LOG_AND_END, NOWHERE[0], topic, str(tmp_path))[0] == 0
    assert run(LOG_AND_END, broker.tcp_address, topic, str(tmp_path)) == (0, "", "")
    assert consumed(broker, topic, 1000) == numbers(500) * 2


def test_what_a_program_loses_it_says(topic: str) -> None:
    code, _, err = run(LOG_AND_END, NOWHERE[0], topic, "")
    assert code == 0
    assert "500 records were not published" in err


def test_forked_children_log_for_themselves(broker: Daemon, topic: str, tmp_path: Path) -> None:
    assert run(FORK, broker.tcp_address, topic, str(tmp_path)) == (0, "[0, 0, 0]\n", "")
    texts = consumed(broker, topic, 302)
    assert sorted(texts) == sorted(
        ["parent before", "parent after"]
        + [f"child {child} {number}" for child in range(3) for number in range(100)]
    )
