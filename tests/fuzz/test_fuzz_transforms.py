"""Wrong bytes for every decoder and the whole chain: an event, or a reason; never an error."""

from __future__ import annotations

import logging

import msgpack
import orjson
import pytest

from fuzz.mutation import mutators
from gateways.pipeline.event import Event
from gateways.pipeline.transforms import Dropped, Rejected
from harness.transforming import chain_of, one_message

SHARE = 0.2
"""Of the time that the protocol's targets have."""

CORPUS = {
    "json": [
        b'{"level":"error","n":1.5,"a":{"b":[1,null,true,"\\u00e9"]},"x":123456789012345678901}',
        b"[1]",
    ],
    "msgpack": [msgpack.packb({"a": [1, None, b"\xff"], "t": msgpack.Timestamp(5, 6), 3: {"x": 0.5}})],
    "logfmt": [rb'level=error msg="a \"quoted\" \u00e9" bare n=12 ', b"a=1"],
    "syslog": [
        b'<165>1 2003-08-24T05:14:15.000003-07:00 h app 8 ID [a@1 x="1" y="q\\]"][b@2] text',
        b"<34>Oct 11 22:14:15 host su[12]: failed",
    ],
    "plain": ["text é".encode()],
    "pairs": [b"a=1; b = x=y;", b"a=1"],
    "access_log": [b'h - frank [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 2326 "-" "M \\" x"'],
}


@pytest.mark.parametrize("form", sorted(CORPUS))
def test_any_bytes_end_in_an_event_or_a_reason(form: str, caplog: pytest.LogCaptureFixture) -> None:
    chain = chain_of(
        {"type": "decode", "format": form},
        {"type": "add", "fields": {"env": "{topic}", "seen": "{field:level|none}"}},
        {"type": "rename", "fields": {"a.b": "b"}},
        {"type": "timestamp", "field": "t", "formats": ["rfc3339", "epoch_s", "%d/%b/%Y"]},
        {"type": "join", "fields": ["a", "message"]},
        {"type": "truncate", "fields": ["message", "env"], "max_bytes": 5},
        {"type": "nest", "into": "n", "fields": ["x"]},
        {"type": "flatten"},
        {"type": "redact", "patterns": ["email", "card"]},
        {"type": "filter", "where": 'level != "debug" or exists(a) or n > 1'},
    )
    caplog.set_level(logging.ERROR)
    for mutator in mutators(CORPUS[form], SHARE / len(CORPUS)):
        for _ in range(20):
            body = b"".join(mutator.case())
            result = chain.apply(one_message(body))
            assert isinstance(result, Event | Dropped | Rejected)
            assert not caplog.records, f"FUZZ_SEED={mutator.seed}: {body[:300]!r}"
            if isinstance(result, Event):
                orjson.loads(result.body)
