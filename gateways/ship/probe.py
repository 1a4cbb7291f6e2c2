"""Whether all that a configuration names can be reached: nsqds with AUTH, nsqlookupds, sinks.

Nothing is consumed. Sinks are opened and closed again, as at a start; one with a `probe` is asked
to use it, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from gateways.ship.config import ShipConfig
from gateways.ship.named_sink import NamedSink
from gateways.ship.settings import ShipSettings
from nsqgw.config import HttpConfig
from nsqgw.connection import connect
from nsqgw.deadline import within
from nsqgw.errors import NSQError
from nsqgw.http.exchange import Exchange
from nsqgw.lookup.client import all_nsqds, ask, lookup_address


@runtime_checkable
class ProbedSink(Protocol):
    """A sink that can find out whether its far side would take events, without sending one."""

    async def probe(self) -> None:
        """Raises SinkUnusable."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one probe; `trouble` is None when all is well."""

    what: str
    trouble: str | None


async def probe(config: ShipConfig) -> list[Finding]:
    """Try everything that `config` names once, side by side, each within `connect_timeout`."""
    timeout = config.service.connect_timeout
    tries: dict[str, Coroutine[Any, Any, None]] = {}
    for pipeline in config.pipelines:
        for what, work in (*_sources(pipeline), *_sinks(pipeline)):
            if what in tries:
                work.close()
            else:
                tries[what] = work
    return list(await asyncio.gather(*(_find(what, work, timeout) for what, work in tries.items())))


def _sources(settings: ShipSettings) -> Iterable[tuple[str, Coroutine[Any, Any, None]]]:
    for address in settings.nsqd_tcp_addresses:
        yield f"nsqd {address}", _probe_nsqd(address, settings)
    for address in settings.lookupd_http_addresses:
        yield f"nsqlookupd {lookup_address(address)}", _probe_lookupd(address, settings)


def _sinks(settings: ShipSettings) -> Iterable[tuple[str, Coroutine[Any, Any, None]]]:
    dead_letter = () if settings.dead_letter is None else (settings.dead_letter,)
    for sink in (*settings.sinks, *dead_letter):
        yield f"sink {sink.name}", _probe_sink(sink)


async def _find(what: str, work: Coroutine[Any, Any, None], timeout: float) -> Finding:
    try:
        await within(timeout, work)
    except asyncio.TimeoutError:
        return Finding(what, f"no answer within {timeout:g}s")
    except (NSQError, OSError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        return Finding(what, text.removeprefix(f"{what.split()[-1]}: "))  # `what` has the address already
    return Finding(what, None)


async def _probe_nsqd(address: str, settings: ShipSettings) -> None:
    connection = await connect(address, settings.access.connection())
    connection.close()


async def _probe_lookupd(address: str, settings: ShipSettings) -> None:
    access = settings.access
    exchange = Exchange(HttpConfig(auth_secret=access.lookupd_auth_secret, tls=access.lookupd_tls))
    await ask(exchange, lookup_address(address), all_nsqds())


async def _probe_sink(named: NamedSink) -> None:
    sink = named.to.make(1)
    try:
        await sink.open()
        if isinstance(sink, ProbedSink):
            await sink.probe()
    finally:
        await sink.close()
