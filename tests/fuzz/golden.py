"""Streams as they should be: what is made wrong at random."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from nsqgw.protocol.commands import encode_identify, encode_mpub, encode_pub, encode_sized
from nsqgw.protocol.compression import Codec, Deflate, Snappy
from nsqgw.protocol.frames import MAGIC_V1, MAGIC_V2
from nsqgw.protocol.lookup import IdentifyNode, NodeInfo


def compressed(make_codec: Callable[[], Codec], *plain: bytes) -> bytes:
    codec = make_codec()
    return b"".join(codec.compress(piece) for piece in plain)


def identify(**document: Any) -> bytes:
    return encode_identify(json.dumps({"feature_negotiation": True, **document}).encode())


COMMANDS = (
    b"SUB t ch\nRDY 5\n"
    + b"".join(b"FIN %016x\n" % number for number in range(20))
    + b"REQ 0123456789abcdef 500\nTOUCH 0123456789abcdef\nNOP\n"
    + b"".join(encode_pub("t", bytes(size + 1)) for size in (0, 5, 500))
    + encode_mpub("t", [b"a", b"bb" * 50, b"c"])
    + b"DPUB t 100\n"
    + encode_sized(b"later")
    + b"CLS\n"
)

CONVERSATIONS = [
    MAGIC_V2 + stream
    for stream in (
        COMMANDS,
        b"AUTH\n" + encode_sized(b"secret") + COMMANDS,
        identify(client_id="x", msg_timeout=5000, sample_rate=50) + COMMANDS,
        identify(heartbeat_interval=-1) + COMMANDS,
        identify(snappy=True) + compressed(Snappy, COMMANDS, COMMANDS),
        identify(deflate=True) + compressed(Deflate, COMMANDS, COMMANDS),
    )
]
"""What a client sends to nsqd."""

NODE = IdentifyNode(NodeInfo("host.example", 4150, 4151, "1.3.0", "host")).encode()
LOOKUP_COMMANDS = MAGIC_V1 + NODE + b"REGISTER t ch\nPING\nUNREGISTER t ch\nREGISTER t\nUNREGISTER t\n" + NODE
"""What an nsqd sends to nsqlookupd."""


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    head = "\r\n".join((f"{line} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""))
    return head.encode() + body


def posted(path: str, body: bytes) -> bytes:
    return request(f"POST {path}", f"Content-Length: {len(body)}", body=body)


_CHUNKED = b"5\r\nfirst\r\n6;x=y\r\nsecond\r\n0\r\n\r\n"

NSQD_REQUESTS = [
    posted("/pub?topic=t", b"body") + request("GET /stats?format=json&topic=t&include_mem=false"),
    posted("/pub?topic=t&defer=1000", b"later") + posted("/mpub?topic=t", b"a\nb\n\nc\n"),
    posted("/mpub?topic=t&binary=true", encode_mpub("t", [b"a", b"bb" * 50])[len("MPUB t\n") + 4 :]),
    request("POST /pub?topic=t", "Transfer-Encoding: chunked", body=_CHUNKED) + request("GET /info"),
    posted("/topic/create?topic=%74%23ephemeral", b"") + posted("/channel/create?topic=t&channel=c", b""),
    posted("/channel/pause?topic=t&channel=c", b"") + posted("/topic/empty?topic=t", b""),
    request("PUT /config/log_level", "Content-Length: 4", body=b"info") + request("GET /config/max_msg_size"),
    request("HEAD /ping", "Expect: 100-continue", "Connection: keep-alive") + request("OPTIONS /stats"),
]
LOOKUPD_REQUESTS = [
    request("GET /lookup?topic=t") + request("GET /topics") + request("GET /channels?topic=t"),
    request("GET /nodes") + request("GET /debug") + request("GET /topology", "Accept: */*"),
    posted("/topic/create?topic=t", b"") + posted("/channel/create?topic=t&channel=c", b""),
    posted("/topic/tombstone?topic=t&node=host.example:4151", b"") + posted("/topic/delete?topic=t", b""),
    request("POST /channel/delete?topic=t&channel=c", "Transfer-Encoding: chunked", body=_CHUNKED),
]
