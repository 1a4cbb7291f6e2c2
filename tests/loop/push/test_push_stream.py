"""The URLs of nginx-push-stream-module: what its clients ask for, and get."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gateways.push.access.gate import Gate
from gateways.push.limits import Limits
from gateways.push.push_stream.paths import NO_HANDSHAKE
from gateways.push.push_stream.settings import PushStreamSettings
from harness.polling import eventually_async
from nsqgw.errors import NotConnected, NSQError

ON = PushStreamSettings(on=True)
DOCUMENT = PushStreamSettings(on=True, template="json")
EXPLAIN = "x-nginx-pushstream-explain"


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


async def ask(
    served: Any, target: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> Answer:
    """One request and its answer, as a client of HTTP/1.1 that does not keep the connection."""
    host, _, port = served.host.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [f"{method} {target} HTTP/1.1", "Host: test"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}"] if body is not None else []
    writer.write("\r\n".join([*lines, "", ""]).encode() + (body or b""))
    raw = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    head, _, rest = raw.partition(b"\r\n\r\n")
    status_line, *fields = head.decode("latin-1").split("\r\n")
    pairs = (field.partition(": ") for field in fields)
    return Answer(int(status_line.split()[1]), {name.lower(): value for name, _, value in pairs}, rest)


def lines_of(text: bytes) -> bytes:
    return b"GET " + text + b" HTTP/1.1\r\nHost: test\r\n\r\n"


class Publisher:
    """Stands for a producer that answers at once."""

    def __init__(self, error: NSQError | None = None) -> None:
        self.published: list[tuple[str, bytes]] = []
        self._error = error

    def publish_then(self, topic: str, body: bytes, then: Callable[[NSQError | None], None]) -> None:
        self.published.append((topic, body))
        then(self._error)


# -- subscribers


async def test_a_stream_has_messages_as_the_template_and_nothing_between(serve: Any, dial: Any) -> None:
    template = "<~id~|~channel~|~text~|~size~|~event-type~|~unknown~>"
    served = await serve(push_stream=PushStreamSettings(on=True, template=template))
    peer = await dial(served)
    peer.send(lines_of(b"/sub/events/other"))
    await peer.read_until(b"\r\n\r\n")
    served.publish("ü".encode(), b"~id~")
    served.publish(b"x", topic="other")
    came = (await peer.read_until(b"other|x|1||~unknown~>")).decode()
    assert re.sub(r"\d+\|(events|other)", r"n|\1", came) == (
        "<n|events|ü|2||~unknown~><n|events|~id~|4||~unknown~><n|other|x|1||~unknown~>"
    )
    numbers = [int(number) for number in re.findall(r"<(\d+)\|", came)]
    assert numbers == sorted(numbers), "ids rise"


async def test_signs_of_life(serve: Any, dial: Any) -> None:
    limits = Limits(look_interval=0.04, heartbeat_interval=0.01)
    settings = PushStreamSettings(on=True, template="<~id~|~channel~|~text~|~tag~|~time~>")
    served = await serve(limits, push_stream=settings)
    peer = await dial(served)
    peer.send(lines_of(b"/sub/events"))
    await peer.read_until(b"<-1|| |0|Thu, 01 Jan 1970 00:00:00 GMT>")
    peer = await dial(served)
    peer.send(lines_of(b"/ev/events"))
    head = await peer.read_until(b"\r\n\r\n")
    assert b"Content-Type: text/event-stream" in head
    assert await peer.read_until(b": -1\n") == b": \n: -1\n"


async def test_backtracks_come_first_channel_by_channel(serve: Any, dial: Any) -> None:
    served = await serve(push_stream=PushStreamSettings(on=True, template="<~channel~ ~text~>"))
    served.publish(b"1", b"2", b"3")
    served.publish(b"x", topic="other")
    for path, expected in (
        (b"events.b2/other.b9", b"<events 2><events 3><other x>"),
        (b"other/events.b1", b"<events 3>"),
    ):
        peer = await dial(served)
        peer.send(lines_of(b"/sub/" + path))
        await peer.read_until(b"\r\n\r\n")
        assert await peer.read_exactly(len(expected)) == expected


async def test_an_event_source_goes_on_after_its_last_event(serve: Any, dial: Any) -> None:
    served = await serve(push_stream=ON)
    peer = await dial(served)
    peer.send(lines_of(b"/ev/events/other"))
    await peer.read_until(b": \n")
    served.publish(b"one\ntwo")
    block = (await peer.read_until(b"\n\n")).decode()
    shown = re.fullmatch(r"id: (\S+)\ndata: one\ndata: two\n\n", block)
    assert shown is not None
    served.publish(b"between", topic="other")
    served.publish(b"three")
    for request in (
        b"GET /ev/events.b1/other HTTP/1.1\r\nHost: test\r\nLast-Event-ID: %s\r\n\r\n" % shown[1].encode(),
        lines_of(b"/ev/events/other?_=1&tag=&time=&eventid=" + shown[1].encode()),
    ):
        back = await dial(served)
        back.send(request)
        missed = await back.read_until(b"data: three\n\n")
        assert re.findall(rb"data: (\w+)", missed) == [b"between", b"three"], (
            "no backtrack; as they were sent"
        )
    stranger = await dial(served)
    stranger.send(b"GET /ev/events HTTP/1.1\r\nHost: test\r\nLast-Event-ID: e17\r\n\r\n")
    missed = await stranger.read_until(b"data: three\n\n")
    assert b'event: gap\ndata: {"channel": "events", "lost": null}\n\n' in missed
    assert b"data: two" in missed


async def test_long_polls_go_on_by_time_and_tag(serve: Any) -> None:
    served = await serve(push_stream=DOCUMENT)
    first = asyncio.create_task(ask(served, "/lp/events/other"))
    await eventually_async(lambda: served.hub.subscribers("other") == 1)
    served.publish(b'say "one"', b"two")
    answer = await first
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain")
    messages = [json.loads(part) for part in answer.body.decode().replace("}{", "}\n{").split("\n")]
    assert [message["text"] for message in messages] == ['say "one"', "two"]
    last = messages[-1]
    assert set(last) == {"id", "channel", "text", "tag", "time", "eventid"}
    assert answer.headers["etag"] == f"W/{last['tag']}"
    assert answer.headers["last-modified"] == last["time"]
    assert int(last["tag"]) < 2**53
    served.publish(b"three", topic="other")
    served.publish(b"four")
    headers = {"If_Modified_Since": last["time"], "If_None_Match": answer.headers["etag"]}
    again = await ask(served, "/lp/events/other", **headers)
    assert sorted(re.findall(rb'"text": "(\w+)"', again.body)) == [b"four", b"three"]
    time = last["time"].replace(" ", "%20").replace(",", "%2C")
    argued = await ask(served, f"/lp/other?tag={last['tag']}&time={time}&eventid=")
    assert re.findall(rb'"text": "(\w+)"', argued.body) == [b"three"]
    by_id = await ask(served, f"/lp/events?eventid={last['eventid']}")
    assert re.findall(rb'"text": "(\w+)"', by_id.body) == [b"four"]


async def test_a_tag_of_another_gateway_leads_to_the_time(serve: Any) -> None:
    served, elsewhere = await serve(push_stream=DOCUMENT), await serve(push_stream=DOCUMENT)
    for each in (served, elsewhere):
        each.publish(b"one", b"two")
    there = await ask(elsewhere, "/lp/events.b2")
    headers = {"If_Modified_Since": there.headers["last-modified"], "If_None_Match": there.headers["etag"]}
    here = await ask(served, "/lp/events", **headers)
    assert b'"text": "two"' in here.body, "rather twice than never"


async def test_a_poll_that_nothing_comes_for(serve: Any) -> None:
    served = await serve(Limits(look_interval=0.04, poll_timeout=0.1), push_stream=DOCUMENT)
    served.publish(b"old")
    for headers in ({}, {"X_Nginx_PushStream_Mode": "polling"}):
        answer = await ask(served, "/lp/events", **headers)
        assert (answer.status, answer.body) == (304, b"")
        assert parsedate_to_datetime(answer.headers["last-modified"])
        served.publish(b"new")
        again = await ask(
            served,
            "/lp/events",
            If_Modified_Since=answer.headers["last-modified"],
            If_None_Match=answer.headers["etag"],
        )
        assert re.findall(rb'"text": "(\w+)"', again.body) == [b"new"]


async def test_a_header_makes_a_stream_a_poll_and_a_callback_a_script(serve: Any) -> None:
    served = await serve(push_stream=DOCUMENT)
    served.publish(b"one", b"two")
    for path in ("/sub/events.b2", "/ev/events.b2"):
        answer = await ask(served, path, X_Nginx_PushStream_Mode="polling")
        assert (answer.status, answer.headers["content-type"]) == (200, "text/plain")
    script = "/lp/events.b2?callback=PushStreamManager.of.a1"
    answer = await ask(served, script, Sec_Fetch_Site="same-origin")
    assert answer.headers["content-type"] == "application/javascript"
    match = re.fullmatch(rb"PushStreamManager\.of\.a1\((\[.*\])\);", answer.body)
    assert match is not None
    assert [message["text"] for message in json.loads(match[1])] == ["one", "two"]
    assert (await ask(served, "/lp/events.b2?callback=alert(1)//")).status == 400
    assert (await ask(served, script)).status == 403, (
        "any page may read a script, and this browser tells nothing"
    )
    assert (await ask(served, script, Sec_Fetch_Site="same-site")).status == 403


async def test_a_websocket_has_text_by_the_template(serve: Any) -> None:
    served = await serve(push_stream=DOCUMENT)
    served.publish(b"old", b"older")
    async with connect(f"ws://{served.host}/ws/events.b1/other", proxy=None) as websocket:
        assert json.loads(await websocket.recv())["text"] == "older"
        served.publish(b"\xff", topic="other")
        message = json.loads(await websocket.recv())
        assert (message["channel"], message["text"]) == ("other", "\ufffd")
        served.publish(b"next")
        assert json.loads(await websocket.recv())["text"] == "next"
    async with connect(f"ws://{served.host}/ws/events?eventid={message['eventid']}", proxy=None) as websocket:
        assert json.loads(await websocket.recv())["text"] == "next"


# -- refusals


@pytest.mark.parametrize(
    ("target", "status", "explanation"),
    [
        ("/sub/", 400, "No channel id provided."),
        ("/ev/ALL", 403, "Channel id not authorized for this method."),
        ("/lp/ev*", 403, "Channel id not authorized for this method."),
        ("/sub/nothing", 403, "Subscriber could not create channels."),
        ("/pub", 400, "No channel id provided."),
        ("/pub?id=ALL", 403, "Channel id not authorized for this method."),
        ("/pub?id=other", 403, "Channel id not authorized for this method."),
        ("/ws/events", 400, NO_HANDSHAKE[1]),
    ],
)
async def test_refusals_explain_themselves_in_a_header(
    serve: Any, target: str, status: int, explanation: str
) -> None:
    served = await serve(push_stream=ON, publisher=Publisher(), publish_topics=frozenset({"events"}))
    answer = await ask(served, target)
    assert (answer.status, answer.headers[EXPLAIN], answer.body) == (status, explanation, b"")


async def test_a_websocket_is_refused_by_a_close_that_a_page_can_read(serve: Any) -> None:
    served = await serve(push_stream=ON)
    async with connect(f"ws://{served.host}/ws/nothing", proxy=None) as websocket:
        with pytest.raises(ConnectionClosed) as closed:
            await websocket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    told = json.loads(closed.value.rcvd.reason)
    assert told == {"http_status": 403, "explain": "Subscriber could not create channels."}


async def test_other_methods_are_not_served(serve: Any) -> None:
    served = await serve(push_stream=ON, publisher=Publisher(), publish_topics=frozenset({"events"}))
    for method, target, allowed in (
        ("PUT", "/sub/events", "GET"),
        ("PATCH", "/pub?id=events", "GET, POST, PUT, DELETE"),
        ("POST", "/channels-stats", "GET"),
    ):
        answer = await ask(served, target, method, b"")
        assert (answer.status, answer.headers["allow"]) == (405, allowed)


async def test_without_being_told_to_nothing_of_it_is_served(serve: Any) -> None:
    served = await serve()
    for target in (
        "/sub/events",
        "/ev/events",
        "/lp/events",
        "/ws/events",
        "/pub?id=events",
        "/channels-stats",
    ):
        assert (await ask(served, target)).status == 404


async def test_tokens_are_asked_for_here_too(serve: Any) -> None:
    served = await serve(push_stream=ON, gate=Gate(verifier=object()))  # type: ignore[arg-type]  # never asked
    for target in ("/sub/events", "/lp/events", "/channels-stats", "/pub?id=events"):
        assert (await ask(served, target)).status == 401


# -- publishers and figures


async def test_a_publication_goes_to_nsq_and_is_answered_with_the_channel(serve: Any) -> None:
    publisher = Publisher()
    served = await serve(push_stream=ON, publisher=publisher, publish_topics=frozenset({"events", "other"}))
    served.publish(b"before")
    answer = await ask(served, "/pub?id=events", "POST", b"hello", Event_Id="7")
    assert answer.headers["content-type"] == "application/json"
    assert answer.document == {
        "channel": "events", "published_messages": 1, "stored_messages": 1, "subscribers": 0
    }  # fmt: skip
    group = (await ask(served, "/pub?id=events/other", "PUT", b"both")).document
    assert [info["channel"] for info in group["infos"]] == ["events", "other"]
    assert publisher.published == [("events", b"hello"), ("events", b"both"), ("other", b"both")]
    assert (await ask(served, "/pub?id=events")).document["channel"] == "events"
    await ask(served, "/pub?id=" + "events/" * 500, "POST", b"once")
    assert publisher.published[3:] == [("events", b"once")]
    many = "/".join(map(str, range(served.context.limits.max_channels + 1)))
    assert (await ask(served, f"/pub?id={many}", "POST", b"x")).headers[
        EXPLAIN
    ] == "At most 128 channels at once."
    for method in ("GET", "DELETE"):
        assert (await ask(served, "/pub?id=nothing", method)).status == 404


async def test_publications_that_are_not_taken(serve: Any) -> None:
    limits = Limits(look_interval=0.04, max_client_message_bytes=10)
    publisher = Publisher(NotConnected("no nsqd"))
    served = await serve(limits, push_stream=ON, publisher=publisher, publish_topics=frozenset({"events"}))
    for body, status, explanation in (
        (b"", 400, "Empty post requests are not allowed."),
        (None, 411, "Content-Length is missing."),
        (b"x" * 11, 413, "The message is too large."),
        (b"x", 503, "nsqd did not take the message."),
    ):
        answer = await ask(served, "/pub?id=events", "POST", body)
        assert (answer.status, answer.headers[EXPLAIN]) == (status, explanation)


async def test_a_body_that_does_not_come_is_not_waited_for(serve: Any, dial: Any) -> None:
    limits = Limits(look_interval=0.04, handshake_timeout=0.1)
    served = await serve(limits, push_stream=ON, publisher=Publisher(), publish_topics=frozenset({"events"}))
    peer = await dial(served)
    peer.send(b"POST /pub?id=events HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nhalf")
    assert (await peer.read_all()).startswith(b"HTTP/1.1 408 ")


async def test_deleting_a_channel_sends_off_who_follows_it(serve: Any, dial: Any) -> None:
    served = await serve(push_stream=DOCUMENT, publisher=Publisher(), publish_topics=frozenset({"events"}))
    stream = await dial(served)
    stream.send(lines_of(b"/sub/events"))
    await stream.read_until(b"\r\n\r\n")
    async with (
        connect(f"ws://{served.host}/ws/other/events", proxy=None) as websocket,
        connect(f"ws://{served.host}/ws/other", proxy=None) as unconcerned,
    ):
        polling = asyncio.create_task(ask(served, "/lp/events"))
        await eventually_async(lambda: served.hub.subscribers("events") == 3)
        answer = await ask(served, "/pub?id=events", "DELETE")
        assert (answer.status, answer.headers[EXPLAIN]) == (200, "Channel deleted.")
        last = json.loads(await websocket.recv())
        assert (last["id"], last["text"], last["channel"]) == (-2, "Channel deleted", "events")
        with pytest.raises(ConnectionClosed) as closed:
            await websocket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1005
        served.publish(b"still here", topic="other")
        assert json.loads(await unconcerned.recv())["text"] == "still here"
    assert json.loads(await stream.read_all()) == last
    assert (await polling).document == last


async def test_statistics_have_the_shapes_of_the_module(serve: Any, dial: Any) -> None:
    served = await serve(push_stream=ON)
    served.publish(b"1", b"2")
    peer = await dial(served)
    peer.send(lines_of(b"/ev/events"))
    await peer.read_until(b": \n")
    everything = (await ask(served, "/channels-stats")).document
    (worker,) = everything.pop("by_worker")
    assert worker == {"pid": worker["pid"], "subscribers": 1, "uptime": worker["uptime"]}
    assert isinstance(worker["pid"], str)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", everything.pop("time"))
    assert isinstance(everything.pop("hostname"), str)
    assert isinstance(everything.pop("uptime"), int)
    assert everything == {
        "channels": 2, "wildcard_channels": 0, "published_messages": 2, "stored_messages": 2,
        "messages_in_trash": 0, "channels_in_delete": 0, "channels_in_trash": 0, "subscribers": 1,
    }  # fmt: skip
    events = {"channel": "events", "published_messages": 2, "stored_messages": 2, "subscribers": 1}
    other = {"channel": "other", "published_messages": 0, "stored_messages": 0, "subscribers": 0}
    for asked, expected in (
        ("ALL", [events, other]),
        ("ev*", [events]),
        ("other/events", [other, events]),
        ("other/nothing", [other]),
    ):
        group = (await ask(served, f"/channels-stats?id={asked}")).document
        assert set(group) == {"hostname", "time", "channels", "wildcard_channels", "uptime", "infos"}
        assert group["infos"] == expected
    assert (await ask(served, "/channels-stats?id=events")).document == events
    missing = await ask(served, "/channels-stats?id=nothing")
    assert (missing.status, missing.body) == (404, b"")


async def test_pages_of_an_allowed_origin_may_poll_and_read_the_headers(serve: Any) -> None:
    served = await serve(push_stream=ON, allow_origins=("https://page.example",))
    asked = await ask(served, "/lp/events", "OPTIONS", Origin="https://page.example")
    assert "If-None-Match" in asked.headers["access-control-allow-headers"]
    polled = await ask(served, "/lp/events", Origin="https://page.example", X_Nginx_PushStream_Mode="polling")
    assert polled.headers["access-control-allow-origin"] == "https://page.example"
    assert "Etag" in polled.headers["access-control-expose-headers"]
    assert (await ask(served, "/lp/events", Origin="https://evil.example")).status == 403


async def test_a_drain_answers_polls_and_tells_event_sources_when_to_come_back(serve: Any, dial: Any) -> None:
    served = await serve(push_stream=ON)
    events = await dial(served)
    events.send(lines_of(b"/ev/events"))
    await events.read_until(b": \n")
    polling = asyncio.create_task(ask(served, "/lp/events"))
    await eventually_async(lambda: served.hub.subscribers("events") == 2)
    for connection in list(served.context.connections):
        connection.leave_in(1.0)
    assert (await polling).status == 304
    assert re.fullmatch(rb"retry: \d{3,4}\n\n", await events.read_until(b"\n\n"))


async def test_paths_can_be_others(serve: Any) -> None:
    settings = PushStreamSettings(on=True, poll="/activity/poll/", statistics="/figures")
    served = await serve(push_stream=settings)
    served.publish(b"x")
    assert (await ask(served, "/activity/poll/events.b1")).body == b"x"
    assert (await ask(served, "/figures")).status == 200
    assert (await ask(served, "/lp/events.b1")).status == 404
