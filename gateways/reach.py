"""What of the nsqds and nsqlookupds given can be reached: from facts at the start, from consumers later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from nsqgw import Consumer
from nsqgw.connection.address import tell_problems
from nsqgw.errors import NotConnected, NSQError
from nsqgw.instrument import Connected, ConnectFailed, Disconnected, Fact, LookupFailed, to_logging
from nsqgw.lookup.client import lookup_address

logger = logging.getLogger(__name__)


class Reach:
    """Listens to facts; `why_none` tells when every nsqd and nsqlookupd given has failed."""

    def __init__(self, nsqd_addresses: Sequence[str], lookupd_addresses: Sequence[str]) -> None:
        self._nsqds = nsqd_addresses
        self._lookupds = [str(lookup_address(address)) for address in lookupd_addresses]  # as facts name them
        self._problems: dict[str, NSQError] = {}
        self._connected = False

    def note(self, fact: Fact) -> None:
        """Take a fact in, and log it."""
        if isinstance(fact, Connected):
            self._connected = True
        elif isinstance(fact, ConnectFailed | LookupFailed | Disconnected) and fact.error is not None:
            self._problems[fact.address] = fact.error
        to_logging(fact)

    async def wait(self, consumers: Sequence[Consumer], timeout: float) -> None:
        """Until one of `consumers` is connected; NotConnected when nothing given answers in time."""
        waits = [asyncio.create_task(consumer.wait_connected(timeout)) for consumer in consumers]
        try:
            for wait in asyncio.as_completed(waits):
                try:
                    await wait
                except NotConnected as error:
                    problem = error
                else:
                    return
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        unreachable = self.why_none(timeout)
        if unreachable is not None:
            raise unreachable
        logger.warning("going on to wait: %s", problem)

    def why_none(self, timeout: float) -> NotConnected | None:
        """The error to end with after `timeout` seconds, or None when something was reached.

        An nsqlookupd that answers is reached, even when it knows no nsqd yet: the topic may come later.
        """
        if self._connected or any(address not in self._problems for address in self._lookupds):
            return None
        causes = [self._cause(address) for address in (*self._nsqds, *self._lookupds)]
        return NotConnected(f"nothing could be reached within {timeout:g}s: {'; '.join(causes)}")

    def why_starved(self, consumers: Sequence[Consumer]) -> str:
        """What keeps `consumers`, which have no connection, from one: each address and its last trouble."""
        problems = {address: text for consumer in consumers for address, text in consumer.problems.items()}
        if not problems and not self._nsqds:
            return f"no nsqd known to nsqlookupd at {', '.join(self._lookupds)}"
        return tell_problems(self._nsqds, problems)

    def _cause(self, address: str) -> str:
        text = str(self._problems.get(address, "no answer"))
        return text if address in text else f"{address}: {text}"
