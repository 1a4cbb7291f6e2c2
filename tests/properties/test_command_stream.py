"""Commands survive any cutting of the stream; any stream ends in a documented way, in bounded memory."""

from __future__ import annotations

import itertools
import string

from hypothesis import given
from hypothesis import strategies as st

from nsqgw.errors import NSQError, ProtocolError, ServerError
from nsqgw.protocol.command_reader import MAX_LINE, CommandReader
from nsqgw.protocol.commands import (
    Auth,
    Cls,
    Command,
    Dpub,
    Fins,
    Identify,
    Mpub,
    Nop,
    Pubs,
    Rdy,
    Req,
    Sub,
    Touch,
)
from nsqgw.protocol.limits import ServerLimits
from nsqgw.protocol.server import ServerProtocol
from nsqgw.protocol.session import Session

LIMITS = ServerLimits(max_msg_size=300, max_body_size=1000)

names = st.builds(
    str.__add__,
    st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=54),
    st.sampled_from(["", "#ephemeral"]),
)
bodies = st.binary(min_size=1, max_size=300)
ids = st.one_of(
    st.text("0123456789abcdef", min_size=16, max_size=16).map(str.encode),
    st.binary(min_size=16, max_size=16).filter(lambda raw: not set(raw) & set(b" \n") and raw[-1:] != b"\r"),
)
delays = st.integers(0, 3_600_000)

at_any_time = st.one_of(
    st.builds(Pubs, names, st.lists(bodies, min_size=1, max_size=3)),
    st.builds(Dpub, names, delays, bodies),
    st.builds(Mpub, names, st.lists(st.binary(min_size=1, max_size=90), min_size=1, max_size=10).map(tuple)),
    st.just(Nop()),
)
before_sub = st.one_of(at_any_time, st.builds(Auth, bodies), st.builds(Identify, bodies))
answers = st.one_of(
    st.builds(Fins, st.lists(ids, min_size=1, max_size=5)), st.builds(Req, ids, delays), st.builds(Touch, ids)
)
while_subscribed = st.one_of(at_any_time, answers, answers, st.builds(Rdy, st.integers(0, 2500)))
while_closing = st.one_of(at_any_time, answers)


@st.composite
def conversations(draw: st.DrawFn) -> list[Command]:
    """Commands in an order nsqd takes: before SUB, subscribed, after CLS."""
    return [
        *draw(st.lists(before_sub, max_size=5)),
        Sub(draw(names), draw(names)),
        *draw(st.lists(while_subscribed, max_size=20)),
        Cls(),
        *draw(st.lists(while_closing, max_size=5)),
    ]


def read_in_pieces(data: bytes, cuts: list[int]) -> tuple[list[Command], NSQError | None]:
    reader = CommandReader(Session(), LIMITS)
    commands: list[Command] = []
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        piece = data[start:end]
        while True:
            got = reader.read(piece)
            commands += got
            if not got or not isinstance(got[-1], Identify):
                break
            piece = reader.take_rest()
    return one_by_one(commands), reader.error


def one_by_one(commands: list[Command]) -> list[Command]:
    """The same with every run taken apart: where reads are cut, runs are."""
    single: list[Command] = []
    for command in commands:
        if isinstance(command, Fins):
            single += [Fins([message_id]) for message_id in command.message_ids]
        elif isinstance(command, Pubs):
            single += [Pubs(command.topic, [body]) for body in command.bodies]
        else:
            single.append(command)
    return single


@given(conversations(), st.lists(st.integers(0, 10**6), max_size=12))
def test_commands_come_back_from_their_bytes_however_these_are_cut(
    commands: list[Command], cuts: list[int]
) -> None:
    stream = b"".join(command.encode() for command in commands)
    assert read_in_pieces(stream, cuts) == (one_by_one(commands), None)


@given(conversations())
def test_bytes_one_by_one_give_the_same_commands(commands: list[Command]) -> None:
    stream = b"".join(command.encode() for command in commands)
    assert read_in_pieces(stream, list(range(len(stream)))) == (one_by_one(commands), None)


@given(
    conversations(),
    st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=6)), min_size=1, max_size=3),
    st.lists(st.integers(0, 10**6), max_size=8),
)
def test_a_damaged_stream_fails_the_same_way_however_it_is_cut(
    commands: list[Command], damages: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    stream = bytearray(b"".join(command.encode() for command in commands))
    for place, junk in damages:
        place %= len(stream) + 1
        stream[place : place + len(junk)] = junk
    whole, error = read_in_pieces(bytes(stream), [])
    cut, cut_error = read_in_pieces(bytes(stream), cuts)
    assert cut == whole
    assert str(cut_error) == str(error)
    assert type(cut_error) is type(error)


words = st.sampled_from(
    [b"PUB", b"MPUB", b"DPUB", b"FIN", b"REQ", b"RDY", b"SUB", b"CLS", b"NOP", b"TOUCH", b"IDENTIFY", b"AUTH"]
    + [b" ", b" ", b"\n", b"\n", b"\r\n", b"t", b"0123456789abcdef", b"-1", b"99999999999999999999", b"2"]
    + [b"\0\0\0\2", b"\0\0\0\5{}", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"ab", b"{}"]
)
noise = st.one_of(st.binary(max_size=200), st.lists(words, max_size=40).map(b"".join))


@given(st.lists(noise, max_size=10))
def test_noise_ends_in_a_documented_error_and_nothing_piles_up(pieces: list[bytes]) -> None:
    protocol = ServerProtocol(LIMITS)
    protocol.receive_data(b"  V2")
    most = max(MAX_LINE, LIMITS.max_body_size) + max(map(len, pieces), default=0)
    for piece in pieces:
        protocol.receive_data(piece)
        assert len(protocol._reader._pending) <= most
    protocol.receive_eof()
    assert protocol.error is None or isinstance(protocol.error, ServerError | ProtocolError)


def test_an_endless_line_is_given_up_at_nsqds_read_buffer() -> None:
    reader = CommandReader(Session(), LIMITS)
    for _ in range(MAX_LINE - 1):
        reader.read(b"x")
    assert reader.error is None
    reader.read(b"x")
    assert isinstance(reader.error, ProtocolError)
    assert reader.read(b"NOP\n") == []


def test_a_batch_that_lies_about_its_size_is_stopped_at_max_body_size() -> None:
    """nsqd would read on as long as each message is legal; here all together count."""
    reader = CommandReader(Session(), LIMITS)
    reader.read(b"MPUB t\n\0\0\0\5\0\0\0\x63")
    for _ in range(4):
        reader.read(b"\0\0\1\0" + bytes(256))
    assert str(reader.error) == "E_BAD_BODY MPUB body too big 1044 > 1000"
