"""A disk queue against a list: whatever is done with it, and however it ends."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest import mock

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from compat.nsqd import unfinished
from compat.nsqd.disk_queue import DiskQueue
from compat.nsqd.message import Message
from harness.disk import drain, messages, open_queue, shut, sync

sizes = st.integers(0, 120)
counts = st.integers(1, 12)


class QueueAndModel(RuleBasedStateMachine):
    """`waiting` are the bodies in the queue, `in_flight` what was read and is not finished."""

    queue: DiskQueue

    @initialize(max_bytes_per_file=st.integers(40, 400), lag=st.integers(0, 20))
    def begin(self, max_bytes_per_file: int, lag: int) -> None:
        self.lag = mock.patch.object(unfinished, "LAG", lag)
        self.lag.start()
        self.home = tempfile.TemporaryDirectory()
        self.max_bytes_per_file = max_bytes_per_file
        self.waiting: list[bytes] = []
        self.in_flight: dict[bytes, Message] = {}
        self.count = 0
        self.open()

    def open(self) -> None:
        self.queue = open_queue(
            Path(self.home.name), max_bytes_per_file=self.max_bytes_per_file, find=self.in_flight.get
        )

    @rule(count=counts, size=sizes)
    def put(self, count: int, size: int) -> None:
        bodies = [b"%d:" % (self.count + number) + bytes(size) for number in range(count)]
        self.count += count
        self.queue.put(messages(*bodies))
        self.waiting += bodies

    @rule(count=counts, max_bytes=st.integers(1, 1000))
    def get(self, count: int, max_bytes: int) -> None:
        read = self.queue.get(count, max_bytes)
        assert bool(read) == bool(self.waiting)
        assert len(read) <= count
        assert [each.body for each in read] == self.waiting[: len(read)]
        del self.waiting[: len(read)]
        self.in_flight.update({each.id: each for each in read})

    @rule(which=st.integers(0, 5))
    def finish(self, which: int) -> None:
        for message_id in list(self.in_flight)[which : which + 3]:
            del self.in_flight[message_id]

    @rule(which=st.integers(0, 5))
    def requeue(self, which: int) -> None:
        for message_id in list(self.in_flight)[which : which + 1]:
            message = self.in_flight.pop(message_id)
            self.queue.put([message])
            self.waiting.append(message.body)

    @rule()
    def sync(self) -> None:
        sync(self.queue)

    @rule()
    def empty(self) -> None:
        self.queue.empty()
        self.waiting.clear()
        self.in_flight.clear()

    @rule()
    def end(self) -> None:
        """As a channel does: what is in flight goes to the tail."""
        self.queue.put(list(self.in_flight.values()))
        self.waiting += [each.body for each in self.in_flight.values()]
        self.in_flight.clear()
        shut(self.queue)
        self.open()

    @rule()
    def crash(self) -> None:
        """Nothing that waits or is in flight may be missing; what was read may come again."""
        self.queue.close()
        expected = {*self.waiting, *(each.body for each in self.in_flight.values())}
        self.in_flight.clear()
        self.waiting.clear()
        self.open()
        assert expected <= set(drain(self.queue))

    @invariant()
    def depth_is_right(self) -> None:
        if hasattr(self, "queue"):
            assert self.queue.depth == len(self.waiting)

    def teardown(self) -> None:
        if hasattr(self, "queue"):
            self.queue.close()
            self.home.cleanup()
            self.lag.stop()


TestDiskQueue = QueueAndModel.TestCase
