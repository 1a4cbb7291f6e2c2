"""Wrong bytes for everything in `protocol` that reads: events or a documented error, and bounded memory.

A failure names its seed: FUZZ_SEED=... repeats that case. FUZZ_SECONDS is the time for all targets.
"""

from __future__ import annotations

import contextlib
import json
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from fuzz.golden import CONVERSATIONS, LOOKUP_COMMANDS, compressed
from fuzz.mutation import ENOUGH, mutators
from harness.scripted import FEATURES, error, message, response
from nsqgw.errors import NSQError, ProtocolError
from nsqgw.protocol.client import ClientProtocol
from nsqgw.protocol.commands import encode_sized
from nsqgw.protocol.compression import PIECE_SIZE, Codec, Deflate, Snappy
from nsqgw.protocol.identify import ServerFeatures
from nsqgw.protocol.limits import ServerLimits
from nsqgw.protocol.lookup import ResponseReader, parse_directory_info, response_error
from nsqgw.protocol.lookup_server import LookupCommandReader
from nsqgw.protocol.negotiation import Negotiation
from nsqgw.protocol.server import ServerProtocol

MAX_FRAME = 4096
MEMORY = 64 * 1024 * 1024
"""What one case may take at its peak: compression may blow a few kilobytes up by a factor of a thousand."""

Target = Callable[[Sequence[bytes]], None]


def make(*parts: Any) -> tuple[Any, ...]:
    return parts


# -- the client's side

HANDSHAKE = response(json.dumps(FEATURES).encode())
DELIVERIES = (
    response(b"OK")
    + b"".join(message(number, bytes(number % 7 * 40)) for number in range(20))
    + response(b"_heartbeat_")
    + response(b"OK") * 5
    + error("E_FIN_FAILED FIN 0123456789abcdef failed ID not in flight")
    + message(99)
    + response(b"CLOSE_WAIT")
    + error("E_INVALID no such command")
)


def client(pieces: Sequence[bytes]) -> None:
    """Handshake and deliveries, in the clear."""
    protocol = ClientProtocol(make, MAX_FRAME)
    with contextlib.suppress(ProtocolError):
        for number, piece in enumerate(pieces):
            for event in protocol.receive_data(piece):
                repr(event)
            if number == len(pieces) // 4:
                protocol.established()
            assert len(protocol._parser._pending) <= MAX_FRAME + 4 + sum(map(len, pieces[: number + 1]))


def compressed_client(make_codec: Callable[[], Codec]) -> Target:
    """Deliveries below a compression."""

    def target(pieces: Sequence[bytes]) -> None:
        protocol = ClientProtocol(make, MAX_FRAME)
        with contextlib.suppress(ProtocolError):
            protocol.start_compression(make_codec())
            protocol.receive_data(pieces[0] if pieces else b"")
            protocol.established()
            for piece in pieces[1:]:
                protocol.receive_data(piece)
                assert len(protocol._parser._pending) <= MAX_FRAME + PIECE_SIZE

    return target


def decompress(make_codec: Callable[[], Codec]) -> Target:
    """The compression alone: pieces are bounded."""

    def target(pieces: Sequence[bytes]) -> None:
        codec = make_codec()
        with contextlib.suppress(ProtocolError):
            for piece in pieces:
                assert all(0 < len(plain) <= PIECE_SIZE for plain in codec.decompress(piece))

    return target


def identify_answer(pieces: Sequence[bytes]) -> None:
    """The document nsqd answers IDENTIFY with."""
    with contextlib.suppress(ProtocolError):
        ServerFeatures.from_response(b"".join(pieces))


# -- the server's side


def server(pieces: Sequence[bytes]) -> None:
    """A client's commands, upgrades granted."""
    limits = ServerLimits(max_msg_size=1000, max_body_size=4000)
    protocol = ServerProtocol(limits)
    for piece in pieces:
        waiting: list[Any] = list(protocol.receive_data(piece))
        while waiting:
            command = waiting.pop(0)
            if isinstance(command, Negotiation):
                protocol.accept(command)
                waiting += protocol.receive_data(b"")
        protocol.data_to_send()
        if protocol.error is not None:
            assert isinstance(protocol.error, NSQError)
            assert protocol.receive_data(b"NOP\n") == []
            return


# -- nsqlookupd

LOOKUP_ANSWERS = (
    encode_sized(b'{"broadcast_address":"x","http_port":4161,"tcp_port":4160,"version":"1.3.0"}')
    + encode_sized(b"OK") * 3
    + encode_sized(b"E_INVALID cannot IDENTIFY again")
)


def lookup_commands(pieces: Sequence[bytes]) -> None:
    """What nsqlookupd reads."""
    reader = LookupCommandReader()
    for piece in pieces:
        reader.read(piece)
    reader.end()
    assert isinstance(reader.error, NSQError)


def lookup_answers(pieces: Sequence[bytes]) -> None:
    """What nsqd reads of it."""
    reader = ResponseReader()
    with contextlib.suppress(ProtocolError):
        for piece in pieces:
            for answer in reader.read(piece):
                response_error(answer)
                with contextlib.suppress(ProtocolError):
                    parse_directory_info(answer)


PARTS = [DELIVERIES[start : start + 200] for start in range(0, len(DELIVERIES), 200)]
BOMB = bytes(2 * PIECE_SIZE)

TARGETS: dict[str, tuple[Target, list[bytes]]] = {
    "client": (client, [HANDSHAKE + DELIVERIES, DELIVERIES, HANDSHAKE]),
    "identify-answer": (identify_answer, [json.dumps(FEATURES).encode(), b"OK", b"{}"]),
    "server": (server, CONVERSATIONS),
    "lookup-commands": (lookup_commands, [LOOKUP_COMMANDS]),
    "lookup-answers": (lookup_answers, [LOOKUP_ANSWERS]),
}
for name, codec in {"deflate": Deflate, "snappy": Snappy}.items():
    streams = [compressed(codec, DELIVERIES), compressed(codec, *PARTS)]
    TARGETS[f"client-{name}"] = (compressed_client(codec), streams)
    TARGETS[name] = (decompress(codec), [*streams, compressed(codec, BOMB, b"x", BOMB)])


@pytest.fixture
def peak() -> Iterator[Callable[[], int]]:
    """The most memory that was held at once since the last call."""
    tracemalloc.start()

    def peak() -> int:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        return most

    yield peak
    tracemalloc.stop()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", TARGETS)
def test_wrong_bytes_give_events_or_a_documented_error(name: str, peak: Callable[[], int]) -> None:
    target, golden = TARGETS[name]
    for mutator in mutators(golden, 1 / len(TARGETS), ENOUGH):
        for _ in range(20):
            pieces = mutator.case()
            try:
                target(pieces)
            except Exception as error:
                told = f"{name}, FUZZ_SEED={mutator.seed}: {b''.join(pieces)[:300]!r}"
                raise AssertionError(told) from error
        assert peak() < MEMORY, f"{name}, FUZZ_SEED={mutator.seed}"
