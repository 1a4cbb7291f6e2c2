"""Both sides of the protocol back to back: what one sends, the other understands, compressed or not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsqgw.protocol.client import ClientProtocol
from nsqgw.protocol.commands import Fins, Pubs, Sub, encode_identify
from nsqgw.protocol.compression import Codec, Deflate, Snappy
from nsqgw.protocol.frames import MAGIC_V2
from nsqgw.protocol.limits import ServerLimits
from nsqgw.protocol.messages import Confirmations, Messages, Response
from nsqgw.protocol.negotiation import Negotiation
from nsqgw.protocol.server import ServerProtocol

MESSAGE_ID = b"0123456789abcdef"


@dataclass(frozen=True)
class Received:
    timestamp: int
    attempts: int
    id: bytes
    body: bytes


def make(timestamp: int, attempts: int, message_id: bytes, body: bytes, source: Any) -> Received:
    return Received(timestamp, attempts, message_id, body)


def connect(codec: Codec | None, **features: Any) -> tuple[ClientProtocol[Received], ServerProtocol]:
    """A client and a server that have shaken hands."""
    client = ClientProtocol(make)
    server = ServerProtocol(ServerLimits())
    document = json.dumps({"feature_negotiation": True, **features}).encode()
    [negotiation] = server.receive_data(MAGIC_V2 + client.encode(encode_identify(document)))
    assert isinstance(negotiation, Negotiation)
    server.accept(negotiation)
    [response] = client.receive_data(server.data_to_send())
    assert isinstance(response, Response)
    assert json.loads(response.data)["snappy"] is negotiation.settings.snappy
    if codec is not None:
        client.start_compression(codec)
        assert client.receive_data(b"") == [Confirmations(1)]
    assert client.established() == []
    return client, server


def codec_for(features: dict[str, bool]) -> Codec | None:
    return Snappy() if "snappy" in features else Deflate() if "deflate" in features else None


layers = st.sampled_from([{}, {"snappy": True}, {"deflate": True}])
messages = st.lists(
    st.builds(
        Received,
        timestamp=st.integers(0, 2**63 - 1),
        attempts=st.integers(0, 2**16 - 1),
        id=st.just(MESSAGE_ID),
        body=st.binary(min_size=1, max_size=2000),
    ),
    min_size=1,
    max_size=20,
)


@given(layers, messages, st.integers(1, 500))
def test_messages_arrive_as_they_were_sent(
    features: dict[str, bool], sent: list[Received], step: int
) -> None:
    client, server = connect(codec_for(features), **features)
    server.send_messages(sent)
    wire = server.data_to_send()
    events = [
        event
        for start in range(0, len(wire), step)
        for event in client.receive_data(wire[start : start + step])
    ]
    assert [message for event in events for message in event.messages] == sent  # type: ignore[union-attr]
    assert all(isinstance(event, Messages) for event in events)


@given(layers, st.lists(st.binary(min_size=1, max_size=2000), min_size=1, max_size=20), st.integers(1, 500))
def test_commands_arrive_as_they_were_sent(features: dict[str, bool], bodies: list[bytes], step: int) -> None:
    client, server = connect(codec_for(features), **features)
    sent = [Sub("t", "c"), Pubs("t", bodies), Fins([MESSAGE_ID] * len(bodies))]
    wire = b"".join(client.encode(command.encode()) for command in sent)
    received = [
        command
        for start in range(0, len(wire), step)
        for command in server.receive_data(wire[start : start + step])
    ]
    assert received[0] == Sub("t", "c")
    assert [body for pubs in received if isinstance(pubs, Pubs) for body in pubs.bodies] == bodies
    assert sum(len(fins.message_ids) for fins in received if isinstance(fins, Fins)) == len(bodies)
    server.send_ok(1 + len(bodies))
    assert client.receive_data(server.data_to_send()) == [Confirmations(1 + len(bodies))]


@pytest.mark.parametrize("layer", ["snappy", "deflate"])
@given(noise=st.binary(min_size=1, max_size=300))
def test_noise_on_a_compressed_connection_ends_in_an_error_or_waits(layer: str, noise: bytes) -> None:
    _, server = connect(codec_for({layer: True}), **{layer: True})
    server.receive_data(noise)
    server.receive_eof()
