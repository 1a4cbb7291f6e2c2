"""Every fact: the line it leaves in the log, and what it is counted by."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, get_args

import pytest

from nsqgw.errors import ConnectionClosed, ConnectionFailed, DiscoveryError, FinFailed
from nsqgw.instrument import (
    BackoffChanged,
    Connected,
    ConnectFailed,
    Disconnected,
    Fact,
    GivenUp,
    HandlerFailed,
    LookupFailed,
    PublishingAgain,
    ServerRefused,
    TouchExhausted,
    guarded,
    tee,
    to_logging,
)
from nsqgw.instrument.labels import Labels, address_of, labels_of
from nsqgw.message import Message


class Origin:
    topic, channel, nsqd_address = "t", "ch", "n:4150"
    finish: Callable[..., None]
    requeue: Callable[..., None]
    touch: Callable[..., None]


MESSAGE = Message(5, 2, b"%016x" % 1, b"body", Origin())
SHOWN = "<Message 0000000000000001 attempts=2 4 bytes>"
GONE = ConnectionClosed("n:4150: reset")
NAMES = {logging.INFO: "INFO", logging.WARNING: "WARNING", logging.ERROR: "ERROR"}

TABLE: list[tuple[Fact, str, tuple[str, ...]]] = [
    (Connected("n:4150"), "INFO connected to n:4150", ("connected", "", "", "")),
    (
        Connected("n:4150", "t", "ch"),
        "INFO connected to n:4150, subscribed to t/ch",
        ("connected", "t", "ch", ""),
    ),
    (
        ConnectFailed("n:4150", ConnectionFailed("n:4150: refused"), 0.25),
        "WARNING cannot connect to n:4150: refused; next try in 0.2 s",
        ("connect_failed", "", "", "ConnectionFailed"),
    ),
    (Disconnected("n:4150", None), "INFO disconnected from n:4150", ("disconnected", "", "", "closed")),
    (
        Disconnected("n:4150", GONE, 3),
        "WARNING lost n:4150: reset; 3 unanswered",
        ("disconnected", "", "", "ConnectionClosed"),
    ),
    (
        ServerRefused("n:4150", FinFailed("FIN 1 failed")),
        "WARNING n:4150 refused: E_FIN_FAILED FIN 1 failed",
        ("server_refused", "", "", "FinFailed"),
    ),
    (
        LookupFailed("l:4161", DiscoveryError("l:4161: timed out")),
        "WARNING cannot ask nsqlookupd l:4161: timed out",
        ("lookup_failed", "", "", "DiscoveryError"),
    ),
    (
        HandlerFailed(KeyError("user"), (MESSAGE, MESSAGE)),
        "ERROR handler failed, giving back 2 message(s)",
        ("handler_failed", "t", "ch", "KeyError"),
    ),
    (
        GivenUp(MESSAGE, "dead"),
        f"WARNING giving up {SHOWN}: dead letter in dead",
        ("given_up", "t", "ch", "dead_letter"),
    ),
    (
        GivenUp(MESSAGE, None),
        f"WARNING giving up {SHOWN}: handed to on_giving_up",
        ("given_up", "t", "ch", "handed_over"),
    ),
    (
        GivenUp(MESSAGE, "dead", GONE),
        f"WARNING giving up {SHOWN}: but the dead letter was not stored: n:4150: reset",
        ("given_up", "t", "ch", "ConnectionClosed"),
    ),
    (
        TouchExhausted((MESSAGE,), 30.0),
        "WARNING 1 message(s) still unanswered; nsqd delivers them again in 30 s whatever happens",
        ("touch_exhausted", "t", "ch", ""),
    ),
    (
        PublishingAgain(4, GONE),
        "WARNING publishing 4 message(s) again: n:4150: reset",
        ("publishing_again", "", "", "ConnectionClosed"),
    ),
    (
        BackoffChanged(2, 4.0),
        "WARNING backing off, level 2: no deliveries for 4.0 s",
        ("backoff_changed", "", "", "backing_off"),
    ),
    (
        BackoffChanged(0, 0.0),
        "INFO recovered, back to full speed",
        ("backoff_changed", "", "", "full_speed"),
    ),
]


@pytest.mark.parametrize(("fact", "line", "labels"), TABLE)
def test_each_fact_has_its_line_and_its_labels(
    caplog: pytest.LogCaptureFixture, fact: Fact, line: str, labels: tuple[str, ...]
) -> None:
    caplog.set_level(logging.INFO, "nsqgw")
    to_logging(fact)
    ((name, level, text),) = caplog.record_tuples
    assert (name, f"{NAMES[level]} {text}") == ("nsqgw", line)
    assert labels_of(fact) == Labels(*labels)
    assert address_of(fact) == getattr(fact, "address", "")


def test_the_table_is_complete() -> None:
    assert {type(fact) for fact, _, _ in TABLE} == set(get_args(Fact))


def test_a_handlers_error_comes_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    error = KeyError("user")
    to_logging(HandlerFailed(error, (MESSAGE,)))
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_a_failing_hook_is_logged_and_the_others_still_hear(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Any] = []

    def broken(fact: Fact) -> None:
        raise ZeroDivisionError

    fact = Connected("n:4150")
    tee(heard.append, broken, heard.append)(fact)
    guarded(broken)(fact)
    assert heard == [fact, fact]
    assert [record.getMessage() for record in caplog.records] == [f"on_fact failed for {fact}"] * 2


def test_what_is_no_fact_is_refused() -> None:
    with pytest.raises(TypeError, match="'nonsense' is no fact"):
        to_logging("nonsense")  # type: ignore[arg-type]
