"""Commands that end too early, and lines that are odd: what each is answered (nsqd-tcp sections 3, 5, 8)."""

from __future__ import annotations

import socket
import struct

import pytest

from harness.wire import ERROR, Wire, mpub_body

ID = b"0123456789abcdef"
BATCH = b"MPUB TOPIC\n" + mpub_body(b"first", b"second")


def int32(number: int) -> bytes:
    return struct.pack(">i", number)


CUT_SHORT = {
    "identify size": (b"IDENTIFY\n\0\0", "E_BAD_BODY IDENTIFY failed to read body size"),
    "identify body": (b"IDENTIFY\n\0\0\0\5{", "E_BAD_BODY IDENTIFY failed to read body"),
    "auth size": (b"AUTH\n\0\0", "E_BAD_BODY AUTH failed to read body size"),
    "auth body": (b"AUTH\n\0\0\0\5a", "E_BAD_BODY AUTH failed to read body"),
    "pub size": (b"PUB TOPIC\n\0\0", "E_BAD_MESSAGE PUB failed to read message body size"),
    "pub no size": (b"PUB TOPIC\n", "E_BAD_MESSAGE PUB failed to read message body size"),
    "pub body": (b"PUB TOPIC\n\0\0\0\5a", "E_BAD_MESSAGE PUB failed to read message body"),
    "dpub size": (b"DPUB TOPIC 1\n\0\0", "E_BAD_MESSAGE DPUB failed to read message body size"),
    "dpub body": (b"DPUB TOPIC 1\n\0\0\0\5a", "E_BAD_MESSAGE DPUB failed to read message body"),
    "mpub size": (b"MPUB TOPIC\n\0\0", "E_BAD_BODY MPUB failed to read body size"),
    "mpub count": (BATCH[: len("MPUB TOPIC\n") + 6], "E_BAD_BODY MPUB failed to read message count"),
    "mpub first size": (
        BATCH[: len("MPUB TOPIC\n") + 10],
        "E_BAD_MESSAGE MPUB failed to read message(0) body size",
    ),
    "mpub last body": (BATCH[:-1], "E_BAD_MESSAGE MPUB failed to read message body"),
    "mpub last size": (
        BATCH[: -len("second") - 1],
        "E_BAD_MESSAGE MPUB failed to read message(1) body size",
    ),
    "mpub first body": (BATCH[: len("MPUB TOPIC\n") + 14], "E_BAD_MESSAGE MPUB failed to read message body"),
}


@pytest.mark.parametrize("where", CUT_SHORT)
def test_a_body_cut_short_is_told_and_publishes_nothing(wire: Wire, topic: str, where: str) -> None:
    sent, told = CUT_SHORT[where]
    wire.send(sent.replace(b"TOPIC", topic.encode()))
    wire.socket.shutdown(socket.SHUT_WR)
    assert wire.error() == told
    assert wire.is_closed()


@pytest.mark.parametrize("line", [b"", b"P", b"PUB TOPIC", b"SUB t c", b"FIN " + ID])
def test_a_line_cut_short_is_no_command(wire: Wire, topic: str, line: bytes) -> None:
    wire.send(line.replace(b"TOPIC", topic.encode()))
    wire.socket.shutdown(socket.SHUT_WR)
    assert wire.is_closed()


ODD_LINES = {
    "no parameter is 1": (b"RDY\n", ""),
    "an empty number is 0": (b"RDY \n", ""),
    "leading zeros": (b"RDY 0000000000000000000000007\n", ""),
    "surplus parameters": (b"RDY 1 2 3\n", ""),
    "carriage return": (b"RDY 1\r\n", ""),
    "two carriage returns": (b"RDY 1\r\r\n", "E_INVALID RDY could not parse count 1\r"),
    "leading space": (b" RDY 1\n", "E_INVALID invalid command "),
    "tab": (b"RDY\t1\n", "E_INVALID invalid command RDY\t1"),
    "two spaces": (b"RDY  1\n", ""),
    "plus sign": (b"RDY +1\n", "E_INVALID RDY could not parse count +1"),
    "no number": (b"RDY one\n", "E_INVALID RDY could not parse count one"),
    "hexadecimal": (b"RDY 0x1\n", "E_INVALID RDY could not parse count 0x1"),
    "other digits": ("RDY \u0661\n".encode(), "E_INVALID RDY could not parse count \u0661"),
    "nul": (b"RDY 1\0\n", "E_INVALID RDY could not parse count 1\0"),
    "delay that is none": (b"REQ " + ID + b" soon\n", "E_INVALID REQ could not parse timeout soon"),
    "delay beyond 64 bits": (
        b"REQ " + ID + b" 99999999999999999999999\n",
        "E_REQ_FAILED REQ 0123456789abcdef failed ID not in flight",
    ),
    "nop with a word": (b"NOP now\n", ""),
}


@pytest.mark.parametrize("what", ODD_LINES)
def test_an_odd_line(wire: Wire, topic: str, what: str) -> None:
    line, told = ODD_LINES[what]
    wire.subscribe(topic, "ch")
    wire.send(line)
    if told:
        assert wire.error() == told
    else:
        wire.ok(b"PUB " + topic.encode() + b"-other", b"still usable")  # whose message cannot overtake the OK


def test_a_name_that_is_no_text_is_told_as_it_came(wire: Wire) -> None:
    assert wire.ask(b"\xff\xfe") == (ERROR, b"E_INVALID invalid command \xff\xfe")
    assert wire.is_closed()
