"""When a start has to be given up because nothing answers, and what is said then."""

from __future__ import annotations

from gateways.reach import Reach
from nsqgw import Consumer
from nsqgw.errors import ConnectionClosed, ConnectionFailed, DiscoveryError
from nsqgw.instrument import Connected, ConnectFailed, Disconnected, LookupFailed

REFUSED = ConnectionFailed("a:4150: connection refused")


def test_every_address_is_named_with_its_cause() -> None:
    reach = Reach(["a:4150", "b:4150"], ["c:4161"])
    reach.note(ConnectFailed("a:4150", REFUSED, 0.1))
    reach.note(LookupFailed("c:4161", DiscoveryError("HTTP 500")))
    error = reach.why_none(10.0)
    assert str(error) == (
        "nothing could be reached within 10s: a:4150: connection refused; b:4150: no answer; c:4161: HTTP 500"
    )


def test_an_nsqd_that_hangs_up_was_not_reached() -> None:
    reach = Reach(["a:4150"], [])
    reach.note(Disconnected("a:4150", ConnectionClosed("no nsqd")))
    assert str(reach.why_none(1.0)) == "nothing could be reached within 1s: a:4150: no nsqd"


def test_a_connection_is_enough() -> None:
    reach = Reach(["a:4150", "b:4150"], [])
    reach.note(ConnectFailed("a:4150", REFUSED, 0.1))
    reach.note(Connected("b:4150", "events", "archive"))
    assert reach.why_none(1.0) is None


def test_a_directory_that_answers_is_enough() -> None:
    reach = Reach([], ["c:4161", "d:4161"])
    reach.note(LookupFailed("c:4161", DiscoveryError("HTTP 500")))
    assert reach.why_none(1.0) is None


def test_an_nsqd_not_heard_of_yet_and_a_directory_that_knows_none() -> None:
    consumer = Consumer("events", "archive", nsqd_tcp_addresses=["a:4150"], lookupd_http_addresses=["c:4161"])
    assert Reach(["a:4150"], ["c:4161"]).why_starved([consumer]) == "a:4150: no answer yet"
    assert Reach([], ["c:4161"]).why_starved([consumer]) == "no nsqd known to nsqlookupd at c:4161"
