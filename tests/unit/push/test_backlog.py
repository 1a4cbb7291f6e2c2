"""The policies for slow browsers: bounds in bytes and seconds, and what is told of what is lost."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.push.backlog import ENTRY_BYTES, Backlog
from gateways.push.entry import Entry
from gateways.push.frame import Burst, Frame
from gateways.push.policy import Lag, Policy, parse_policy
from gateways.push.protocol import JSON, Notice
from nsqgw.errors import ConfigError


def bare(frame: Frame) -> bytes:
    return frame.body


def burst(*bodies: bytes, topic: str = "t") -> Burst:
    return Burst(topic, [Frame(Entry(body), topic) for body in bodies])


def backlog(room: int, policies: Mapping[str, Policy] | None = None) -> Backlog:
    """One with room for so many messages of five bytes."""
    known = policies or {}
    return Backlog(
        lambda topic: known.get(topic, Policy()),
        max_bytes=room * (ENTRY_BYTES + 5),
        max_age=5.0,
        patience=5.0,
    )


def lossy(lag: Lag, room: int = 2, field: str = "") -> Backlog:
    return backlog(room, {"t": Policy(lag, field)})


def taken(waiting: Backlog) -> list[tuple[int, bytes]]:
    """Everything in it, with the losses before each."""
    found = []
    while (entry := waiting.take()) is not None:
        found.append((entry.lost, entry.data))
    assert waiting.size == 0
    return found


def test_what_waits_comes_out_in_order() -> None:
    waiting = backlog(2)
    assert waiting.add(burst(b"12345"), bare, 0.0)
    assert waiting.add(burst(b"67890", topic="u"), bare, 1.0)
    assert waiting.size == 2 * (ENTRY_BYTES + 5)
    assert taken(waiting) == [(0, b"12345"), (0, b"67890")]


def test_over_the_bound_the_browser_has_to_go() -> None:
    waiting = backlog(2)
    assert waiting.add(burst(b"12345"), bare, 0.0)
    assert not waiting.add(burst(b"x" * (ENTRY_BYTES + 6)), bare, 0.0)


def test_when_the_oldest_waits_too_long_the_browser_has_to_go() -> None:
    waiting = backlog(9)
    assert not waiting.overdue(100.0)
    assert waiting.add(burst(b"1"), bare, 100.0)
    assert waiting.add(burst(b"2"), bare, 104.0)
    assert not waiting.overdue(105.0)
    assert waiting.overdue(105.1)
    assert not waiting.add(burst(b"3"), bare, 105.1)
    waiting.take()
    assert not waiting.overdue(105.1)


@pytest.mark.parametrize("lag", [Lag.DISCONNECT, Lag.DROP_OLDEST])
def test_what_the_transport_does_not_take_ages_too(lag: Lag) -> None:
    waiting = lossy(lag, 9)
    waiting.stall(100.0)
    assert not waiting.overdue(105.0)
    assert waiting.overdue(105.1)
    waiting.stall(105.0)  # it took something, and stalls again
    assert not waiting.overdue(110.0)
    assert waiting.add(burst(b"1"), bare, 107.0)
    assert waiting.overdue(110.1)
    waiting.stall(112.0)
    assert waiting.overdue(112.1) is (lag is Lag.DISCONNECT)


def test_the_oldest_give_way_and_the_gap_is_told_where_it_is() -> None:
    waiting = lossy(Lag.DROP_OLDEST)
    assert waiting.add(burst(b"11111", b"22222", b"33333", b"44444"), bare, 0.0)
    assert taken(waiting) == [(2, b"33333"), (0, b"44444")]
    assert waiting.add(burst(b"x" * 1000), bare, 0.0)  # larger than everything
    assert taken(waiting) == [(1, b"")]


def test_the_new_are_dropped_and_the_gap_is_told_where_it_is() -> None:
    waiting = lossy(Lag.DROP_NEW)
    assert waiting.add(burst(b"11111", b"22222", b"33333", b"44444"), bare, 0.0)
    first = waiting.take()
    assert first is not None
    assert first.data == b"11111"
    assert waiting.add(burst(b"55555", b"66666"), bare, 0.0)
    assert taken(waiting) == [(0, b"22222"), (2, b"55555"), (1, b"")]


def test_the_newest_of_each_key_waits() -> None:
    waiting = lossy(Lag.CONFLATE, 9, field="quote.symbol")
    quotes = [
        json.dumps({"quote": {"symbol": symbol}, "price": price}).encode()
        for symbol, price in (("A", 1), ("B", 2), ("A", 3))
    ]
    assert waiting.add(burst(*quotes, b"no json", b"{}"), bare, 0.0)
    assert taken(waiting) == [(0, quotes[1]), (0, quotes[2]), (0, b"{}")]


def test_a_topic_that_is_left_is_forgotten() -> None:
    waiting = backlog(9)
    assert waiting.add(burst(b"1"), bare, 0.0)
    assert waiting.add(burst(b"2", topic="u"), bare, 0.0)
    waiting.forget("t")
    waiting.forget("unknown")
    assert taken(waiting) == [(0, b"2")]


def test_a_lossy_topic_makes_room_of_its_own_messages_only() -> None:
    waiting = backlog(2, {"t": Policy(Lag.DROP_OLDEST)})
    assert waiting.add(burst(b"keep!", topic="u"), bare, 0.0)
    assert waiting.add(burst(b"11111", b"22222"), bare, 0.0)
    assert not waiting.add(burst(b"33333", topic="u"), bare, 0.0)
    assert taken(waiting) == [(0, b"keep!"), (1, b"22222")]


STEPS = st.lists(st.one_of(st.binary(max_size=8), st.none()), max_size=60)


@given(STEPS, st.sampled_from(Lag))
def test_it_never_holds_more_than_its_bound_and_every_message_is_given_or_told_lost(
    steps: list[bytes | None], lag: Lag
) -> None:
    waiting = lossy(lag, 3)
    came = given_out = lost = 0
    order = []
    for step in steps:
        if step is not None:
            if waiting.add(burst(b"%3d" % came + step), bare, 0.0):
                came += 1
        elif (entry := waiting.take()) is not None:
            lost += entry.lost
            given_out += bool(entry.data)
            order.append(entry.data[:3])
        assert waiting.size <= 3 * (ENTRY_BYTES + 5)
    for told, data in taken(waiting):
        lost += told
        given_out += bool(data)
        order.append(data[:3])
    numbers = [int(number) for number in order if number]
    assert numbers == sorted(numbers)
    if lag in (Lag.CONFLATE, Lag.SAMPLE):
        assert given_out + lost <= came
        assert not came or lost or numbers[-1] == came - 1  # the newest is never conflated away
    else:
        assert given_out + lost == came
    assert not lost or lag is not Lag.DISCONNECT


@pytest.mark.parametrize(
    "text", ["disconnect", "drop-oldest", "drop-new", "conflate", "conflate:a.b", "sample:2.5"]
)
def test_a_policy_is_read_and_told(text: str) -> None:
    assert str(parse_policy(text)) == text


@pytest.mark.parametrize(
    "text", ["", "drop", "drop-new:x", "sample", "sample:fast", "sample:0", "sample:inf", "sample:nan"]
)
def test_what_is_no_policy_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match="policy"):
        parse_policy(text)


def torn(waiting: Backlog) -> list[tuple[bytes, int, bool]]:
    """Everything in it, with what is lost before each, and whether more is."""
    found = []
    while (entry := waiting.take()) is not None:
        found.append((entry.data, entry.lost, entry.torn))
    return found


def test_a_tear_is_told_where_it_was() -> None:
    waiting = backlog(9)
    assert waiting.add(burst(b"1"), bare, 0.0)
    waiting.tear("t")
    assert waiting.add(burst(b"2"), bare, 0.0)
    waiting.tear("t")
    assert torn(waiting) == [(b"1", 0, False), (b"2", 0, True), (b"", 0, True)]


def test_a_tear_outlives_the_messages_that_are_dropped() -> None:
    waiting = lossy(Lag.DROP_OLDEST, room=1)
    waiting.add(burst(b"12345"), bare, 0.0)
    waiting.tear("t")
    for body in (b"23456", b"34567"):
        waiting.add(burst(body), bare, 0.0)
    assert torn(waiting) == [(b"34567", 2, True)]
    conflating = lossy(Lag.CONFLATE)
    conflating.tear("t")
    for body in (b"1", b"2"):
        conflating.add(burst(body), bare, 0.0)
    assert torn(conflating) == [(b"2", 0, True)]


def test_what_a_pattern_covers_is_forgotten_with_it() -> None:
    waiting = backlog(9)
    for topic in ("a.1", "a.2", "b"):
        waiting.add(burst(b"1", topic=topic), bare, 0.0)
    waiting.forget("a.*")
    assert taken(waiting) == [(0, b"1")]


def test_who_comes_and_goes_replaces_no_message() -> None:
    waiting = Backlog(lambda _: Policy(Lag.CONFLATE), max_bytes=10_000, max_age=5.0, patience=5.0)
    encoding = JSON.message
    newest = burst(b"newest")
    waiting.add(newest, encoding, 0.0)
    joined, left = (Burst("t", [Notice(push, "t", "c0ffee")]) for push in ("join", "leave"))
    waiting.add(joined, encoding, 0.0)
    waiting.add(left, encoding, 0.0)
    assert [data for _, data in taken(waiting)] == [one.encoded(encoding) for one in (newest, joined, left)]
