"""Whether what a config file names can be reached: each thing is tried once, and the trouble told."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from gateways.access import NsqAccess
from nsqgw.config import HttpConfig
from nsqgw.connection import connect
from nsqgw.deadline import within
from nsqgw.errors import NSQError
from nsqgw.http.exchange import Exchange
from nsqgw.lookup.client import all_nsqds, ask, lookup_address

Try = tuple[str, Coroutine[Any, Any, str]]
"""What is tried, by its kind and address, and the work: it returns the word that all is well, or raises."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one probe; `trouble` is None when all is well, which `well` says in a word."""

    what: str
    trouble: str | None
    well: str = "reached"


async def find_all(tries: Iterable[Try], timeout: float) -> list[Finding]:
    """Try everything side by side, each within `timeout` seconds; what is named twice is tried once."""
    chosen: dict[str, Coroutine[Any, Any, str]] = {}
    for what, work in tries:
        if what in chosen:
            work.close()
        else:
            chosen[what] = work
    return list(await asyncio.gather(*(find(what, work, timeout) for what, work in chosen.items())))


async def find(what: str, work: Coroutine[Any, Any, str], timeout: float) -> Finding:
    """What comes of `work` within so many seconds."""
    try:
        return Finding(what, None, await within(timeout, work))
    except asyncio.TimeoutError:
        return Finding(what, f"no answer within {timeout:g}s")
    except (NSQError, OSError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        return Finding(what, text.removeprefix(f"{what.split()[-1]}: "))  # `what` has the address already


def nsq_tries(nsqds: Iterable[str], lookupds: Iterable[str], access: NsqAccess) -> Iterable[Try]:
    """Connect to each nsqd, with TLS and AUTH, and ask each nsqlookupd."""
    for address in nsqds:
        yield f"nsqd {address}", _probe_nsqd(address, access)
    for address in lookupds:
        yield f"nsqlookupd {lookup_address(address)}", _probe_lookupd(address, access)


async def _probe_nsqd(address: str, access: NsqAccess) -> str:
    connection = await connect(address, access.connection())
    connection.close()
    return "reached"


async def _probe_lookupd(address: str, access: NsqAccess) -> str:
    exchange = Exchange(HttpConfig(auth_secret=access.lookupd_auth_secret, tls=access.lookupd_tls))
    await ask(exchange, lookup_address(address), all_nsqds())
    return "reached"
