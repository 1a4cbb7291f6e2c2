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
    """What came of one probe; `trouble` is None when all is well, which `well` says in a word."""

    what: str
    trouble: str | None
    well: str = "reached"


async def probe(config: ShipConfig, *, healthchecks: bool = True) -> list[Finding]:
    """Try everything that `config` names once, side by side, each within `connect_timeout`.

    Without `healthchecks` sinks are opened, and asked nothing.
    """
    timeout = config.service.connect_timeout
    tries: dict[str, Coroutine[Any, Any, str]] = {}
    for pipeline in config.pipelines:
        for what, work in (*_sources(pipeline), *_sinks(pipeline, healthchecks)):
            if what in tries:
                work.close()
            else:
                tries[what] = work
    return list(await asyncio.gather(*(find(what, work, timeout) for what, work in tries.items())))


async def find(what: str, work: Coroutine[Any, Any, str], timeout: float) -> Finding:
    """What comes of `work` within so many seconds; it returns the word for that all is well."""
    try:
        return Finding(what, None, await within(timeout, work))
    except asyncio.TimeoutError:
        return Finding(what, f"no answer within {timeout:g}s")
    except (NSQError, OSError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        return Finding(what, text.removeprefix(f"{what.split()[-1]}: "))  # `what` has the address already


def _sources(settings: ShipSettings) -> Iterable[tuple[str, Coroutine[Any, Any, str]]]:
    for address in settings.nsqd_tcp_addresses:
        yield f"nsqd {address}", _probe_nsqd(address, settings)
    for address in settings.lookupd_http_addresses:
        yield f"nsqlookupd {lookup_address(address)}", _probe_lookupd(address, settings)


def _sinks(settings: ShipSettings, healthchecks: bool) -> Iterable[tuple[str, Coroutine[Any, Any, str]]]:
    dead_letter = () if settings.dead_letter is None else (settings.dead_letter,)
    for sink in (*settings.sinks, *dead_letter):
        yield f"sink {sink.name}", _probe_sink(sink, healthchecks)


async def _probe_nsqd(address: str, settings: ShipSettings) -> str:
    connection = await connect(address, settings.access.connection())
    connection.close()
    return "reached"


async def _probe_lookupd(address: str, settings: ShipSettings) -> str:
    access = settings.access
    exchange = Exchange(HttpConfig(auth_secret=access.lookupd_auth_secret, tls=access.lookupd_tls))
    await ask(exchange, lookup_address(address), all_nsqds())
    return "reached"


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
