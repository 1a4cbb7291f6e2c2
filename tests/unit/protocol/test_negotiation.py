"""IDENTIFY: what is granted, what is refused, and the exact answer (nsqd-tcp section 5)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nsqgw.errors import ServerError
from nsqgw.protocol.limits import ServerLimits
from nsqgw.protocol.negotiation import ClientSettings, Negotiation, negotiate

LIMITS = ServerLimits()
KEYS = [
    "max_rdy_count",
    "version",
    "max_msg_timeout",
    "msg_timeout",
    "tls_v1",
    "deflate",
    "deflate_level",
    "max_deflate_level",
    "snappy",
    "sample_rate",
    "auth_required",
    "output_buffer_size",
    "output_buffer_timeout",
    "topology_region",
    "topology_zone",
]


def identify(limits: ServerLimits = LIMITS, /, **document: Any) -> Negotiation:
    return negotiate(json.dumps(document).encode(), limits)


def granted(limits: ServerLimits = LIMITS, /, **document: Any) -> dict[str, Any]:
    response: dict[str, Any] = json.loads(identify(limits, feature_negotiation=True, **document).response)
    return response


def refusal(document: bytes) -> str:
    with pytest.raises(ServerError) as refused:
        negotiate(document, LIMITS)
    assert refused.value.fatal
    return str(refused.value)


def test_the_answer_has_all_keys_in_nsqds_order() -> None:
    assert list(granted()) == KEYS


def test_the_answer_to_an_empty_document_is_ok_and_leaves_the_defaults() -> None:
    for document in (b"{}", b"null", b'{"heartbeat_interval": null}'):
        negotiation = negotiate(document, LIMITS)
        assert negotiation.response == b"OK"
        assert negotiation.settings == ClientSettings(
            heartbeat_interval=30.0, output_buffer_size=16384, output_buffer_timeout=0.25, msg_timeout=60.0
        )


def test_without_feature_negotiation_nothing_is_upgraded_and_the_rest_holds() -> None:
    negotiation = identify(tls_v1=True, snappy=True, deflate=True, heartbeat_interval=5000, sample_rate=7)
    assert negotiation.response == b"OK"
    settings = negotiation.settings
    assert (settings.tls_v1, settings.snappy, settings.deflate) == (False, False, False)
    assert (settings.heartbeat_interval, settings.sample_rate) == (5.0, 7)


@pytest.mark.parametrize(
    ("key", "name", "good", "bad"),
    [
        ("heartbeat_interval", "heartbeat interval", [-1, 0, 1000, 60000], [-2, 1, 999, 60001]),
        ("output_buffer_timeout", "output buffer timeout", [-1, 0, 25, 30000], [-2, 24, 30001]),
        ("output_buffer_size", "output buffer size", [-1, 0, 64, 65536], [-2, 63, 65537]),
        ("sample_rate", "sample rate", [0, 1, 99], [-1, 100]),
        ("msg_timeout", "msg timeout", [0, 1000, 900000], [-1, 999, 900001]),
    ],
)
def test_ranges(key: str, name: str, good: list[int], bad: list[int]) -> None:
    for value in good:
        identify(**{key: value})
    for value in bad:
        text = refusal(json.dumps({key: value}).encode())
        assert text == f"E_BAD_BODY IDENTIFY {name} ({value}) is invalid"


def test_ranges_are_checked_in_nsqds_order() -> None:
    wrong = {"msg_timeout": 1, "sample_rate": 100, "output_buffer_size": 1, "output_buffer_timeout": 1}
    assert "output buffer timeout" in refusal(json.dumps(wrong).encode())


def test_an_unbuffered_client_has_no_output_timer() -> None:
    answer = granted(output_buffer_size=-1, output_buffer_timeout=1000)
    assert (answer["output_buffer_size"], answer["output_buffer_timeout"]) == (1, 0)


def test_msg_timeout_is_echoed() -> None:
    assert granted(msg_timeout=1000)["msg_timeout"] == 1000


@pytest.mark.parametrize(("asked", "level"), [(0, 6), (-3, 6), (3, 3), (9, 6)])
def test_deflate_level(asked: int, level: int) -> None:
    assert granted(deflate=True, deflate_level=asked)["deflate_level"] == level


def test_what_the_server_does_not_offer_is_answered_false() -> None:
    answer = granted(ServerLimits(deflate=False, snappy=False), tls_v1=True, deflate=True, snappy=True)
    assert (answer["tls_v1"], answer["deflate"], answer["snappy"]) == (False, False, False)


def test_both_compressions_are_refused() -> None:
    text = refusal(b'{"feature_negotiation":true,"snappy":true,"deflate":true}')
    assert text == "E_IDENTIFY_FAILED cannot enable both deflate and snappy compression"


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"1",
        b'"x"',
        b"{",
        b"{} {}",
        b'{"heartbeat_interval":"x"}',
        b'{"heartbeat_interval":1000.0}',
        b'{"heartbeat_interval":1e3}',
        b'{"heartbeat_interval":true}',
        b'{"heartbeat_interval":99999999999999999999}',
        b'{"snappy":1}',
        b'{"client_id":1}',
        b'{"extra":NaN}',
        b"[" * 100_000,
    ],
)
def test_what_nsqd_cannot_decode(document: bytes) -> None:
    assert refusal(document) == "E_BAD_BODY IDENTIFY failed to decode JSON body"


def test_keys_match_in_any_case_and_unknown_ones_are_ignored() -> None:
    negotiation = identify(Client_ID="me", SAMPLE_RATE=5, short_id="x", extra=[1])
    assert (negotiation.settings.client_id, negotiation.settings.sample_rate) == ("me", 5)


def test_names_can_always_be_printed() -> None:
    negotiation = negotiate(b'{"client_id":"a\\ud800b","hostname":"\xff"}', LIMITS)
    assert (negotiation.settings.client_id, negotiation.settings.hostname) == ("a\ufffdb", "\ufffd")
