"""The wire alone, without sockets: parsing frames and commands, encoding; 500 messages of 200 B a round."""

from __future__ import annotations

from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture

from nsqgw.message import Message
from nsqgw.protocol.command_reader import CommandReader
from nsqgw.protocol.commands import encode_fin, encode_fins, encode_mpub, encode_pub
from nsqgw.protocol.frames import encode_message, encode_response
from nsqgw.protocol.limits import ServerLimits
from nsqgw.protocol.messages import FrameParser
from nsqgw.protocol.session import ClientState, Session
from perf.load import BODY_SIZE

COUNT = 500
BODY = b"x" * BODY_SIZE
IDS = [b"%016x" % number for number in range(COUNT)]
DELIVERIES = b"".join(encode_message(1_700_000_000_000_000_000, 1, each, BODY) for each in IDS)


def parse_in_pieces(data: bytes, size: int) -> int:
    parser: FrameParser[Message] = FrameParser(Message)
    return sum(len(parser.feed(data[start : start + size])) for start in range(0, len(data), size))


def test_parse_messages_in_one_read(benchmark: BenchmarkFixture) -> None:
    events: list[Any] = benchmark(lambda: FrameParser(Message).feed(DELIVERIES))
    assert len(events[0].messages) == COUNT


def test_parse_messages_in_reads_of_4_kib(benchmark: BenchmarkFixture) -> None:
    assert benchmark(parse_in_pieces, DELIVERIES, 4096) > 0


def test_parse_confirmations(benchmark: BenchmarkFixture) -> None:
    data = encode_response(b"OK") * COUNT
    events: list[Any] = benchmark(lambda: FrameParser(Message).feed(data))
    assert events[0].count == COUNT


def test_encode_fins(benchmark: BenchmarkFixture) -> None:
    assert benchmark(encode_fins, IDS).count(b"\n") == COUNT


def test_encode_pubs(benchmark: BenchmarkFixture) -> None:
    data = benchmark(lambda: b"".join([encode_pub("events", BODY) for _ in IDS]))
    assert data.count(b"PUB ") == COUNT


def test_encode_mpub(benchmark: BenchmarkFixture) -> None:
    bodies = [BODY] * COUNT
    assert len(benchmark(encode_mpub, "events", bodies)) > COUNT * BODY_SIZE


def test_server_reads_pubs(benchmark: BenchmarkFixture) -> None:
    data = encode_pub("events", BODY) * COUNT
    commands = benchmark(lambda: CommandReader(Session(), ServerLimits()).read(data))
    assert len(commands) == COUNT


def test_server_reads_fins(benchmark: BenchmarkFixture) -> None:
    data = b"".join(map(encode_fin, IDS))
    session = Session()
    session.state = ClientState.SUBSCRIBED
    assert len(benchmark(lambda: CommandReader(session, ServerLimits()).read(data))) > 0
