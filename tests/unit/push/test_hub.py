"""Who gets what, in which order, and that one slow or leaving subscriber is nobody else's matter."""

from __future__ import annotations

import pytest

from gateways.push.frame import Burst, Encoding, Frame
from gateways.push.history import OLDEST
from gateways.push.hub import SLICE, Hub
from gateways.push.sse import event_block
from gateways.push.wire import websocket_message


class Taker:
    """A subscriber that keeps what it is offered."""

    def __init__(self, encoding: Encoding = websocket_message) -> None:
        self.encoding = encoding
        self.taken: list[bytes] = []

    def offer(self, data: bytes, burst: Burst) -> None:
        self.taken.append(data)


def publish(hub: Hub, topic: str, *bodies: bytes) -> int:
    """Fan out to the end; the number of pauses."""
    return sum(1 for _ in hub.fan_out(topic, bodies))


def test_every_subscriber_gets_the_same_bytes_in_its_encoding() -> None:
    hub = Hub(["a", "b"])
    first, second, events, other = Taker(), Taker(), Taker(event_block), Taker()
    for taker in (first, second, events):
        hub.subscribe("a", taker)
    hub.subscribe("b", other)

    publish(hub, "a", b"1", b"2")

    assert first.taken == [b"\x81\x011\x81\x012"]
    assert first.taken[0] is second.taken[0]
    epoch = hub.missed("a", None).position.partition("-")[0].encode()
    assert events.taken == [b"id: %s-1\ndata: 1\n\nid: %s-2\ndata: 2\n\n" % (epoch, epoch)]
    assert other.taken == []
    assert (hub.messages["a"], hub.deliveries["a"], hub.messages["b"]) == (2, 6, 0)
    assert (hub.subscribers("a"), hub.subscribers("b")) == (3, 1)


def test_nothing_is_encoded_for_nobody() -> None:
    def encoding(frame: Frame) -> bytes:
        raise AssertionError("encoded for nobody")

    hub = Hub(["a"])
    taker = Taker(encoding)
    hub.subscribe("a", taker)
    hub.unsubscribe("a", taker)
    publish(hub, "a", b"1")
    assert hub.messages["a"] == 1
    assert hub.deliveries["a"] == 0


def test_an_unknown_topic_is_refused_and_an_unknown_subscriber_is_not() -> None:
    hub = Hub(["a"])
    with pytest.raises(KeyError):
        hub.subscribe("b", Taker())
    hub.unsubscribe("a", Taker())


def test_a_large_audience_is_served_in_slices() -> None:
    hub = Hub(["a"])
    takers = [Taker() for _ in range(2 * SLICE + 1)]
    for taker in takers:
        hub.subscribe("a", taker)
    fan_out = hub.fan_out("a", [b"1"])
    next(fan_out)
    assert sum(len(taker.taken) for taker in takers) == SLICE

    newcomer = Taker()  # may come while the fan-out pauses, and gets the next burst
    hub.subscribe("a", newcomer)
    assert sum(1 for _ in fan_out) == 1
    assert all(len(taker.taken) == 1 for taker in takers)
    assert newcomer.taken == []
    assert [frame.body for frame in hub.missed("a", OLDEST).frames] == [b"1"]  # what it may ask for
    publish(hub, "a", b"2")
    assert newcomer.taken == [b"\x81\x012"]
