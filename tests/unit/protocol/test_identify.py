"""IDENTIFY as the client speaks it (nsqd-tcp section 5)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsqgw.config import ConnectionConfig
from nsqgw.connection.handshake import identify_request
from nsqgw.errors import ProtocolError
from nsqgw.protocol.identify import ServerFeatures


def document(**settings: Any) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(identify_request(ConnectionConfig(**settings)).to_json())
    return answer


def test_seconds_become_milliseconds() -> None:
    sent = document(heartbeat_interval=1.5, output_buffer_timeout=0.025, msg_timeout=2.0)
    assert sent["heartbeat_interval"] == 1500
    assert sent["output_buffer_timeout"] == 25
    assert sent["msg_timeout"] == 2000
    assert all(
        type(sent[key]) is int for key in ("heartbeat_interval", "output_buffer_timeout", "msg_timeout")
    )


def test_the_servers_defaults_are_left_alone() -> None:
    sent = document()
    assert "msg_timeout" not in sent
    assert "topology_region" not in sent
    assert sent["feature_negotiation"] is True
    assert sent["tls_v1"] is sent["snappy"] is sent["deflate"] is False
    assert sent["sample_rate"] == 0
    assert sent["user_agent"].startswith("nsqgw/")


def test_off_switches_stay_minus_one() -> None:
    sent = document(output_buffer_size=-1, output_buffer_timeout=-1)
    assert (sent["output_buffer_size"], sent["output_buffer_timeout"]) == (-1, -1)


def test_names_go_under_their_old_keys_too() -> None:
    sent = document(client_id="me", hostname="me.example", topology_zone="z")
    assert (sent["client_id"], sent["short_id"]) == ("me", "me")
    assert (sent["hostname"], sent["long_id"]) == ("me.example", "me.example")
    assert (sent["topology_region"], sent["topology_zone"]) == ("", "z")


def test_c_cli_02_ok_means_no_negotiation() -> None:
    features = ServerFeatures.from_response(b"OK")
    assert features == ServerFeatures()
    assert features.max_rdy_count == 2500
    assert not any([features.snappy, features.deflate, features.tls_v1, features.auth_required])


def test_the_answer_is_read() -> None:
    features = ServerFeatures.from_response(
        b'{"max_rdy_count":7,"msg_timeout":1000,"snappy":true,"auth_required":true,"new_key":[1],"version":null}'
    )
    assert (features.max_rdy_count, features.msg_timeout) == (7, 1000)
    assert features.snappy
    assert features.auth_required
    assert features.version == ""


@pytest.mark.parametrize(
    "answer",
    [
        b"{",
        b"{}x",
        b'{"max_rdy_count":"many"}',
        b'{"max_rdy_count":2.5}',
        b'{"max_rdy_count":true}',
        b'{"snappy":1}',
        b'{"version":1}',
        b'{"max_rdy_count":-1}',
        b'{"msg_timeout":0}',
        b'{"max_msg_timeout":-5}',
        b'{"deflate":true,"deflate_level":99}',
        b'{"deflate":true,"deflate_level":-7}',
        b'{"a":' + b"[" * 200_000,
        b'{"\xff":1}',
    ],
)
def test_nonsense_is_a_protocol_error(answer: bytes) -> None:
    with pytest.raises(ProtocolError, match="answer to IDENTIFY"):
        ServerFeatures.from_response(answer)


values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just([]))
keys = st.sampled_from(sorted(ServerFeatures.__dataclass_fields__)) | st.text(max_size=3)


@given(st.dictionaries(keys, values))
def test_any_document_gives_sane_features_or_a_protocol_error(answer: dict[str, Any]) -> None:
    try:
        features = ServerFeatures.from_response(json.dumps(answer).encode())
    except ProtocolError:
        return
    assert features.max_rdy_count > 0
    assert features.msg_timeout > 0
    assert features.max_msg_timeout > 0
