"""Whether all that a configuration names can be reached: nsqds with AUTH, nsqlookupds, sinks.

Nothing is consumed. Sinks are opened and closed again, as at a start; one with a `probe` is asked
to use it, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from gateways.service.probe import Finding, Try, find_all, nsq_tries
from gateways.ship.config import ShipConfig
from gateways.ship.named_sink import NamedSink
from gateways.ship.settings import ShipSettings


@runtime_checkable
class ProbedSink(Protocol):
    """A sink that can find out whether its far side would take events, without sending one."""

    async def probe(self) -> None:
        """Raises SinkUnusable."""


async def probe(config: ShipConfig, *, healthchecks: bool = True) -> list[Finding]:
    """Try everything that `config` names once, side by side, each within `connect_timeout`.

    Without `healthchecks` sinks are opened, and asked nothing.
    """
    tries = (
        each
        for pipeline in config.pipelines
        for each in (*_sources(pipeline), *_sinks(pipeline, healthchecks))
    )
    return await find_all(tries, config.service.connect_timeout)


def _sources(settings: ShipSettings) -> Iterable[Try]:
    return nsq_tries(settings.nsqd_tcp_addresses, settings.lookupd_http_addresses, settings.access)


def _sinks(settings: ShipSettings, healthchecks: bool) -> Iterable[Try]:
    dead_letter = () if settings.dead_letter is None else (settings.dead_letter,)
    for sink in (*settings.sinks, *dead_letter):
        yield f"sink {sink.name}", _probe_sink(sink, healthchecks)


async def _probe_sink(named: NamedSink, healthchecks: bool) -> str:
    sink = named.to.make(1)
    try:
        await sink.open()
        if not healthchecks or not isinstance(sink, ProbedSink):
            return "opened"
        await sink.probe()
        return "reached"
    finally:
        await sink.close()
