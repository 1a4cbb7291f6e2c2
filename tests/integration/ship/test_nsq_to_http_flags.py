"""A command line of nsq_to_http works unchanged: same requests as the original makes, and more is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit
from urllib.request import urlopen

import pytest
from tornado.web import RequestHandler

from gateways.cli.main import main
from harness.command import Nsqgw
from harness.embedded import EmbeddedNsqd
from harness.polling import eventually_async
from harness.real import require
from harness.sinks import LogService


@pytest.fixture
def nsqd() -> Iterator[EmbeddedNsqd]:
    daemon = EmbeddedNsqd()
    daemon.start()
    yield daemon
    daemon.close()


@pytest.fixture(params=["ours", "original"])
def program(request: pytest.FixtureRequest) -> list[str]:
    """What runs the same command line."""
    return ["nsq_to_http"] if request.param == "ours" else [str(require("nsq_to_http"))]


@pytest.fixture
async def service() -> AsyncIterator[LogService]:
    started = LogService()
    yield started
    await started.close()


def publish(nsqd: EmbeddedNsqd, *bodies: bytes) -> None:
    for body in bodies:
        urlopen(f"http://{nsqd.http_address}/pub?topic=events", body, timeout=10).close()


BODIES = [b"plain", b'{"a": 1}', b"two\nlines", b"a&b=c %\xff+ /"]


async def requests_of(
    program: list[str], nsqd: EmbeddedNsqd, folder: Path, service: LogService, *flags: str
) -> None:
    """Run until every body has come by a request of its own."""
    publish(nsqd, *BODIES)
    arguments = ["-topic=events", f"-nsqd-tcp-address={nsqd.tcp_address}", *flags]
    with (
        Nsqgw(folder, *program, *arguments)
        if program == ["nsq_to_http"]
        else Nsqgw(folder, *arguments, program=("-c", _EXEC, *program))
    ):
        await eventually_async(lambda: len(service.requests) >= len(BODIES))


_EXEC = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"


async def test_posts_are_as_those_of_the_original(
    program: list[str], nsqd: EmbeddedNsqd, service: LogService, tmp_path: Path
) -> None:
    flags = [
        f"-post={service.url}?type=x",
        "-content-type=text/x",
        "-header=X-Key: a: b",
        "-n=3",
        "-mode=round-robin",
    ]
    await requests_of(program, nsqd, tmp_path, service, *flags)
    assert sorted(request.body for request in service.requests) == sorted(BODIES)
    for request in service.requests:
        assert (request.method, request.uri) == ("POST", "/in?type=x")
        assert (request.headers["Content-Type"], request.headers["X-Key"]) == ("text/x", "a: b")


async def test_gets_are_as_those_of_the_original(
    program: list[str], nsqd: EmbeddedNsqd, service: LogService, tmp_path: Path
) -> None:
    await requests_of(program, nsqd, tmp_path, service, f"-get={service.url}?m=%s&x=1")
    found = [dict(parse_qsl(urlsplit(r.uri or "").query, encoding="latin-1")) for r in service.requests]
    assert sorted(query["m"].encode("latin-1") for query in found) == sorted(BODIES)
    assert {(request.method, query["x"]) for request, query in zip(service.requests, found, strict=True)} == {
        ("GET", "1")
    }


async def test_a_message_that_is_refused_six_times_is_still_there(
    nsqd: EmbeddedNsqd, service: LogService, tmp_path: Path
) -> None:

    def refuse(handler: RequestHandler) -> None:
        if len(service.requests) < 7:
            handler.set_status(503)
            handler.set_header("Retry-After", "0")

    service.respond = refuse
    publish(nsqd, b"precious")
    flags = ["-topic=events", f"-nsqd-tcp-address={nsqd.tcp_address}", f"-post={service.url}"]
    with Nsqgw(tmp_path, "nsq_to_http", *flags) as process:
        await eventually_async(lambda: len(service.requests) == 7)
        assert process.terminate() == 0
        assert "nsqgw nsq_to_http started" in process.log
    assert {request.body for request in service.requests} == {b"precious"}


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ([], "--post or --get"),
        (["-post=http://h", "-get=http://h/%s"], "not both"),
        (["-get=http://h/"], "must have %s once"),
        (["-post=h:80"], "no complete URL"),
        (["-post=http://h", "-mode=best"], "'best'"),
        (["-post=http://h", "-header=x"], "has no colon"),
        (["-post=http://h", "-sample=2"], "2"),
        (["-post=http://h", "-consumer-opt=tls_v1,true"], "go-nsq's"),
    ],
)
def test_mistakes_are_one_line(flags: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nsq_to_http", "-topic=t", "-nsqd-tcp-address=127.0.0.1:1", *flags]) == 2
    errors = capsys.readouterr().err
    assert text in errors
    assert errors.count("\n") == 1
