"""nsqlookupd's dialogue: any cut gives the same, what is written is read, rubbish ends in a typed error."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nsqgw.errors import NSQError, ServerError
from nsqgw.protocol.commands import encode_sized
from nsqgw.protocol.lookup import (
    MAGIC,
    MAX_RESPONSE,
    DirectoryInfo,
    IdentifyNode,
    LookupCommand,
    NodeInfo,
    Ping,
    Register,
    ResponseReader,
    Unregister,
    parse_directory_info,
    response_error,
)
from nsqgw.protocol.lookup_server import MAX_BODY, MAX_LINE, LookupCommandReader

NAMES = st.from_regex(r"[.a-zA-Z0-9_-]{1,54}(#ephemeral)?", fullmatch=True)
CHANNELS = st.none() | NAMES
PORTS = st.integers(1, 65535)
NODES = st.builds(
    NodeInfo, st.text(min_size=1), PORTS, PORTS, st.text(min_size=1), st.text(), st.text(), st.text()
)
LATER = st.lists(
    st.builds(Ping) | st.builds(Register, NAMES, CHANNELS) | st.builds(Unregister, NAMES, CHANNELS)
)
DIALOGUES = st.builds(lambda node, later: [IdentifyNode(node), *later], NODES, LATER)
CUTS = st.lists(st.integers(0, 2000))

NODE = NodeInfo("node", 4150, 4151, "1.3.0")
IDENTIFIED = MAGIC + IdentifyNode(NODE).encode()


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def dialogue(data: bytes, cuts: Sequence[int] = ()) -> tuple[list[LookupCommand], str]:
    """The commands read and the error at the end."""
    reader = LookupCommandReader()
    commands: list[LookupCommand] = []
    for piece in pieces(data, cuts):
        commands += reader.read(piece)
    return commands, "" if reader.error is None else str(reader.error)


@given(DIALOGUES, CUTS)
def test_what_nsqd_writes_is_read_however_it_is_cut(commands: list[LookupCommand], cuts: list[int]) -> None:
    data = MAGIC + b"".join(command.encode() for command in commands)
    assert dialogue(data, cuts) == (commands, "")


@given(st.binary(max_size=300), CUTS, st.sampled_from([b"", MAGIC, IDENTIFIED, MAGIC + b"IDENTIFY\n"]))
@example(b"\x7f\xff\xff\xff", [], MAGIC + b"IDENTIFY\n")
@example(b"\xff\xff\xff\xff", [], MAGIC + b"IDENTIFY\n")
def test_rubbish_ends_in_a_documented_error_however_it_is_cut(
    rubbish: bytes, cuts: list[int], start: bytes
) -> None:
    outcome = dialogue(start + rubbish, cuts)
    assert outcome == dialogue(start + rubbish)
    reader = LookupCommandReader()
    reader.read(start + rubbish)
    reader.end()
    assert isinstance(reader.error, NSQError)
    assert reader.read(b"PING\n") == []


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"  V2", "E_BAD_PROTOCOL"),
        (MAGIC + b"REGISTER t\n", "E_INVALID client must IDENTIFY"),
        (MAGIC + b"UNREGISTER\n", "E_INVALID client must IDENTIFY"),
        (MAGIC + b"NOPE x\n", "E_INVALID invalid command NOPE"),
        (MAGIC + b"ping\n", "E_INVALID invalid command ping"),
        (MAGIC + b"\xff\n", "E_INVALID invalid command \udcff"),
        (IDENTIFIED + b"IDENTIFY\n", "E_INVALID cannot IDENTIFY again"),
        (IDENTIFIED + b"REGISTER\n", "E_INVALID REGISTER insufficient number of params"),
        (IDENTIFIED + b"UNREGISTER \n", "E_INVALID UNREGISTER insufficient number of params"),
        (IDENTIFIED + b"REGISTER bad$ c\n", "E_BAD_TOPIC REGISTER topic name 'bad$' is not valid"),
        (IDENTIFIED + b"REGISTER  c\n", "E_BAD_TOPIC REGISTER topic name '' is not valid"),
        (IDENTIFIED + b"UNREGISTER t c$\n", "E_BAD_CHANNEL UNREGISTER channel name 'c$' is not valid"),
        (MAGIC + b"IDENTIFY\n\0\0\0\0", "E_BAD_BODY IDENTIFY failed to read body"),
        (MAGIC + b"x" * (MAX_LINE + 1), f"E_INVALID command line longer than {MAX_LINE} bytes"),
        (
            MAGIC + b"IDENTIFY\n" + (MAX_BODY + 1).to_bytes(4, "big"),
            "E_BAD_BODY IDENTIFY failed to read body",
        ),
    ],
)
def test_the_texts_of_the_errors(data: bytes, error: str) -> None:
    assert dialogue(data)[1] == error


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "failed to read body"),
        (b"{", "failed to decode JSON body"),
        (b"[]", "failed to decode JSON body"),
        (b"[" * 100_000, "failed to decode JSON body"),
        (b"null", "missing fields"),
        (b"{}", "missing fields"),
        (json.dumps(asdict(NODE) | {"http_port": 0}).encode(), "missing fields"),
        (json.dumps(asdict(NODE) | {"version": None}).encode(), "missing fields"),
        (json.dumps(asdict(NODE) | {"tcp_port": "4150"}).encode(), "failed to decode JSON body"),
        (json.dumps(asdict(NODE) | {"tcp_port": True}).encode(), "failed to decode JSON body"),
        (json.dumps(asdict(NODE) | {"tcp_port": 2**63}).encode(), "failed to decode JSON body"),
        (json.dumps(asdict(NODE) | {"hostname": 5}).encode(), "failed to decode JSON body"),
    ],
)
def test_c_lkd_4_bodies_of_identify(body: bytes, error: str) -> None:
    assert dialogue(MAGIC + b"IDENTIFY\n" + encode_sized(body)) == ([], f"E_BAD_BODY IDENTIFY {error}")


def test_lines_may_end_as_telnet_has_them_and_ping_comes_first() -> None:
    assert dialogue(MAGIC + b"  PING \r\n" + IdentifyNode(NODE).encode() + b"REGISTER t\r\n") == (
        [Ping(), IdentifyNode(NODE), Register("t")],
        "",
    )


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (MAGIC + b"IDENTIFY\n\0\0", "E_BAD_BODY IDENTIFY failed to read body size"),
        (MAGIC + b"IDENTIFY\n\0\0\0\5{", "E_BAD_BODY IDENTIFY failed to read body"),
    ],
)
def test_a_body_that_never_comes_is_told(data: bytes, error: str) -> None:
    reader = LookupCommandReader()
    reader.read(data)
    reader.end()
    assert isinstance(reader.error, ServerError)
    assert str(reader.error) == error


@given(st.lists(st.binary(max_size=100)), CUTS)
def test_responses_are_read_however_they_are_cut(responses: list[bytes], cuts: list[int]) -> None:
    reader = ResponseReader()
    data = b"".join(map(encode_sized, responses))
    assert [response for piece in pieces(data, cuts) for response in reader.read(piece)] == responses


@given(st.binary(max_size=200))
@example(b"HTTP/1.1 400 Bad Request\r\n\r\n")
@example((MAX_RESPONSE + 1).to_bytes(4, "big"))
def test_rubbish_responses_end_in_a_typed_error(rubbish: bytes) -> None:
    with contextlib.suppress(NSQError):
        for response in ResponseReader().read(rubbish):
            response_error(response)
            parse_directory_info(response)


def test_what_a_directory_says_of_itself() -> None:
    response = (
        b'{"broadcast_address":"here","hostname":"h","http_port":4161,"tcp_port":4160,"version":"1.3.0"}'
    )
    assert parse_directory_info(response) == DirectoryInfo("here", 4161)
    assert response_error(response) is None
    assert str(response_error(b"E_INVALID client must IDENTIFY")) == "E_INVALID client must IDENTIFY"
