"""The sink for any HTTP service: framings, addresses by event, what confirms."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgpack
import pytest
from pydantic import ValidationError

from gateways.pipeline.sink import CONFIRMED, Fate, Outcome
from harness.log_services import LogService, Reply
from harness.polling import eventually_async
from harness.sending import NOON, batch_of, messages_of, opened, sink_of

BODIES = [b'{"a": 1.10}', b"text", b"two\nlines", b"\xff", b'{"a": 2}']


class Anything(LogService):
    def take(self, request: Any) -> Reply:
        return Reply(200, {"status": "accepted", "deep": {"n": 1}})


@pytest.fixture
async def service() -> AsyncIterator[LogService]:
    started = Anything()
    yield started
    await started.close()


async def sent(service: LogService, bodies: list[bytes], **settings: Any) -> Outcome:
    settings = {"type": "http", "url": f"{service.url}/in", **settings}
    async with opened(settings) as sink:
        return await sink.send(batch_of(sink, messages_of(bodies)))


@pytest.mark.parametrize(
    ("framing", "content_type", "body"),
    [
        ("ndjson", "application/x-ndjson", b'{"a": 1.10}\ntext\n"two\\nlines"\n\xff\n{"a": 2}\n'),
        ("lines", "text/plain", b'{"a": 1.10}\ntext\ntwo\nlines\n\xff\n{"a": 2}\n'),
        (
            "json_array",
            "application/json",
            rb'[{"a": 1.10},"text","two\nlines","{\"body_base64\":\"/w==\"}",{"a": 2}]',
        ),
        (
            "length_prefixed",
            "application/octet-stream",
            b'\0\0\0\x0b{"a": 1.10}\0\0\0\x04text\0\0\0\x09two\nlines\0\0\0\x01\xff\0\0\0\x08{"a": 2}',
        ),
    ],
)
async def test_framings(service: LogService, framing: str, content_type: str, body: bytes) -> None:
    assert await sent(service, BODIES, framing=framing) is CONFIRMED
    (request,) = service.requests
    assert (request.headers["Content-Type"], request.body) == (content_type, body)


async def test_a_body_by_a_template(service: LogService) -> None:
    words = {"prefix": '[{"logs":[', "suffix": "]}]", "element": "object", "framing": "template"}
    assert await sent(service, [b'{"a": 1}', b"text"], **words) is CONFIRMED
    (request,) = service.requests
    assert request.body == b'[{"logs":[{"a": 1},{"message":"text"}]}]'
    assert request.headers["Content-Type"] == "application/json"


async def test_envelopes_say_what_nsq_knows(service: LogService) -> None:
    assert await sent(service, [b'{"a":\n1}', b"\xff"], envelope=True, path="/{topic}") is CONFIRMED
    first, second = map(json.loads, service.requests[0].body.splitlines())
    known = {"topic": "events", "attempts": 1}
    assert first == {**known, "id": "0000000000000000", "timestamp": NOON, "body": {"a": 1}}
    assert second["body"] == '{"body_base64":"/w=="}'
    assert service.requests[0].path == "/in/events"


async def test_a_result_for_each_event(service: LogService) -> None:
    results = [{"status": 201}, {"status": 400}, {"status": 429}, {"status": "ok"}, {"status": "bad"}]
    service.script = [Reply(200, {"found": {"items": results}})] * 2
    outcome = await sent(service, [b"%d" % number for number in range(5)], results_field="found.items")
    assert outcome.per_event == [
        Fate.CONFIRMED, Fate.REJECTED, Fate.RETRY, Fate.CONFIRMED, Fate.REJECTED
    ]  # fmt: skip
    outcome = await sent(service, [b"only one"], results_field="found.items")
    assert (outcome.fate, outcome.reason) == (
        Fate.RETRY,
        "HTTP 200 OK without a result for each event in found.items",
    )


async def test_messagepack(service: LogService) -> None:
    assert await sent(service, BODIES, framing="msgpack_array") is CONFIRMED
    assert msgpack.unpackb(service.requests[0].body) == [{"a": 1.1}, "text", "two\nlines", b"\xff", {"a": 2}]


async def test_one_by_one_each_event_has_an_answer_of_its_own(service: LogService) -> None:
    service.script = [Reply(200), Reply(400), Reply(403), Reply(200), Reply(503, None, {"Retry-After": "3"})]
    outcome = await sent(service, BODIES, framing="one", requests_at_once=1, message_headers=True)
    assert outcome.per_event == [Fate.CONFIRMED, Fate.REJECTED, Fate.BLOCKED, Fate.CONFIRMED, Fate.RETRY]
    assert outcome.retry_after == 3.0
    assert [request.body for request in service.requests] == BODIES
    headers = service.requests[1].headers
    found = {name: headers[f"X-NSQ-{name}"] for name in ("Topic", "Id", "Attempts", "Timestamp")}
    assert found == {"Topic": "events", "Id": "0" * 15 + "1", "Attempts": "1", "Timestamp": str(NOON + 10**9)}


@pytest.mark.parametrize("status", [401, 503])
async def test_a_service_that_takes_nothing_is_not_asked_for_each_event(
    service: LogService, status: int
) -> None:
    service.script = [Reply(status)] * 100
    await sent(service, [b"%d" % number for number in range(100)], framing="one", requests_at_once=4)
    assert len(service.requests) <= 8 + 4


async def test_places_that_need_a_person_hold_up_no_other(service: LogService) -> None:
    service.script = [Reply(404)] * 20
    bodies = [b'{"a": %d}' % number for number in range(21)]
    outcome = await sent(service, bodies, path="/{field:a}", requests_at_once=1)
    assert outcome.per_event == [*[Fate.BLOCKED] * 20, Fate.CONFIRMED]


async def test_addresses_by_event(service: LogService) -> None:
    bodies = [b'{"app":"a/b?c"}', b'{"app":"x"}', b"text", b'{"app":"x","n":1}']
    settings = {"path": "/{topic}/{field:app}?t=%Y", "fallback_path": "/rest", "url": f"{service.url}/in/"}
    assert await sent(service, bodies, **settings) is CONFIRMED
    assert {request.uri: request.body.count(b"\n") for request in service.requests} == {
        "/in/events/a%2Fb%3Fc?t=2023": 1,
        "/in/events/x?t=2023": 2,
        "/in/rest": 1,
    }


@pytest.mark.parametrize("value", ["..", "a/../../admin", "../x", "./x", "x/.."])
async def test_no_value_leads_to_another_folder(service: LogService, value: str) -> None:
    """Servers that decode a path before they look for dots in it would leave the one that was meant."""
    body = json.dumps({"app": value}).encode()
    settings = {"path": "/logs/{field:app}", "url": f"{service.url}/in/"}
    assert await sent(service, [body], **settings, fallback_path="/rest") is CONFIRMED
    assert await sent(service, [body], **settings) is CONFIRMED
    assert [request.uri for request in service.requests] == ["/in/rest", "/in"]


async def test_dots_in_names_and_in_queries_stay(service: LogService) -> None:
    settings = {"path": "/logs/{field:app}?from={field:app}", "url": f"{service.url}/in/"}
    assert await sent(service, [b'{"app":"a..b/.c"}'], **settings) is CONFIRMED
    assert (
        await sent(service, [b'{"app":"../x"}'], path="/logs?from={field:app}", url=settings["url"])
        is CONFIRMED
    )
    uris = [request.uri for request in service.requests]
    assert uris == ["/in/logs/a..b%2F.c?from=a..b%2F.c", "/in/logs?from=..%2Fx"]


async def test_a_bad_event_is_found_among_those_of_its_address(service: LogService) -> None:
    def take(request: Any) -> Reply:
        return Reply(400 if b"bad" in request.body else 200)

    service.take = take  # type: ignore[method-assign]
    bodies = [b'{"p":"a","n":%d}' % n for n in range(7)] + [b'{"p":"a","n":"bad"}', b'{"p":"b"}']
    outcome = await sent(service, bodies, path="/{field:p}")
    assert outcome.per_event == [Fate.CONFIRMED] * 7 + [Fate.REJECTED, Fate.CONFIRMED]


async def test_the_idempotency_key_is_that_of_the_events(service: LogService) -> None:
    for bodies in (BODIES, BODIES, BODIES[1:]):
        assert await sent(service, bodies, idempotency_key=True) is CONFIRMED
    first, second, third = (request.headers["Idempotency-Key"] for request in service.requests)
    assert first == second != third


@pytest.mark.parametrize(
    ("settings", "fate"),
    [
        ({"ok_field": "status", "ok_value": "accepted"}, Fate.CONFIRMED),
        ({"ok_field": "deep.n", "ok_value": 1}, Fate.CONFIRMED),
        ({"ok_field": "status", "ok_value": "ok"}, Fate.RETRY),
        ({"ok_field": "nothing"}, Fate.RETRY),
    ],
)
async def test_a_word_can_be_asked_for(service: LogService, settings: dict[str, Any], fate: Fate) -> None:
    assert (await sent(service, BODIES, **settings)).fate is fate


@pytest.mark.parametrize(("status", "fate"), [(200, Fate.CONFIRMED), (204, Fate.RETRY), (404, Fate.BLOCKED)])
async def test_a_get_is_confirmed_by_200_alone(service: LogService, status: int, fate: Fate) -> None:
    service.script = [Reply(status)]
    outcome = await sent(service, [b"a b&c\xff"], method="GET", url=f"{service.url}/in?m=%s")
    assert outcome.fate is fate
    assert service.requests[0].uri == "/in?m=a+b%26c%FF"


async def test_own_statuses(service: LogService) -> None:
    service.script = [Reply(409), Reply(418), Reply(404)]
    settings = {"ok_status": [409], "retry_status": [418], "reject_status": [404]}
    fates = [(await sent(service, [b"a"], **settings)).fate for _ in range(3)]
    assert fates == [Fate.CONFIRMED, Fate.RETRY, Fate.REJECTED]


async def test_what_is_shown_has_no_secrets() -> None:
    settings = {
        "url": ["https://me:hush@h/hush?token=hush"],
        "password": "hush",
        "username": "me",
        "headers": {"X": "hush"},
        "path": "/hush/{topic}",
        "fallback_path": "/hush",
    }
    sink = sink_of({"type": "http", **settings})
    assert "hush" not in sink.describe() + sink.name
    from gateways.ship.sinks.http import HttpSettings

    shown = HttpSettings.model_validate(settings)
    assert "hush" not in json.dumps(shown.shown())


@pytest.mark.parametrize(
    "bad",
    [
        {"url": []},
        {"url": "http://"},
        {"url": "ftp://h"},
        {"username": "me"},
        {"username": "me", "password": "p", "bearer_token": "t"},
        {"headers": {"X": "a\r\nY: b"}},
        {"headers": {"X\n": "a"}},
        {"tls": {"key_file": "k"}},
        {"message_headers": True},
        {"path": "no-slash"},
        {"framing": "xml"},
        {"compression": "lzma"},
        {"request_timeout": "soon"},
        {"nothing": 1},
    ],
)
def test_mistakes_in_settings(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        sink_of({"type": "http", "url": "http://h", **bad})


async def test_a_batch_of_many_requests_that_is_cut_off_goes_on_where_it_was(service: LogService) -> None:
    bodies = [b"%d" % number for number in range(12)]
    hanging = asyncio.Event()
    answered: list[bytes] = []
    settings = {"type": "http", "url": f"{service.url}/in", "framing": "one", "requests_at_once": 2}
    async with opened(settings) as sink:
        batch = batch_of(sink, messages_of(bodies))
        deliver = sink.deliver

        async def stumble(request: Any, judge: Any) -> Outcome:
            if request.body == b"7" and not hanging.is_set():
                hanging.set()
                await asyncio.Event().wait()
            outcome = await deliver(request, judge)
            answered.append(request.body)
            return outcome

        sink.deliver = stumble  # type: ignore[method-assign]
        first = asyncio.create_task(sink.send(batch))
        await eventually_async(lambda: len(answered) == 11)  # one whose answer is on its way comes again
        first.cancel()
        await asyncio.wait([first])
        assert await sink.send(batch) is CONFIRMED
    assert sorted(request.body for request in service.requests) == sorted(bodies)


class Busy(LogService):
    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__()
        self.headers = headers

    def take(self, request: Any) -> Reply:
        return Reply(503, {}, headers=self.headers)


@pytest.mark.parametrize(("headers", "most"), [({"Retry-After": "30"}, 8), ({}, 16)])
async def test_a_service_that_takes_nothing_does_not_get_the_whole_batch_one_by_one(
    headers: dict[str, str], most: int
) -> None:
    busy = Busy(headers)
    outcome = await sent(busy, [b"x"] * 100, framing="one")
    assert outcome.fate is Fate.RETRY
    assert outcome.reason.startswith("HTTP 503")
    assert len(busy.requests) <= most
    await busy.close()


class Locked(LogService):
    def take(self, request: Any) -> Reply:
        return Reply(401)


async def test_a_host_that_needs_a_person_does_not_hold_up_the_others(service: LogService) -> None:
    locked = Locked()
    settings = {"type": "http", "url": [f"{locked.url}/in", f"{service.url}/in"]}
    async with opened(settings) as sink:
        for _ in range(4):
            assert await sink.send(batch_of(sink, messages_of([b"x"]))) is CONFIRMED
    assert locked.requests
    alone = {"type": "http", "url": [f"{locked.url}/in", f"{locked.url}/other"]}
    async with opened(alone) as sink:
        assert (await sink.send(batch_of(sink, messages_of([b"x"])))).fate is Fate.BLOCKED
    await locked.close()


async def test_a_header_that_cannot_be_sent_blocks_and_is_not_shown(service: LogService) -> None:
    outcome = await sent(service, [b"x"], content_type="text/hush\r\nX: y")
    assert outcome.fate is Fate.BLOCKED
    assert outcome.reason == "header Content-Type has line ends, or letters that no header may have"
