"""Every error of the wire that needs no special server: what is sent, the exact answer, closed or not.

The table is nsqd-tcp sections 3, 5, 8 and 9; the statement each row belongs to is in its name.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import NamedTuple

import pytest

from harness.wire import ERROR, Frame, Wire, mpub_body, sized

ID = b"0123456789abcdef"
MAX_BODY = 5 * 1024 * 1024
MAX_MESSAGE = 1024 * 1024


class Row(NamedTuple):
    name: str
    state: str  # what was done on the connection before: see `brought_to`
    sent: bytes
    answer: str
    closed: bool = True


def identify(**document: object) -> bytes:
    return b"IDENTIFY\n" + sized(json.dumps(document).encode())


def int32(number: int) -> bytes:
    return struct.pack(">i", number)


ROWS = [
    Row("c_tcp_4_unknown_command", "init", b"ASDF\n", "E_INVALID invalid command ASDF"),
    Row("c_tcp_5_empty_line", "init", b"\n", "E_INVALID invalid command "),
    Row("c_tcp_7_two_spaces", "init", b"SUB  t c\n", 'E_BAD_TOPIC SUB topic name "" is not valid'),
    Row("c_tcp_8_lower_case", "init", b"sub t c\n", "E_INVALID invalid command sub"),
    # 5.1 ranges and types of IDENTIFY
    Row(
        "c_tcp_11_heartbeat_low",
        "init",
        identify(heartbeat_interval=999),
        "E_BAD_BODY IDENTIFY heartbeat interval (999) is invalid",
    ),
    Row(
        "c_tcp_11_heartbeat_high",
        "init",
        identify(heartbeat_interval=60001),
        "E_BAD_BODY IDENTIFY heartbeat interval (60001) is invalid",
    ),
    Row(
        "c_tcp_13_buffer_size_low",
        "init",
        identify(output_buffer_size=63),
        "E_BAD_BODY IDENTIFY output buffer size (63) is invalid",
    ),
    Row(
        "c_tcp_13_buffer_size_high",
        "init",
        identify(output_buffer_size=65537),
        "E_BAD_BODY IDENTIFY output buffer size (65537) is invalid",
    ),
    Row(
        "c_tcp_14_buffer_timeout_low",
        "init",
        identify(output_buffer_timeout=24),
        "E_BAD_BODY IDENTIFY output buffer timeout (24) is invalid",
    ),
    Row(
        "c_tcp_14_buffer_timeout_high",
        "init",
        identify(output_buffer_timeout=30001),
        "E_BAD_BODY IDENTIFY output buffer timeout (30001) is invalid",
    ),
    Row(
        "c_tcp_15_sample_rate_high",
        "init",
        identify(sample_rate=100),
        "E_BAD_BODY IDENTIFY sample rate (100) is invalid",
    ),
    Row(
        "c_tcp_15_sample_rate_low",
        "init",
        identify(sample_rate=-1),
        "E_BAD_BODY IDENTIFY sample rate (-1) is invalid",
    ),
    Row(
        "sample_rate_beyond_32_bits",
        "init",
        identify(sample_rate=2**31),
        "E_BAD_BODY IDENTIFY failed to decode JSON body",
    ),
    Row(
        "c_tcp_16_msg_timeout_low",
        "init",
        identify(msg_timeout=999),
        "E_BAD_BODY IDENTIFY msg timeout (999) is invalid",
    ),
    Row(
        "c_tcp_16_msg_timeout_high",
        "init",
        identify(msg_timeout=900001),
        "E_BAD_BODY IDENTIFY msg timeout (900001) is invalid",
    ),
    Row(
        "identify_first_violation_wins",
        "init",
        identify(msg_timeout=1, sample_rate=100, output_buffer_size=1, heartbeat_interval=1),
        "E_BAD_BODY IDENTIFY heartbeat interval (1) is invalid",
    ),
    Row(
        "c_tcp_45_both_compressions",
        "init",
        identify(feature_negotiation=True, snappy=True, deflate=True),
        "E_IDENTIFY_FAILED cannot enable both deflate and snappy compression",
    ),
    Row(
        "c_tcp_59_identify_list",
        "init",
        b"IDENTIFY\n" + sized(b"[]"),
        "E_BAD_BODY IDENTIFY failed to decode JSON body",
    ),
    Row(
        "c_tcp_59_identify_wrong_type",
        "init",
        identify(heartbeat_interval="x"),
        "E_BAD_BODY IDENTIFY failed to decode JSON body",
    ),
    Row(
        "identify_fractional_number",
        "init",
        identify(heartbeat_interval=1000.5),
        "E_BAD_BODY IDENTIFY failed to decode JSON body",
    ),
    Row("identify_empty_body", "init", b"IDENTIFY\n" + int32(0), "E_BAD_BODY IDENTIFY invalid body size 0"),
    Row(
        "identify_negative_size",
        "init",
        b"IDENTIFY\n" + int32(-5),
        "E_BAD_BODY IDENTIFY invalid body size -5",
    ),
    Row(
        "identify_too_big",
        "init",
        b"IDENTIFY\n" + int32(MAX_BODY + 1),
        f"E_BAD_BODY IDENTIFY body too big {MAX_BODY + 1} > {MAX_BODY}",
    ),
    # states
    Row("c_tcp_20_fin", "init", b"FIN " + ID + b"\n", "E_INVALID cannot FIN in current state"),
    Row("c_tcp_20_req", "init", b"REQ " + ID + b" 0\n", "E_INVALID cannot REQ in current state"),
    Row("c_tcp_20_touch", "init", b"TOUCH " + ID + b"\n", "E_INVALID cannot TOUCH in current state"),
    Row("c_tcp_20_rdy", "init", b"RDY 1\n", "E_INVALID cannot RDY in current state"),
    Row("c_tcp_20_cls", "init", b"CLS\n", "E_INVALID cannot CLS in current state"),
    Row("c_tcp_21_second_sub", "subscribed", b"SUB TOPIC ch\n", "E_INVALID cannot SUB in current state"),
    Row(
        "c_tcp_22_identify_after_sub", "subscribed", identify(), "E_INVALID cannot IDENTIFY in current state"
    ),
    Row(
        "c_tcp_22_auth_after_sub",
        "subscribed",
        b"AUTH\n" + sized(b"secret"),
        "E_INVALID cannot AUTH in current state",
    ),
    Row("c_tcp_31_second_cls", "closing", b"CLS\n", "E_INVALID cannot CLS in current state"),
    Row(
        "c_tcp_12_sub_without_heartbeats",
        "no heartbeats",
        b"SUB TOPIC ch\n",
        "E_INVALID cannot SUB with heartbeats disabled",
    ),
    # SUB and AUTH
    Row("sub_no_channel", "init", b"SUB t\n", "E_INVALID SUB insufficient number of parameters"),
    Row("sub_bad_topic", "init", b"SUB t$ c\n", 'E_BAD_TOPIC SUB topic name "t$" is not valid'),
    Row("sub_bad_channel", "init", b"SUB t c!\n", 'E_BAD_CHANNEL SUB channel name "c!" is not valid'),
    Row("sub_quoted", "init", b'SUB t" c\n', 'E_BAD_TOPIC SUB topic name "t\\"" is not valid'),
    Row("c_tcp_48_auth_disabled", "init", b"AUTH\n" + sized(b"secret"), "E_AUTH_DISABLED AUTH disabled"),
    Row("auth_parameters", "init", b"AUTH x\n", "E_INVALID AUTH invalid number of parameters"),
    Row("auth_empty", "init", b"AUTH\n" + int32(0), "E_BAD_BODY AUTH invalid body size 0"),
    Row(
        "auth_too_big",
        "init",
        b"AUTH\n" + int32(MAX_BODY + 1),
        f"E_BAD_BODY AUTH body too big {MAX_BODY + 1} > {MAX_BODY}",
    ),
    # RDY
    Row("c_tcp_25_rdy_too_big", "subscribed", b"RDY 2501\n", "E_INVALID RDY count 2501 out of range 0-2500"),
    Row("c_tcp_26_rdy_negative", "subscribed", b"RDY -1\n", "E_INVALID RDY could not parse count -1"),
    Row("rdy_fraction", "subscribed", b"RDY 1.5\n", "E_INVALID RDY could not parse count 1.5"),
    Row(
        "rdy_wraps",
        "subscribed",
        b"RDY 99999999999999999999\n",
        "E_INVALID RDY count 7766279631452241919 out of range 0-2500",
    ),
    # FIN, REQ, TOUCH
    Row(
        "c_tcp_17_fin_unknown",
        "subscribed",
        b"FIN " + ID + b"\n",
        "E_FIN_FAILED FIN 0123456789abcdef failed ID not in flight",
        closed=False,
    ),
    Row(
        "req_unknown",
        "subscribed",
        b"REQ " + ID + b" 0\n",
        "E_REQ_FAILED REQ 0123456789abcdef failed ID not in flight",
        closed=False,
    ),
    Row(
        "touch_unknown",
        "subscribed",
        b"TOUCH " + ID + b"\n",
        "E_TOUCH_FAILED TOUCH 0123456789abcdef failed ID not in flight",
        closed=False,
    ),
    Row(
        "fin_unknown_while_closing",
        "closing",
        b"FIN " + ID + b"\n",
        "E_FIN_FAILED FIN 0123456789abcdef failed ID not in flight",
        closed=False,
    ),
    Row("c_tcp_19_fin_short_id", "subscribed", b"FIN 0123\n", "E_INVALID invalid message ID"),
    Row("c_tcp_19_fin_long_id", "subscribed", b"FIN " + ID + b"0\n", "E_INVALID invalid message ID"),
    Row("touch_short_id", "subscribed", b"TOUCH 0123\n", "E_INVALID invalid message ID"),
    Row("req_short_id", "subscribed", b"REQ 0123 0\n", "E_INVALID invalid message ID"),
    Row("fin_no_id", "subscribed", b"FIN\n", "E_INVALID FIN insufficient number of params"),
    Row("req_no_delay", "subscribed", b"REQ " + ID + b"\n", "E_INVALID REQ insufficient number of params"),
    Row("touch_no_id", "subscribed", b"TOUCH\n", "E_INVALID TOUCH insufficient number of params"),
    Row(
        "c_tcp_28_req_negative",
        "subscribed",
        b"REQ " + ID + b" -1\n",
        "E_INVALID REQ could not parse timeout -1",
    ),
    # PUB
    Row("pub_no_topic", "init", b"PUB\n", "E_INVALID PUB insufficient number of parameters"),
    Row("c_tcp_34_pub_bad_topic", "init", b"PUB t!\n", 'E_BAD_TOPIC PUB topic name "t!" is not valid'),
    Row(
        "c_tcp_34_pub_65_bytes",
        "init",
        b"PUB " + b"n" * 65 + b"\n",
        f'E_BAD_TOPIC PUB topic name "{"n" * 65}" is not valid',
    ),
    Row(
        "c_tcp_34_pub_only_ephemeral",
        "init",
        b"PUB #ephemeral\n",
        'E_BAD_TOPIC PUB topic name "#ephemeral" is not valid',
    ),
    Row(
        "c_tcp_32_pub_empty",
        "init",
        b"PUB TOPIC\n" + int32(0),
        "E_BAD_MESSAGE PUB invalid message body size 0",
    ),
    Row("pub_negative", "init", b"PUB TOPIC\n" + int32(-1), "E_BAD_MESSAGE PUB invalid message body size -1"),
    Row(
        "c_tcp_33_pub_too_big",
        "init",
        b"PUB TOPIC\n" + int32(MAX_MESSAGE + 1),
        f"E_BAD_MESSAGE PUB message too big {MAX_MESSAGE + 1} > {MAX_MESSAGE}",
    ),
    # DPUB
    Row("dpub_no_delay", "init", b"DPUB TOPIC\n", "E_INVALID DPUB insufficient number of parameters"),
    Row("dpub_bad_topic", "init", b"DPUB t! 1\n", 'E_BAD_TOPIC DPUB topic name "t!" is not valid'),
    Row("dpub_no_number", "init", b"DPUB TOPIC x\n", "E_INVALID DPUB could not parse timeout x"),
    Row(
        "c_tcp_35_dpub_too_late",
        "init",
        b"DPUB TOPIC 3600100\n",
        "E_INVALID DPUB timeout 3600100 out of range 0-3600000",
    ),
    Row("dpub_empty", "init", b"DPUB TOPIC 1\n" + int32(0), "E_BAD_MESSAGE DPUB invalid message body size 0"),
    Row(
        "dpub_too_big",
        "init",
        b"DPUB TOPIC 1\n" + int32(MAX_MESSAGE + 1),
        f"E_BAD_MESSAGE DPUB message too big {MAX_MESSAGE + 1} > {MAX_MESSAGE}",
    ),
    # MPUB
    Row("mpub_no_topic", "init", b"MPUB\n", "E_INVALID MPUB insufficient number of parameters"),
    Row("mpub_bad_topic", "init", b"MPUB t!\n", 'E_BAD_TOPIC E_BAD_TOPIC MPUB topic name "t!" is not valid'),
    Row("mpub_empty", "init", b"MPUB TOPIC\n" + int32(0), "E_BAD_BODY MPUB invalid body size 0"),
    Row("mpub_negative", "init", b"MPUB TOPIC\n" + int32(-1), "E_BAD_BODY MPUB invalid body size -1"),
    Row(
        "c_tcp_38_mpub_too_big",
        "init",
        b"MPUB TOPIC\n" + int32(MAX_BODY + 1),
        f"E_BAD_BODY MPUB body too big {MAX_BODY + 1} > {MAX_BODY}",
    ),
    Row(
        "c_tcp_39_mpub_count_0",
        "init",
        b"MPUB TOPIC\n" + mpub_body(),
        "E_BAD_BODY MPUB invalid message count 0",
    ),
    Row(
        "mpub_count_too_big",
        "init",
        b"MPUB TOPIC\n" + int32(4) + int32((MAX_BODY - 4) // 5 + 1),
        f"E_BAD_BODY MPUB invalid message count {(MAX_BODY - 4) // 5 + 1}",
    ),
    Row(
        "c_tcp_37_mpub_empty_message",
        "init",
        b"MPUB TOPIC\n" + mpub_body(b"a", b"b", b"c", b"d", b"e", b"", b"g"),
        "E_BAD_MESSAGE MPUB invalid message(5) body size 0",
    ),
    Row(
        "mpub_message_too_big",
        "init",
        b"MPUB TOPIC\n" + int32(100) + int32(1) + int32(MAX_MESSAGE + 1),
        f"E_BAD_MESSAGE MPUB message too big {MAX_MESSAGE + 1} > {MAX_MESSAGE}",
    ),
]


def brought_to(state: str, wire: Wire, topic: str) -> None:
    if state == "no heartbeats":
        assert wire.identify(heartbeat_interval=-1).data == b"OK"
    elif state != "init":
        wire.subscribe(topic, "ch")
        if state == "closing":
            assert wire.ask(b"CLS").data == b"CLOSE_WAIT"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_error_row(row: Row, wire: Wire, topic: str) -> None:
    brought_to(row.state, wire, topic)
    wire.send(row.sent.replace(b"TOPIC", topic.encode()))
    assert wire.frame() == Frame(ERROR, row.answer.encode())
    if row.closed:
        assert wire.is_closed()
    else:
        wire.ok(b"PUB " + topic.encode(), b"still usable")


@pytest.mark.parametrize("magic", [b"  V1", b"GET ", b"\0\0\0\0"])
def test_c_tcp_1_bad_magic(connect: Callable[..., Wire], magic: bytes) -> None:
    wire = connect(magic)
    assert wire.exactly(22) == b"\0\0\0\x12\0\0\0\x01E_BAD_PROTOCOL"
    assert wire.is_closed()


def test_line_beyond_the_read_buffer_closes_without_error(wire: Wire) -> None:
    wire.send(b"PUB " + b"x" * 20_000)
    assert wire.is_closed()


def test_end_of_stream_within_a_body_is_told(wire: Wire, topic: str) -> None:
    wire.send(f"PUB {topic}\n".encode() + int32(10) + b"abc")
    wire.socket.shutdown(1)
    assert wire.error() == "E_BAD_MESSAGE PUB failed to read message body"
    assert wire.is_closed()


def test_end_of_stream_within_a_line_is_silent(wire: Wire) -> None:
    wire.send(b"PUB half")
    wire.socket.shutdown(1)
    assert wire.is_closed()
