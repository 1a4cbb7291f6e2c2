"""What nsqd refuses, with its words and in its order of checks (nsqd-tcp sections 3, 8 and 9)."""

from __future__ import annotations

import struct

import pytest

from nsqgw.errors import FrameTooBig, NSQError
from nsqgw.protocol.command_reader import CommandReader
from nsqgw.protocol.commands import Command, Fins, Nop, Pubs, Rdy, Req, Sub
from nsqgw.protocol.limits import ServerLimits
from nsqgw.protocol.session import ClientState, Session

LIMITS = ServerLimits(max_msg_size=100, max_body_size=200)
ID = b"0123456789abcdef"


def size(number: int) -> bytes:
    return struct.pack(">i", number)


def read(
    data: bytes, state: ClientState = ClientState.INIT, *, heartbeats: bool = True, tls_missing: bool = False
) -> tuple[list[Command], NSQError | None]:
    session = Session()
    session.state, session.heartbeats, session.tls_missing = state, heartbeats, tls_missing
    reader = CommandReader(session, LIMITS)
    commands = reader.read(data)
    reader.end()
    return commands, reader.error


INIT, SUBSCRIBED, CLOSING = ClientState.INIT, ClientState.SUBSCRIBED, ClientState.CLOSING

REFUSED = [
    (INIT, b"ASDF\n", "E_INVALID invalid command ASDF"),
    (INIT, b"\n", "E_INVALID invalid command "),
    (INIT, b"\r\n", "E_INVALID invalid command "),
    (INIT, b"sub t c\n", "E_INVALID invalid command sub"),
    (INIT, b"\xff x\n", "E_INVALID invalid command \udcff"),
    (INIT, b" NOP\n", "E_INVALID invalid command "),
    # wrong state, before parameters are looked at
    (INIT, b"FIN\n", "E_INVALID cannot FIN in current state"),
    (INIT, b"REQ\n", "E_INVALID cannot REQ in current state"),
    (INIT, b"TOUCH\n", "E_INVALID cannot TOUCH in current state"),
    (INIT, b"RDY x\n", "E_INVALID cannot RDY in current state"),
    (INIT, b"CLS\n", "E_INVALID cannot CLS in current state"),
    (SUBSCRIBED, b"SUB t c\n", "E_INVALID cannot SUB in current state"),
    (SUBSCRIBED, b"IDENTIFY\n", "E_INVALID cannot IDENTIFY in current state"),
    (SUBSCRIBED, b"AUTH x\n", "E_INVALID cannot AUTH in current state"),
    (CLOSING, b"CLS\n", "E_INVALID cannot CLS in current state"),
    # parameters
    (INIT, b"SUB t\n", "E_INVALID SUB insufficient number of parameters"),
    (INIT, b"SUB  t c\n", 'E_BAD_TOPIC SUB topic name "" is not valid'),
    (
        INIT,
        b'SUB a"\\\x01\xc3\xa4\xff b\n',
        'E_BAD_TOPIC SUB topic name "a\\"\\\\\\x01\xe4\\xff" is not valid',
    ),
    (INIT, b"SUB t c$\n", 'E_BAD_CHANNEL SUB channel name "c$" is not valid'),
    (INIT, b"SUB t " + b"c" * 65 + b"\n", f'E_BAD_CHANNEL SUB channel name "{"c" * 65}" is not valid'),
    (INIT, b"AUTH x\n", "E_INVALID AUTH invalid number of parameters"),
    (SUBSCRIBED, b"RDY -1\n", "E_INVALID RDY could not parse count -1"),
    (SUBSCRIBED, b"RDY 2501\n", "E_INVALID RDY count 2501 out of range 0-2500"),
    (
        SUBSCRIBED,
        b"RDY 99999999999999999999\n",
        "E_INVALID RDY count 7766279631452241919 out of range 0-2500",
    ),
    (SUBSCRIBED, b"RDY 18446744073709551615\n", "E_INVALID RDY count -1 out of range 0-2500"),
    (SUBSCRIBED, b"FIN\n", "E_INVALID FIN insufficient number of params"),
    (SUBSCRIBED, b"FIN x\n", "E_INVALID invalid message ID"),
    (SUBSCRIBED, b"FIN 0123456789abcde\r\n", "E_INVALID invalid message ID"),
    (SUBSCRIBED, b"REQ " + ID + b"\n", "E_INVALID REQ insufficient number of params"),
    (SUBSCRIBED, b"REQ x x\n", "E_INVALID invalid message ID"),
    (SUBSCRIBED, b"REQ " + ID + b" -1\n", "E_INVALID REQ could not parse timeout -1"),
    (SUBSCRIBED, b"TOUCH\n", "E_INVALID TOUCH insufficient number of params"),
    # bodies: each size is judged before its bytes arrive
    (INIT, b"IDENTIFY\n" + size(201), "E_BAD_BODY IDENTIFY body too big 201 > 200"),
    (INIT, b"IDENTIFY\n" + size(0), "E_BAD_BODY IDENTIFY invalid body size 0"),
    (INIT, b"AUTH\n" + size(-5), "E_BAD_BODY AUTH invalid body size -5"),
    (INIT, b"PUB\n", "E_INVALID PUB insufficient number of parameters"),
    (INIT, b"PUB #ephemeral\n", 'E_BAD_TOPIC PUB topic name "#ephemeral" is not valid'),
    (INIT, b"PUB " + b"t" * 65 + b"\n", f'E_BAD_TOPIC PUB topic name "{"t" * 65}" is not valid'),
    (INIT, b"PUB t\n" + size(0), "E_BAD_MESSAGE PUB invalid message body size 0"),
    (INIT, b"PUB t\n" + size(-1), "E_BAD_MESSAGE PUB invalid message body size -1"),
    (INIT, b"PUB t\n" + size(101), "E_BAD_MESSAGE PUB message too big 101 > 100"),
    (INIT, b"DPUB t\n", "E_INVALID DPUB insufficient number of parameters"),
    (INIT, b"DPUB t x\n", "E_INVALID DPUB could not parse timeout x"),
    (INIT, b"DPUB t 3600100\n", "E_INVALID DPUB timeout 3600100 out of range 0-3600000"),
    (INIT, b"DPUB t 1\n" + size(101), "E_BAD_MESSAGE DPUB message too big 101 > 100"),
    (INIT, b"MPUB\n", "E_INVALID MPUB insufficient number of parameters"),
    (INIT, b"MPUB t!\n", 'E_BAD_TOPIC E_BAD_TOPIC MPUB topic name "t!" is not valid'),
    (INIT, b"MPUB t\n" + size(0), "E_BAD_BODY MPUB invalid body size 0"),
    (INIT, b"MPUB t\n" + size(201), "E_BAD_BODY MPUB body too big 201 > 200"),
    (INIT, b"MPUB t\n" + size(9) + size(0), "E_BAD_BODY MPUB invalid message count 0"),
    (INIT, b"MPUB t\n" + size(9) + size(40), "E_BAD_BODY MPUB invalid message count 40"),
    (
        INIT,
        b"MPUB t\n" + size(99) + size(3) + size(1) + b"a" + size(0),
        "E_BAD_MESSAGE MPUB invalid message(1) body size 0",
    ),
    (
        INIT,
        b"MPUB t\n" + size(99) + size(2) + size(101),
        "E_BAD_MESSAGE MPUB message too big 101 > 100",
    ),
    # the stream ends inside a body
    (INIT, b"IDENTIFY\n\0", "E_BAD_BODY IDENTIFY failed to read body size"),
    (INIT, b"IDENTIFY\n" + size(5) + b"{", "E_BAD_BODY IDENTIFY failed to read body"),
    (INIT, b"PUB t\n", "E_BAD_MESSAGE PUB failed to read message body size"),
    (INIT, b"PUB t\n" + size(5) + b"abcd", "E_BAD_MESSAGE PUB failed to read message body"),
    (INIT, b"MPUB t\n\0", "E_BAD_BODY MPUB failed to read body size"),
    (INIT, b"MPUB t\n" + size(99), "E_BAD_BODY MPUB failed to read message count"),
    (
        INIT,
        b"MPUB t\n" + size(99) + size(2) + size(1) + b"a\0",
        "E_BAD_MESSAGE MPUB failed to read message(1) body size",
    ),
    (
        INIT,
        b"MPUB t\n" + size(99) + size(2) + size(5) + b"a",
        "E_BAD_MESSAGE MPUB failed to read message body",
    ),
]


@pytest.mark.parametrize(("state", "data", "text"), REFUSED)
def test_refused_with_nsqds_words(state: ClientState, data: bytes, text: str) -> None:
    commands, error = read(data, state)
    assert (commands, str(error)) == ([], text.rstrip())


def test_an_empty_command_keeps_the_space_in_its_error_frame() -> None:
    _, error = read(b"\n")
    assert error is not None
    assert error.data == b"E_INVALID invalid command "  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", [b"SUB", b"NOP", b"ASDF", b"PUB t", b"FIN " + ID])
def test_without_the_tls_the_server_demands_everything_but_identify_is_refused(command: bytes) -> None:
    name = command.split()[0].decode()
    for state in (INIT, SUBSCRIBED):
        _, error = read(command + b"\n" + size(1) + b"x", state, tls_missing=True)
        assert str(error) == f"E_INVALID cannot {name} in current state (TLS required)"
    assert read(b"IDENTIFY\n" + size(2) + b"{}", tls_missing=True)[1] is None


def test_sub_needs_heartbeats_before_it_needs_parameters() -> None:
    _, error = read(b"SUB\n", heartbeats=False)
    assert str(error) == "E_INVALID cannot SUB with heartbeats disabled"


def test_what_comes_before_a_mistake_counts_and_what_comes_after_does_not() -> None:
    commands, error = read(b"NOP\nPUB t\n" + size(1) + b"x" + b"PUB t\n" + size(0) + b"NOP\n")
    assert commands == [Nop(), Pubs("t", [b"x"])]
    assert str(error) == "E_BAD_MESSAGE PUB invalid message body size 0"


def test_the_line_may_end_in_crlf_and_hold_surplus_words() -> None:
    assert read(b"SUB t c more\r\nRDY\r\nFIN " + ID + b" more\n") == (
        [Sub("t", "c"), Rdy(1), Fins([ID])],
        None,
    )


def test_an_empty_number_is_zero() -> None:
    assert read(b"RDY \nREQ " + ID + b" \n", SUBSCRIBED) == ([Rdy(0), Req(ID, 0)], None)


def test_req_beyond_the_longest_delay_is_clamped() -> None:
    assert read(b"REQ " + ID + b" 3600001\n", SUBSCRIBED) == ([Req(ID, 3_600_000)], None)


def test_rdy_is_ignored_while_closing_even_when_malformed() -> None:
    assert read(b"RDY x\nNOP\n", CLOSING) == ([Nop()], None)


def test_the_end_inside_a_line_is_no_error() -> None:
    assert read(b"PUB t") == ([], None)


def test_a_line_beyond_the_read_buffer_ends_the_connection_without_a_word() -> None:
    for data in (b"x" * 16384, b"x" * 16384 + b"\n"):
        assert isinstance(read(data)[1], FrameTooBig)
    assert read(b"NOP " + b"x" * 16379 + b"\n") == ([Nop()], None)
