"""One marked event through every sink of a configuration, to see that it arrives: for `ship validate`."""

from __future__ import annotations

import asyncio
import platform
import re
import time

import orjson

from gateways.pipeline.gone import Gone
from gateways.pipeline.sink import Fate, SinkUnusable
from gateways.service.probe import Finding, find
from gateways.ship.config import ShipConfig
from gateways.ship.dead_letters.sending import batches_of, send_apart
from gateways.ship.named_sink import NamedSink
from nsqgw.message import Message

_NO_TOPIC = re.compile(r"[^A-Za-z0-9._-]")
_TIMEOUT = 60.0


async def send_test_events(config: ShipConfig) -> list[Finding]:
    """Send one event to each sink, as if it were of the first topic of a pipeline that has the sink.

    Transforms are not applied, and stores of dead letters are left out.
    """
    sinks: dict[str, tuple[str, NamedSink]] = {}
    for pipeline in config.pipelines:
        topic = _NO_TOPIC.sub("", pipeline.topics[0]) or "test"
        for sink in pipeline.sinks:
            sinks.setdefault(sink.name, (topic, sink))
    return list(
        await asyncio.gather(
            *(
                find(f"test event to sink {name}", _send(sink, topic), _TIMEOUT)
                for name, (topic, sink) in sinks.items()
            )
        )
    )


def make_test_event(topic: str, now: float) -> Message:
    """The message; `now` is seconds since the epoch."""
    body = {
        "message": "test event of nsqgw ship validate",
        "nsqgw_test": True,
        "sent_from": platform.node(),
    }
    return Message(int(now * 1e9), 1, b"0" * 16, orjson.dumps(body), Gone(topic, "validate", "none"))


async def _send(named: NamedSink, topic: str) -> str:
    sink = named.to.make(1)
    try:
        await sink.open()
        (batch,) = batches_of(sink, [make_test_event(topic, time.time())])
        outcome, (fate,) = await send_apart(sink, batch)
        if fate is not Fate.CONFIRMED:
            raise SinkUnusable(f"{fate.value}: {outcome.reason}")
        return "taken"
    finally:
        await sink.close()
