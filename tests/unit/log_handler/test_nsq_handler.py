"""The handler without any nsqd: what it refuses, leaves out, and does not start."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from nsqgw import NsqHandler
from nsqgw.errors import ConfigError

NOWHERE = ["127.0.0.1:1"]


def record(name: str) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "", 1, "text", (), None)


@pytest.mark.parametrize("name", ["nsqgw", "nsqgw.producer.pool"])
def test_own_records_are_left_out(name: str) -> None:
    threads = threading.active_count()
    handler = NsqHandler("logs", NOWHERE)
    assert not handler.handle(record(name))
    assert threading.active_count() == threads
    assert handler.stats.waiting == 0
    assert handler.filter(record("nsqgwish"))
    handler.close()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"topic": "no topic"}, "'no topic'"),
        ({"nsqd_tcp_addresses": "127.0.0.1:4150"}, "must be a list"),
        ({"nsqd_tcp_addresses": ["here"]}, "'here'"),
        ({"batch_max_messages": 0}, "batch_max_messages = 0"),
        ({"spool_max_bytes": -1}, "spool_max_bytes = -1"),
        ({"flush_timeout": "5"}, "flush_timeout = '5'"),
        ({"spool_dir": "/dev/null/spool"}, "spool_dir = '/dev/null/spool' cannot be made: Not a directory"),
        ({"publish_timout": 5}, "did you mean publish_timeout?"),
    ],
)
def test_wrong_arguments_are_refused_by_the_constructor(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        NsqHandler(**({"topic": "logs", "nsqd_tcp_addresses": NOWHERE} | arguments))
    assert text in str(caught.value)


def test_addresses_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSQD_TCP_ADDRESS", "nonsense")
    with pytest.raises(ConfigError, match="nonsense"):
        NsqHandler("logs")


def test_closing_what_was_never_used_starts_nothing(tmp_path: Path) -> None:
    handler = NsqHandler("logs", NOWHERE, spool_dir=tmp_path / "a" / "b")
    handler.flush()
    handler.close()
    handler.close()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_importing_starts_and_imports_nothing() -> None:
    program = (
        "import sys, threading, nsqgw\n"
        "assert threading.active_count() == 1\n"
        "assert not {'nsqgw.log_handler', 'nsqgw.producer.blocking'} & set(sys.modules)\n"
        "from nsqgw import BlockingProducer, NsqHandler, publish\n"
        "assert threading.active_count() == 1\n"
        "assert callable(publish)\n"
        "try:\n    nsqgw.nothing\nexcept AttributeError as error:\n    print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (run.stdout, run.stderr) == ("module 'nsqgw' has no attribute 'nothing'\n", "")
