"""Parts of push-stream's URLs without a socket: paths, templates, stamps, settings."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.push.frame import Frame
from gateways.push.history import Numbering
from gateways.push.http import Request
from gateways.push.hub import Hub
from gateways.push.push_stream.paths import Refused, Wish, parse_wishes
from gateways.push.push_stream.resume import resumed_at
from gateways.push.push_stream.settings import PushStreamSettings
from gateways.push.push_stream.stamps import Stamp, position_of
from gateways.push.push_stream.template import MessageTemplate
from harness.entries import entries
from nsqgw.errors import ConfigError


@pytest.mark.parametrize(
    ("path", "wishes"),
    [
        ("a", [Wish("a")]),
        ("a.b4/b/c.b2", [Wish("a", 4), Wish("b"), Wish("c", 2)]),
        ("/a//b/", [Wish("a"), Wish("b")]),
        ("a.b/b.bx/.b1/orders.b12.b3", [Wish("a.b"), Wish("b.bx"), Wish(".b1"), Wish("orders.b12", 3)]),
        ("a.b1/a.b2", [Wish("a", 2)]),
    ],
)
def test_paths_name_channels_and_backtracks(path: str, wishes: list[Wish]) -> None:
    assert list(parse_wishes(path, 9)) == wishes


@pytest.mark.parametrize(
    ("path", "text"),
    [("", "No channel"), ("//", "No channel"), ("a/ALL", "not authorized"), ("a*.b2", "not authorized"),
     ("a/b/c", "At most 2 channels")],
)  # fmt: skip
def test_paths_that_are_refused(path: str, text: str) -> None:
    with pytest.raises(Refused, match=text):
        parse_wishes(path, 2)


def frame(body: bytes) -> Frame:
    return Numbering().frame("events", entries(body)[0])


@given(st.text())
def test_the_json_template_is_json_for_every_text(text: str) -> None:
    body = text.encode("utf-8", "surrogatepass")
    document = json.loads(MessageTemplate("json").text(frame(body)))
    assert document["text"] == body.decode("utf-8", "replace")
    assert document["id"] == 1


@given(st.text(alphabet="~idtextag{}\\1 "))
def test_words_in_a_message_are_left_alone(text: str) -> None:
    assert MessageTemplate("~text~|~id~|~text~").text(frame(text.encode())) == f"{text}|1|{text}"


@given(st.binary())
def test_a_block_of_an_event_stream_is_one_whatever_the_text(body: bytes) -> None:
    block = MessageTemplate("~text~").block(frame(body))
    assert block.endswith(b"\n\n")
    assert block.count(b"\n\n") == 1
    head, *lines = block[:-2].decode().split("\n")
    assert head.startswith("id: ")
    assert all(line.startswith("data: ") for line in lines)


def test_tags_rise_over_all_channels_and_lead_back_to_the_position() -> None:
    hub = Hub(["a", "b"])
    for channel in ("a", "b", "a"):
        for _ in hub.fan_out(channel, entries(b"x")):
            pass
    a1, a2 = hub.missed("a", "oldest").frames
    (b1,) = hub.missed("b", "oldest").frames
    stamps = [Stamp.of(each) for each in (a1, b1, a2)]
    assert stamps == sorted(stamps)
    assert Stamp.after_all(hub.numbering, 0.0).tag == stamps[2].tag
    after_b1 = position_of(stamps[1].tag, stamps[1].seconds, hub.numbering)
    assert hub.missed("a", after_b1).frames == (a2,)
    assert hub.missed("b", after_b1).frames == ()
    foreign = position_of(Stamp.of(frame(b"")).tag, stamps[0].seconds, hub.numbering)
    assert hub.missed("a", foreign).frames == (a1, a2)
    assert position_of(None, 5, hub.numbering) == position_of(1, 5, hub.numbering)


@given(st.text(), st.text(), st.text())
def test_whatever_a_client_shows_is_a_position_or_nothing(event: str, time: str, tag: str) -> None:
    hub = Hub(["a"])
    for headers in ({"last-event-id": event}, {"if-modified-since": time, "if-none-match": tag}):
        request = Request("GET", "/ev/a", "", headers, b"")
        since = resumed_at(request, hub.numbering)
        hub.missed("a", since)


@pytest.mark.parametrize(
    "date",
    ["Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 99 Foo 2023 99:99:99 GMT", " ",
     "Sun, 06 Nov 1994 08:49:37 +99999999", "0", "Thu, 01 Jan 1970 00:00:00 -0100"],
)  # fmt: skip
def test_dates_that_are_none_or_out_of_range_are_borne(date: str) -> None:
    hub = Hub(["a"])
    request = Request("GET", "/lp/a", "", {"if-modified-since": date, "if-none-match": "W/7"}, b"")
    hub.missed("a", resumed_at(request, hub.numbering))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"template": "nothing"}, "template 'nothing' has no word"),
        ({"template": "~text~" * 1000}, "is longer than 4096"),
        ({"stream": "/sub"}, "path '/sub' for stream"),
        ({"publish": "pub"}, "path 'pub' for publish"),
        ({"events": "/sub/"}, "are the same"),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        PushStreamSettings(on=True, **settings)
