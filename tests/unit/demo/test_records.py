"""The logging handler: takes what fits, counts the rest, leaves out what it would cause itself."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator

import pytest

from gateways.demo import records
from gateways.demo.records import RecordQueue


@pytest.fixture
def queue() -> Iterator[RecordQueue]:
    """A queue of three records on the logger `demo.test`."""
    queue = RecordQueue(capacity=3)
    logger = logging.getLogger("demo.test")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(queue)
    yield queue
    logger.removeHandler(queue)


LOGGER = logging.getLogger("demo.test")


def texts(bodies: list[bytes]) -> list[str]:
    return [json.loads(body)["text"] for body in bodies]


def test_a_record_becomes_a_message(queue: RecordQueue) -> None:
    LOGGER.warning("lost %s after %d s", "a:1", 5)
    (body,) = queue.take()
    message = json.loads(body)
    assert message.pop("time") > 1_700_000_000
    assert message == {"level": "warning", "logger": "demo.test", "text": "lost a:1 after 5 s"}
    assert queue.take() == []


def test_what_does_not_fit_is_counted_and_said(queue: RecordQueue) -> None:
    for number in range(5):
        LOGGER.info("%d", number)
    assert texts(queue.take()) == [
        "0",
        "1",
        "2",
        "2 log records were dropped: more came than could be published",
    ]
    assert queue.dropped == 2
    queue.lost(3)
    assert texts(queue.take()) == ["3 log records were dropped: more came than could be published"]
    assert queue.dropped == 5


def test_a_record_that_cannot_be_formatted_is_taken_as_it_is() -> None:
    queue = RecordQueue()
    queue.handle(logging.LogRecord("demo.test", logging.INFO, "", 1, "%d", ("no number",), None))
    assert texts(queue.take()) == ["%d"]


def test_records_about_publishing_are_left_out() -> None:
    queue = RecordQueue()
    queue.handle(logging.LogRecord(records.__name__, logging.WARNING, "", 1, "not published", (), None))
    assert queue.take() == []


def test_threads_do_not_wait_for_each_other(queue: RecordQueue) -> None:
    threads = [threading.Thread(target=LOGGER.info, args=("x",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert texts(queue.take()) == ["x"] * 3
