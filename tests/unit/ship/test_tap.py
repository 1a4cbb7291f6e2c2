"""Who watches sees what matches, and never holds anything up."""

from __future__ import annotations

import asyncio
import itertools

from gateways.ship.tap import MAX_BODY_SHOWN, MAX_WAITING, Tap, Taps
from harness.pipeline import RecordingOrigin, make_messages


def bodies(tap: Tap, count: int) -> list[str]:
    async def take() -> list[str]:
        return [(await tap.next())["body"] for _ in range(count)]

    return asyncio.run(take())


def test_what_is_chosen() -> None:
    events, others = RecordingOrigin(), RecordingOrigin()
    others.topic = "others"
    tap = Tap(pipeline="app", topic="events")
    tap.show("audit", "received", make_messages([b"no"], events))
    tap.show("app", "received", make_messages([b"no"], others))
    tap.show("app", "received", make_messages([b"one", b"two"], events))
    assert bodies(tap, 2) == ["one", "two"]


def test_one_stage_of_them() -> None:
    tap = Tap(stage="sent")
    one, two = (make_messages([body], RecordingOrigin()) for body in (b"one", b"two"))
    tap.show("app", "received", one)
    tap.show("app", "transformed", one)
    tap.show("app", "sent", two, "disk")
    event = asyncio.run(tap.next())
    assert (event["stage"], event["sink"], event["body"]) == ("sent", "disk", "two")


def test_a_part_of_them() -> None:
    turns = itertools.cycle([0.05, 0.5, 0.95])
    tap = Tap(sample=0.1, chance=lambda: next(turns))
    tap.show("app", "received", make_messages([b"%d" % number for number in range(9)], RecordingOrigin()))
    assert bodies(tap, 3) == ["0", "3", "6"]


async def test_a_slow_reader_misses_events_and_hears_how_many() -> None:
    tap = Tap()
    tap.show("app", "received", make_messages([b"x"] * (MAX_WAITING + 7), RecordingOrigin()))
    first = await tap.next()
    assert first["missed"] == 7
    assert "missed" not in await tap.next()


async def test_bodies_that_are_no_text_or_long() -> None:
    tap = Tap()
    tap.show("app", "received", make_messages([b"\xff\x00", b"x" * (MAX_BODY_SHOWN + 1)], RecordingOrigin()))
    binary, long = await tap.next(), await tap.next()
    assert binary["body_base64"] == "/wA="
    assert (len(long["body"]), long["size"]) == (MAX_BODY_SHOWN, MAX_BODY_SHOWN + 1)


def test_the_pipelines_hear_of_the_first_and_the_last() -> None:
    heard: list[bool] = []
    taps = Taps(lambda: heard.append(taps.watched))
    first, second = Tap(), Tap()
    taps.add(first)
    taps.add(second)
    taps.remove(first)
    taps.remove(second)
    assert heard == [True, True, True, False]
