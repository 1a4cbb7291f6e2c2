"""What comes in badly, a row for each kind: bodies, answers, certificates, disks, configurations.

Each row tells the promised outcome. In none is an event lost: it has arrived, is a dead letter, or is with
nsqd; and none stops the other events, the other sinks, or the pipelines that are in order.
"""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateways.pipeline.batch import BatchLimits
from gateways.pipeline.dead_letters import DeadLetter
from gateways.pipeline.fan_out import Route
from gateways.pipeline.pipeline import Pipeline, PipelineLimits
from gateways.pipeline.retry import RetryPolicy
from gateways.pipeline.sink import CONFIRMED, Outcome, Sink
from gateways.service.problems import BadConfigFile
from gateways.ship.config_file import load_config
from gateways.ship.dead_letters.envelope import read_letter
from gateways.ship.dead_letters.store import SinkDeadLetters
from harness import stores
from harness.log_services import KINDS, LogService, Reply, running, settings_for
from harness.pipeline import FakeSource, ScriptedSink
from harness.polling import eventually_async
from harness.stores import make_sink

GOOD = [b'{"n":1}', b'{"n":2}', b'{"n":3}']
RETRY = RetryPolicy(0.001, 2, 0.01)


class Letters:
    """Dead letters in memory."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.reasons: list[str] = []

    async def store(self, letters: Sequence[DeadLetter]) -> Outcome:
        self.bodies += [letter.message.body for letter in letters]
        self.reasons += [letter.reason for letter in letters]
        return CONFIRMED


class Scene:
    """A pipeline into one sink, and into another one that is well and not required."""

    def __init__(self, sink: Sink, letters: Any) -> None:
        self.source = FakeSource()
        self.source.is_starved = True
        self.other = ScriptedSink()
        routes = [Route(sink), Route(self.other, "other", required=False)]
        limits = PipelineLimits(BatchLimits(max_age=0.01), send_timeout=5.0)
        self.pipeline = Pipeline([self.source], routes, limits, RETRY, dead_letters=letters)

    @property
    def finished(self) -> list[bytes]:
        return sorted(self.source.origin.finished)

    async def done_with(self, bodies: Sequence[bytes]) -> None:
        """Every message is finished, and the other sink has them."""
        await eventually_async(lambda: self.finished == sorted(bodies))
        assert sorted(self.other.delivered) == sorted(bodies)
        assert self.source.origin.requeued == []
        assert self.pipeline.trouble is None


@asynccontextmanager
async def scene(config: dict[str, Any], letters: Any) -> AsyncIterator[Scene]:
    sink = make_sink(config)
    await sink.open()
    made = Scene(sink, letters)
    made.pipeline.start()
    try:
        yield made
    finally:
        await made.pipeline.drain(0.0)
        await sink.close()


# -- bodies

DEEP = b"[" * 10_000 + b"]" * 10_000
LINE = b"x" * 1_048_576
BODIES: dict[str, tuple[bytes, dict[str, str]]] = {
    "no JSON": (b"GET / 200", {}),
    "nothing": (b"", {"nsq": "no message of 0 bytes"}),
    "half of JSON": (b'{"n":', {}),
    "line of 1 MiB": (
        LINE,
        {
            "loggly": "more than the 1000000",
            "datadog": "more than the",
            "splunk": "HTTP 413",
            "loki": "HTTP 400",
            "syslog": "max_length is 200000",
        },
    ),
    "newlines": (b'{\n"n":\r\n4}', {}),
    "text with CRLF": (b"two\r\nlines\r\n", {}),
    "invalid UTF-8": (b'{"n":"\xff\xfe"}', {}),
    "NUL": (b'{"n":"\x00"}\x00', {}),
    "deep JSON": (DEEP, {}),
    "deep JSON object": (b'{"n":' + DEEP + b"}", {}),
    "numbers of any size": (b'{"n":' + b"9" * 400 + b',"m":1e999,"o":NaN}', {}),
    "the key of a service": (b'{"@timestamp":[],"time":{},"message":null,"_id":1,"_index":"x"}', {}),
    "lone surrogate": (b'{"n":"\\ud800"}', {}),
}
"""The body, and by which sinks it is refused for which reason; by all others it is taken."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", BODIES)
async def test_bad_bodies(kind: str, name: str) -> None:
    body, refused = BODIES[name]
    letters = Letters()
    async with running(kind) as (service, settings), scene(settings, letters) as shown:
        shown.source.deliver(GOOD[0], body, *GOOD[1:])
        await shown.done_with([body, *GOOD])
    assert letters.bodies == ([body] if kind in refused else [])
    assert all(refused[kind] in reason for reason in letters.reasons)
    assert len(service.events) == 4 - len(letters.bodies), "a body is one event, whatever is in it"


@pytest.mark.parametrize("kind", ["postgresql", "sqlite", "redis list", "syslog", "nsq"])
@pytest.mark.parametrize("name", BODIES)
async def test_bad_bodies_to_stores(kind: str, name: str) -> None:
    body, refused = BODIES[name]
    letters = Letters()
    with stores.running(stores.IN_CONTRACT[kind]) as store:
        async with scene(store.config, letters) as shown:
            shown.source.deliver(GOOD[0], body, *GOOD[1:])
            await shown.done_with([body, *GOOD])
        assert letters.bodies == ([body] if kind in refused else [])
        assert all(refused[kind] in reason for reason in letters.reasons)
        assert len(store.events) == 4 - len(letters.bodies)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("years", [-50, 50, 200])
async def test_timestamps_far_away_are_sent_as_they_are(kind: str, years: int) -> None:
    """Of the message; services that refuse them say so event by event, as for any bad data."""
    letters = Letters()
    async with running(kind) as (_, settings), scene(settings, letters) as shown:
        when = datetime.now(timezone.utc) + timedelta(days=365 * years)
        shown.source.deliver(*GOOD, timestamp=int(when.timestamp()) * 1_000_000_000)
        await shown.done_with(GOOD)
    assert letters.bodies == []


# -- answers

ANSWERS: dict[str, Reply] = {
    "garbage": Reply(raw=b"\x00\xff garbage \r\n\r\n" * 9),
    "closes at once": Reply(raw=b""),
    "closes in the headers": Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Le"),
    "closes half-way": Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
    "never answers": Reply(raw=b"", holds=True),
    "never ends": Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", holds=True),
    "redirects": Reply(307, None, {"Location": "http://127.0.0.1:1/elsewhere"}),
    "a page": Reply(200, "<html>Sign in</html>", {"Content-Type": "text/html"}),
    "unavailable": Reply(503),
    "wrong credentials": Reply(401),
    "ten megabytes": Reply(500, "x" * 10_000_000),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ANSWERS)
async def test_bad_answers_are_waited_out(kind: str, name: str) -> None:
    """Nothing is finished by them, nor a dead letter; afterwards everything arrives."""
    letters = Letters()
    reply = ANSWERS[name]
    patience = {"request_timeout": 0.1} if reply.holds else {}
    async with running(kind) as (service, settings), scene(settings | patience, letters) as shown:
        await nothing_passes(shown, service, reply)
        await shown.done_with(GOOD)
    assert len(service.events) == 3 or reply.holds, "an answer that comes too late may double events"
    assert letters.bodies == []


ERRORS_INSIDE: dict[str, Reply] = {
    "loggly": Reply(200, {"response": "error"}),
    "splunk": Reply(200, {"text": "Server is busy", "code": 9}),
    "elasticsearch": Reply(200, {"errors": True, "items": [{"create": {"status": 429}}] * 3}),
    "loki": Reply(260),
    "clickhouse": Reply(200, "", {"X-ClickHouse-Exception-Code": "241"}),
}


@pytest.mark.parametrize("kind", ERRORS_INSIDE)
async def test_a_200_with_errors_inside_is_none(kind: str) -> None:
    async with running(kind) as (service, settings), scene(settings, Letters()) as shown:
        await nothing_passes(shown, service, ERRORS_INSIDE[kind])
        await shown.done_with(GOOD)
    assert len(service.events) == 3


async def nothing_passes(shown: Scene, service: LogService, reply: Reply) -> None:
    """As long as the service answers like this; the other sink has its events all the same."""
    service.script = [reply] * 1000
    shown.source.deliver(*GOOD)
    await eventually_async(lambda: len(service.requests) > 1 and shown.pipeline.trouble is not None)
    await eventually_async(lambda: len(shown.other.delivered) == 3)
    assert shown.finished == []
    service.script.clear()


# -- certificates and names

NOT_THERE = "http://no-such-host.invalid/"
LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)
CERTIFICATES: dict[str, tuple[str, dict[str, Any], str]] = {
    "other name": ("other.example.org", {}, "certificate is not accepted: IP address mismatch"),
    "expired": ("127.0.0.1", {"not_after": LONG_AGO}, "certificate is not accepted: certificate has expired"),
}


@pytest.mark.parametrize("name", CERTIFICATES)
async def test_bad_certificates_hold_everything_until_they_are_mended(name: str, tmp_path: Path) -> None:
    host, options, reason = CERTIFICATES[name]
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(host, **options).configure_cert(context)
    service = type("Encrypted", (Ndjson,), {"tls": context})()
    config = {"type": "http", "url": service.url, "tls": {"ca_file": str(tmp_path / "ca.pem")}}
    async with scene(config, Letters()) as shown:
        shown.source.deliver(*GOOD)
        await eventually_async(lambda: shown.pipeline.trouble is not None)
        assert reason in str(shown.pipeline.trouble)
        assert shown.finished == []
        assert service.requests == []
        authority.issue_cert("127.0.0.1").configure_cert(context)
        await shown.done_with(GOOD)
    assert service.events == GOOD
    await service.close()


class Ndjson(LogService):
    """Takes lines."""

    def take(self, request: Any) -> Reply:
        self.events += request.body.splitlines()
        return Reply(200)


async def test_a_name_that_nobody_knows_is_waited_for() -> None:
    async with scene(settings_for("loki", NOT_THERE), Letters()) as shown:
        shown.source.deliver(*GOOD)
        await eventually_async(lambda: "no-such-host.invalid" in (shown.pipeline.trouble or ""))
        await eventually_async(lambda: len(shown.other.delivered) == 3)
        assert shown.finished == []
    assert sorted(body for body, _ in shown.source.origin.requeued) == GOOD, "it is with nsqd again"


# -- disks


DISKS: dict[str, tuple[str, int]] = {
    "full": ("write", errno.ENOSPC),
    "broken": ("fsync", errno.EIO),
    "read-only": ("write", errno.EROFS),
    "folder vanished": ("", errno.ENOENT),
}
"""The call that fails, and how."""


@contextmanager
def trouble_with(name: str, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[str]:
    """Until it is mended; gives the reason. Calls go on to work elsewhere, as for the loop's own pipe."""
    call, number = DISKS[name]
    if not call:
        folder.rename(folder.with_name("gone"))
        yield os.strerror(number)
        folder.with_name("gone").rename(folder)
        return
    real = getattr(os, call)

    def fail(fd: int, *arguments: Any) -> Any:
        if "/out" in os.readlink(f"/proc/self/fd/{fd}"):
            raise OSError(number, os.strerror(number))
        return real(fd, *arguments)

    with patch.context() as patched:
        patched.setattr(os, call, fail)
        yield os.strerror(number)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "events"


@pytest.mark.parametrize("name", DISKS)
async def test_bad_disks_are_waited_for(name: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with scene({"type": "file", "path": str(file)}, None) as shown:
        with trouble_with(name, file.parent, monkeypatch) as reason:
            shown.source.deliver(*GOOD)
            await eventually_async(lambda: reason in (shown.pipeline.trouble or ""))
            await eventually_async(lambda: len(shown.other.delivered) == 3)
            assert shown.finished == []
        await shown.done_with(GOOD)
    assert file.read_bytes().splitlines() == GOOD


@pytest.mark.parametrize("name", DISKS)
async def test_dead_letters_on_bad_disks_are_waited_for(
    name: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bad event waits, the others go on."""
    store = make_sink({"type": "file", "path": str(file)})
    await store.open()
    async with (
        running("loggly") as (service, settings),
        scene(settings | {"max_event_bytes": 2000}, SinkDeadLetters(store, "app")) as shown,
    ):
        bad = b"x" * 3000
        with trouble_with(name, file.parent, monkeypatch) as reason:
            shown.source.deliver(GOOD[0], bad, *GOOD[1:])
            await eventually_async(lambda: reason in (shown.pipeline.trouble or ""))
            await eventually_async(lambda: shown.finished == GOOD)
        await shown.done_with([bad, *GOOD])
    await store.close()
    (line,) = file.read_bytes().splitlines()
    assert read_letter(line).body == bad
    assert service.events == GOOD


# -- configurations

CONFIG = """\
[nsq]
nsqd_tcp_addresses = ["127.0.0.1:4150"]
[[pipeline]]
topics = ["app"]
channel = "ship"
sinks = ["out"]
[sink.out]
type = "http"
url = "http://127.0.0.1:1/"
"""

MISTAKES: dict[str, tuple[str, str, str]] = {
    "no TOML": ("[sink.out]", "[sink.out", ":7: "),
    "unknown key": ("url =", "urls =", "urls"),
    "unknown kind": ('"http"', '"htpp"', '"htpp"'),
    "unknown table": ("[nsq]", "[nqs]", "nqs"),
    "unknown sink": ('sinks = ["out"]', 'sinks = ["uot"]', "there is no [sink.uot]"),
    "no sink": ('sinks = ["out"]', "sinks = []", "sinks"),
    "wrong type": ('channel = "ship"', "channel = 7", "channel"),
    "bad name": ('topics = ["app"]', 'topics = ["a b"]', "'a b'"),
    "bad address": ("127.0.0.1:4150", "127.0.0.1:nsq", "127.0.0.1:nsq"),
    "bad URL": ("http://127.0.0.1:1/", "127.0.0.1", "127.0.0.1"),
    "out of bounds": ("[sink.out]", "max_in_flight = 0\n[sink.out]", "max_in_flight"),
    "no unit": ("[sink.out]", 'retry.budget = "5 fortnights"\n[sink.out]', "5 fortnights"),
    "no such variable": ("127.0.0.1:1", "${NO_SUCH_VARIABLE}", "NO_SUCH_VARIABLE"),
    "no such secret": ('url = "', 'bearer_token = "file:/no/such/file"\nurl = "', "/no/such/file"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_in_the_configuration_are_told_with_file_line_and_value(name: str, tmp_path: Path) -> None:
    old, new, told = MISTAKES[name]
    assert old in CONFIG
    file = tmp_path / "ship.toml"
    file.write_text(CONFIG.replace(old, new))
    with pytest.raises(BadConfigFile) as refused:
        load_config(file)
    problems = str(refused.value).splitlines()
    assert all(line.startswith(f"{file}:") for line in problems)
    assert any(told in line for line in problems)
