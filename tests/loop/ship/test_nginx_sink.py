"""Publishing to nginx: the order within channels, headers, what refusals mean, what is left out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError

from gateways.pipeline.batch import Batch
from gateways.pipeline.sink import CONFIRMED, Fate, SinkUnusable
from gateways.ship.sinks.nginx import NginxSettings, NginxSink
from harness.nginx import PushStreamPublisher
from harness.pipeline import make_batch
from harness.polling import eventually_async

Q_CHANNEL = "{field:channel}"


@pytest.fixture
async def publisher() -> AsyncIterator[PushStreamPublisher]:
    started = PushStreamPublisher()
    yield started
    await started.close()


@pytest.fixture
async def make(publisher: PushStreamPublisher) -> AsyncIterator[Any]:
    made: list[NginxSink] = []

    async def open_one(**changes: Any) -> NginxSink:
        settings = {"style": "push-stream", "url": publisher.publish_url, **changes}
        sink = NginxSettings.model_validate(settings).make(4)
        await sink.open()
        made.append(sink)
        return sink

    yield open_one
    for sink in made:
        await sink.close()


def batch_of(sink: NginxSink, *bodies: bytes) -> Batch:
    """The messages as the sink encodes them."""
    batch = make_batch(bodies)
    batch.events = [sink.encode(message) for message in batch.messages]
    return batch


def numbered(channel: str, number: int, **more: Any) -> bytes:
    return json.dumps({"channel": channel, "n": number, **more}).encode()


async def test_a_message_is_one_publication_with_its_id_type_and_time(
    publisher: PushStreamPublisher, make: Any
) -> None:
    sink = await make(event_type="{field:kind|none}", content_type="application/json")
    assert await sink.send(batch_of(sink, b'{"kind": "trad\\u00e9"}', b"plain")) is CONFIRMED
    assert publisher.bodies("events") == [b'{"kind": "trad\\u00e9"}', b"plain"]
    first, second = publisher.requests
    assert first.headers["Event-Id"] == "0" * 16
    assert first.headers["Event-Type"].encode("latin-1") == "tradé".encode()
    assert second.headers["Event-Type"] == "none"
    assert (second.headers["Content-Type"], second.headers["Content-Length"]) == ("application/json", "5")
    assert (second.headers["X-NSQ-Topic"], second.headers["X-NSQ-Timestamp"]) == ("events", "0")


async def test_channels_are_quoted_for_their_place_and_a_slash_is_no_second_channel(
    publisher: PushStreamPublisher, make: Any
) -> None:
    sink = await make(channel=Q_CHANNEL)
    outcome = await sink.send(
        batch_of(sink, numbered("a b&id=c?", 1), numbered("news/other", 2), b'{"no": "channel"}')
    )
    assert [name for name, *_ in publisher.messages] == ["a b&id=c?"]
    assert list(outcome.per_event) == [Fate.CONFIRMED, Fate.REJECTED, Fate.REJECTED]
    assert outcome.reasons == {
        1: "channel news%2Fother: push-stream would take its slash for several channels",
        2: "no channel: {field:channel} has no value",
    }


@pytest.mark.parametrize("channel", ["../admin/delete", "..", ".", "room/../../admin", "a/b"])
async def test_a_channel_in_the_path_leads_to_no_other_location(
    publisher: PushStreamPublisher, make: Any, channel: str
) -> None:
    url = publisher.publish_url.replace("/pub?id={channel}", "/pub/{channel}")
    sink = await make(channel=Q_CHANNEL, style="nchan", url=url)
    outcome = await sink.send(batch_of(sink, numbered(channel, 1)))
    assert outcome.fate is Fate.REJECTED
    assert publisher.requests == []


async def test_an_id_with_a_line_end_is_refused_and_nothing_is_sent(
    publisher: PushStreamPublisher, make: Any
) -> None:
    sink = await make(event_type="{field:kind}")
    outcome = await sink.send(batch_of(sink, b'{"kind": "a\\r\\nEvent-Id: 7"}'))
    assert outcome.fate is Fate.REJECTED
    assert publisher.requests == []


async def test_a_message_not_taken_holds_back_its_own_channel_alone(
    publisher: PushStreamPublisher, make: Any
) -> None:
    sink = await make(channel=Q_CHANNEL, pool=1)
    publisher.script = [200, 503]
    bodies = [numbered(channel, n) for n in range(3) for channel in ("a", "b")]
    outcome = await sink.send(batch_of(sink, *bodies))
    assert publisher.bodies("b") == []
    assert outcome.fate is Fate.RETRY
    again = [fate is Fate.RETRY for fate in outcome.per_event]
    assert again == [False, True] + [True] * 4, "one lane, and its nginx does not take anything"

    sink = await make(channel=Q_CHANNEL, pool=4)
    publisher.messages.clear()
    publisher.script = [503]
    outcome = await sink.send(batch_of(sink, *bodies))
    (held,) = {"a", "b"}.difference(name for name, *_ in publisher.messages)
    assert [json.loads(body)["channel"] == held for body in bodies] == [
        fate is Fate.RETRY for fate in outcome.per_event
    ]


async def test_channels_are_published_to_side_by_side_and_each_in_order(
    publisher: PushStreamPublisher, make: Any
) -> None:
    publisher.pause = 0.005  # the publisher itself asserts that no channel has two requests at once
    sink = await make(channel=Q_CHANNEL, pool=4)
    bodies = [numbered(f"c{n % 12}", n) for n in range(60)]
    assert await sink.send(batch_of(sink, *bodies)) is CONFIRMED
    assert 1 < publisher.most_under_way <= 4
    for channel in range(12):
        assert publisher.bodies(f"c{channel}") == bodies[channel::12]


async def test_a_batch_cut_off_goes_on_where_it_was(publisher: PushStreamPublisher, make: Any) -> None:
    publisher.pause = 0.05
    sink = await make(pool=1)
    batch = batch_of(sink, *(b"%d" % n for n in range(5)))
    sending = asyncio.create_task(sink.send(batch))
    await eventually_async(lambda: len(publisher.messages) >= 2)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await eventually_async(lambda: not publisher.under_way.total())
    publisher.pause = 0.0
    assert await sink.send(batch) is CONFIRMED
    came = [int(body) for body in publisher.bodies("events")]
    assert sorted(set(came)) == list(range(5))
    assert len(came) <= 6, "only what was under way can be there twice"
    assert came == sorted(came)


async def test_empty_messages_are_left_out_and_counted(
    publisher: PushStreamPublisher, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    sink = await make()
    assert await sink.send(batch_of(sink, b"", b"x", b"")) is CONFIRMED
    assert publisher.bodies("events") == [b"x"]
    assert sink.skipped == {"empty": 2}
    assert [record.message for record in caplog.records if "empty" in record.message] == [
        f"{sink.describe()}: empty messages are left out and counted: nginx takes none"
    ]
    sink = await make(empty="send")
    outcome = await sink.send(batch_of(sink, b""))
    assert outcome.fate is Fate.REJECTED
    assert outcome.reason.endswith("Empty post requests are not allowed.")
    assert NginxSettings(style="nchan", url=("http://h/{channel}",)).skips_empty is False


async def test_what_the_module_explains_is_about_the_message(
    publisher: PushStreamPublisher, make: Any
) -> None:
    sink = await make(channel=Q_CHANNEL)
    outcome = await sink.send(batch_of(sink, numbered("x" * 65, 1)))
    assert (outcome.fate, outcome.reason) == (
        Fate.REJECTED,
        "HTTP 400 Bad Request: Channel id is too large.",
    )
    publisher.max_channels = 0
    outcome = await sink.send(batch_of(sink, numbered("new", 1)))
    assert (outcome.fate, outcome.reason) == (
        Fate.RETRY,
        "HTTP 403 Forbidden: Number of channels were exceeded.",
    )


@pytest.mark.parametrize("channel", ["ALL", "a*", "*", "news/x", "x.b4"])
async def test_names_that_mean_several_channels_never_leave(
    publisher: PushStreamPublisher, make: Any, channel: str
) -> None:
    sink = await make(channel=Q_CHANNEL)
    outcome = await sink.send(batch_of(sink, numbered(channel, 1)))
    assert outcome.fate is Fate.REJECTED
    assert "push-stream" in outcome.reason
    assert publisher.requests == []


async def test_after_a_refusal_the_connection_is_not_used_again(
    publisher: PushStreamPublisher, make: Any
) -> None:
    """The module refuses before it has read the body, and nginx takes that for the next request."""
    sink = await make(pool=1)
    for statuses, connections in (([200, 200], 1), ([403, 200], 2), ([500, 200], 2)):
        publisher.requests.clear()
        publisher.script = list(statuses)
        for _ in statuses:
            await sink.send(batch_of(sink, b"x"))
        seen = {request.connection.context.address for request in publisher.requests}  # type: ignore[union-attr]
        assert len(seen) == connections


@pytest.mark.parametrize(
    ("status", "fate"),
    [
        (201, Fate.CONFIRMED),
        (202, Fate.CONFIRMED),
        (204, Fate.BLOCKED),
        (403, Fate.BLOCKED),
        (404, Fate.BLOCKED),
        (405, Fate.BLOCKED),
        (413, Fate.REJECTED),
        (400, Fate.REJECTED),
        (429, Fate.RETRY),
        (500, Fate.RETRY),
        (504, Fate.RETRY),
    ],
)
async def test_what_other_answers_mean(
    publisher: PushStreamPublisher, make: Any, status: int, fate: Fate
) -> None:
    sink = await make()
    publisher.script = [status]
    assert (await sink.send(batch_of(sink, b"x"))).fate is fate


async def test_the_probe_asks_for_the_statistics(publisher: PushStreamPublisher, make: Any) -> None:
    await (await make()).probe()
    await (await make(stats_url=publisher.url + "/channels-stats")).probe()
    for changes, words in (
        ({"stats_url": publisher.url + "/nothing"}, "HTTP 404 Not Found, where push-stream is expected"),
        ({"stats_url": publisher.url + "/channels-stats", "style": "nchan"}, "no stub status: give"),
        ({"stats_url": "http://127.0.0.1:1/"}, "Connection refused"),
        ({"url": "http://127.0.0.1:1/{channel}"}, "Connection refused"),
    ):
        with pytest.raises(SinkUnusable, match=words):
            await (await make(**changes)).probe()
    publisher.script = [405]
    with pytest.raises(SinkUnusable, match="405 Method Not Allowed, where push-stream is expected"):
        await (await make()).probe()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "http://127.0.0.1/pub"}, "no address to publish to"),
        ({"url": "http://{channel}/pub"}, "no address to publish to"),
        ({"url": ["http://a/{channel}", "http://b/{channel}"]}, "no address to publish to"),
        ({"channel": "{topic}/all"}, "take out the slash"),
        ({"channel": "a/{topic}"}, "take out the slash"),
        ({"content_type": "a\nb"}, "line ends"),
        ({"compression": "gzip"}, "browsers would get the compressed bytes"),
        ({"style": "mercure"}, "push-stream"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], words: str) -> None:
    settings = {"style": "push-stream", "url": "http://127.0.0.1/pub?id={channel}", **changes}
    with pytest.raises(ValidationError, match=words):
        NginxSettings.model_validate(settings)
