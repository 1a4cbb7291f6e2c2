"""Announcing a scripted nsqd to an nsqlookupd, as a real one does."""

from __future__ import annotations

from compat.threaded import ThreadedNsqlookupd
from harness.scripted import ScriptedNsqd
from harness.wire import LookupWire


def announce(
    lookupd: ThreadedNsqlookupd, fake: ScriptedNsqd, topic: str | None = "t", host: str = "127.0.0.1"
) -> LookupWire:
    """Register the scripted nsqd, and as a producer of the topic; closing the wire takes it back."""
    wire = LookupWire(lookupd.tcp_address)
    port = int(fake.address.rsplit(":", 1)[1])
    wire.identify(broadcast_address=host, tcp_port=port, http_port=1)
    if topic is not None:
        assert wire.ask(f"REGISTER {topic}") == b"OK"
    return wire
