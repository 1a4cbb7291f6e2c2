"""Numbered messages published and consumed over plain sockets until nsqd goes: who may miss which of them."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from harness.wire import ERROR, Closed, Delivery, Wire, delivery, mpub_body, sized

PIPELINED = 20
HOUR = b"3600000"


class NumberedLoad:
    """What became of each number, over all the lives of one nsqd.

    confirmed  OK came
    finished   FIN was sent
    seen       it was delivered, at least once
    """

    def __init__(self, topic: str, choices: random.Random) -> None:
        self.confirmed: set[int] = set()
        self.finished: set[int] = set()
        self.seen: set[int] = set()
        self.errors: list[bytes] = []
        self._topic = topic.encode()
        self._choices = choices
        self._next = 0
        self._lock = threading.Lock()

    def run_until_the_end(self, address: str, kill: Callable[[], None]) -> None:
        """Publish and consume at `address` until `kill()` has ended it."""
        work = [self._publish_singly, self._publish_batches, self._publish_deferred, self._consume]
        threads = [threading.Thread(target=self._until_closed, args=(each, address)) for each in work]
        for thread in threads:
            thread.start()
        kill()
        for thread in threads:
            thread.join(15.0)
            assert not thread.is_alive()

    def drain(self, address: str) -> None:
        """Consume until everything confirmed is finished; AssertionError when nothing comes for too long."""
        with Wire(address, timeout=10.0) as wire:
            wire.subscribe(self._topic.decode(), "c", rdy=500)
            while missing := self.confirmed - self.finished:
                try:
                    message = _next_message(wire)
                except TimeoutError:
                    raise AssertionError(f"{len(missing)} lost: {sorted(missing)[:10]}") from None
                wire.finish(message.id)
                self.finished.add(int(message.body[:10]))

    def _until_closed(self, work: Callable[[Wire], None], address: str) -> None:
        try:
            with Wire(address) as wire:
                work(wire)
        except (Closed, OSError):
            pass

    def _numbers(self, count: int) -> list[int]:
        with self._lock:
            first, self._next = self._next, self._next + count
        return list(range(first, first + count))

    def _publish_singly(self, wire: Wire) -> None:
        while True:
            numbers = self._numbers(PIPELINED)
            wire.send(b"".join(b"PUB " + self._topic + b"\n" + sized(_body(number)) for number in numbers))
            for number in numbers:
                self._answered(wire, [number])

    def _publish_batches(self, wire: Wire) -> None:
        while True:
            numbers = self._numbers(PIPELINED)
            wire.send(b"MPUB " + self._topic + b"\n" + mpub_body(*map(_body, numbers)))
            self._answered(wire, numbers)

    def _publish_deferred(self, wire: Wire) -> None:
        while True:
            (number,) = self._numbers(1)
            delay = self._choices.choice([b"10", HOUR])
            wire.send(b"DPUB " + self._topic + b" " + delay + b"\n" + sized(_body(number)))
            self._answered(wire, [number])

    def _answered(self, wire: Wire, numbers: list[int]) -> None:
        frame = wire.frame()
        if frame.type == ERROR:
            self.errors.append(frame.data)
            raise Closed(str(frame))
        self.confirmed.update(numbers)

    def _consume(self, wire: Wire) -> None:
        """Finish most, give some back, put off a few, keep a few."""
        wire.subscribe(self._topic.decode(), "c", rdy=100)
        while True:
            message = _next_message(wire)
            number = int(message.body[:10])
            self.seen.add(number)
            fate = self._choices.random()
            if fate < 0.9:
                self.finished.add(number)
                wire.finish(message.id)
            elif fate < 0.98:
                wire.send(b"REQ " + message.id + b" 0\n")
            elif fate < 0.995:
                wire.send(b"REQ " + message.id + b" " + HOUR + b"\n")


def _next_message(wire: Wire) -> Delivery:
    """Passing over refused answers: after a crash a message may be in flight twice, and is finished once."""
    while (frame := wire.frame()).type == ERROR:
        assert frame.data.startswith((b"E_FIN_FAILED", b"E_REQ_FAILED")), frame
    return delivery(frame)


def _body(number: int) -> bytes:
    return b"%010d" % number + bytes(90)
