"""ServerProtocol: magic, the order of answers, compression after IDENTIFY, what ends a connection."""

from __future__ import annotations

import pytest

from nsqgw.errors import BadProtocol, FinFailed, IdentifyFailed, NSQError, ProtocolError
from nsqgw.protocol.commands import Identify, Nop, Pubs, encode_identify, encode_pub
from nsqgw.protocol.compression import Deflate
from nsqgw.protocol.limits import ServerLimits
from nsqgw.protocol.negotiation import Negotiation
from nsqgw.protocol.server import ServerProtocol
from nsqgw.protocol.session import ClientState

DEFLATE = encode_identify(b'{"feature_negotiation":true,"deflate":true}')


@pytest.fixture
def protocol() -> ServerProtocol:
    return ServerProtocol(ServerLimits())


@pytest.mark.parametrize("magic", [b"  V1", b"GET / HTTP/1.1\r\n", b"\0\0\0\0"])
def test_a_wrong_magic_is_refused(protocol: ServerProtocol, magic: bytes) -> None:
    assert protocol.receive_data(magic) == []
    assert isinstance(protocol.error, BadProtocol)
    assert protocol.error.data == b"E_BAD_PROTOCOL"
    assert protocol.receive_data(b"  V2NOP\n") == []


def test_the_magic_may_come_byte_by_byte_and_is_not_answered(protocol: ServerProtocol) -> None:
    for byte in (b" ", b" ", b"V"):
        assert protocol.receive_data(byte) == []
    assert protocol.receive_data(b"2NOP\n") == [Nop()]
    assert protocol.data_to_send() == b""


def test_frames_are_exact(protocol: ServerProtocol) -> None:
    protocol.send_ok(2)
    protocol.send_heartbeat()
    protocol.send_error(FinFailed("FIN x failed"))
    assert protocol.data_to_send() == (
        b"\0\0\0\6\0\0\0\0OK" * 2
        + b"\0\0\0\x0f\0\0\0\0_heartbeat_"
        + b"\0\0\0\x1d\0\0\0\1E_FIN_FAILED FIN x failed"
    )
    assert protocol.data_to_send() == b""


def test_identify_becomes_a_negotiation_in_its_place(protocol: ServerProtocol) -> None:
    before, negotiation, after = protocol.receive_data(
        b"  V2" + encode_pub("t", b"x") + encode_identify(b"{}") + encode_pub("t", b"y")
    )
    assert (before, after) == (Pubs("t", [b"x"]), Pubs("t", [b"y"]))
    assert isinstance(negotiation, Negotiation)
    protocol.accept(negotiation)
    assert protocol.data_to_send() == b"\0\0\0\6\0\0\0\0OK"


def test_compression_starts_after_the_json_and_before_the_second_ok(protocol: ServerProtocol) -> None:
    peer = Deflate()
    behind = peer.compress(b"NOP\n")
    negotiation, nop = protocol.receive_data(b"  V2" + DEFLATE + behind)
    assert isinstance(negotiation, Negotiation)
    assert nop == Nop()
    protocol.accept(negotiation)
    wire = protocol.data_to_send()
    size = 8 + len(negotiation.response)
    assert wire[8:size] == negotiation.response
    assert b"".join(peer.decompress(wire[size:])) == b"\0\0\0\6\0\0\0\0OK"


def test_corrupt_compressed_bytes_end_the_connection(protocol: ServerProtocol) -> None:
    protocol.receive_data(b"  V2" + DEFLATE)
    protocol.receive_data(b"\xff\xff\xff")
    assert isinstance(protocol.error, ProtocolError)


def test_a_second_compression_is_refused(protocol: ServerProtocol) -> None:
    protocol.receive_data(b"  V2" + DEFLATE)
    assert protocol.receive_data(Deflate().compress(DEFLATE)) == []
    assert isinstance(protocol.error, IdentifyFailed)


def test_many_identifies_in_one_read_are_no_trouble(protocol: ServerProtocol) -> None:
    requests = protocol.receive_data(b"  V2" + encode_identify(b"{}") * 3000)
    assert len(requests) == 3000
    assert not any(isinstance(request, Identify) for request in requests)


def test_settings_and_state_follow_what_was_received(protocol: ServerProtocol) -> None:
    protocol.receive_data(b"  V2" + encode_identify(b'{"msg_timeout":5000}') + b"SUB t c\n")
    assert protocol.settings.msg_timeout == 5.0
    assert protocol.state is ClientState.SUBSCRIBED
    protocol.receive_data(b"CLS\n")
    assert protocol.state is ClientState.CLOSING


def test_the_end_of_the_stream_inside_a_body_is_an_error(protocol: ServerProtocol) -> None:
    protocol.receive_data(b"  V2" + encode_pub("t", b"xyz")[:-1])
    assert protocol.error is None
    protocol.receive_eof()
    error: NSQError | None = protocol.error
    assert str(error) == "E_BAD_MESSAGE PUB failed to read message body"
