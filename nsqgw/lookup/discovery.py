"""Discovery of nsqds, or of topics: every nsqlookupd asked at each poll, the union of the answers told.

It only ever adds: an nsqd that an nsqlookupd does not name any more is not reported as gone, since its
connection ends by itself when it dies (client-behaviour section 3). Whatever else learns of nsqds, such as a
feed of changes, may call the same `on_found`.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable

from nsqgw.config import HttpConfig, TlsConfig
from nsqgw.errors import DiscoveryError, NSQError
from nsqgw.http.address import HttpAddress
from nsqgw.http.exchange import Exchange
from nsqgw.lookup.client import MAX_ANSWER_BYTES, Question, ask, lookup_address
from nsqgw.lookup.schedule import PollSchedule
from nsqgw.lookup.wake import Wake

logger = logging.getLogger(__name__)

OnFound = Callable[[frozenset[str]], None]
OnFailed = Callable[[str, NSQError], None]


class Discovery:
    """Asks nsqlookupds a `question`, such as `who_has(topic)`, again and again until it is stopped.

    `on_found` is called with what was found so far in this poll, as soon as the first nsqlookupd has
    answered and again when another one adds to it: a slow one delays nobody. `on_failed` is called with the
    address of an nsqlookupd and a DiscoveryError, at each poll in which it fails.

    `poll_interval` and `timeout` (of one question to one nsqlookupd) are seconds, `poll_jitter` is a part of
    the interval. `auth_secret` and `tls` are those of HttpConfig. Raises ConfigError for an address that is
    none, and for certificates that cannot be used.
    """

    def __init__(
        self,
        question: Question,
        lookupd_http_addresses: Iterable[str],
        *,
        poll_interval: float = 60.0,
        poll_jitter: float = 0.3,
        timeout: float = 5.0,
        auth_secret: str | None = None,
        tls: TlsConfig | ssl.SSLContext | None = None,
        on_found: OnFound,
        on_failed: OnFailed,
    ) -> None:
        self._question = question
        self._lookupds = tuple(dict.fromkeys(map(lookup_address, lookupd_http_addresses)))
        self._schedule = PollSchedule(poll_interval, poll_jitter)
        self._exchange = Exchange(
            HttpConfig(timeout=timeout, max_answer_bytes=MAX_ANSWER_BYTES, auth_secret=auth_secret, tls=tls)
        )
        self._on_found = on_found
        self._on_failed = on_failed
        self.problems: dict[str, str] = {}
        """What went wrong when they were asked last, by address; those that answered well are not in it."""
        self._wake = Wake()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to poll; the first question goes out at once. Needs a running loop."""
        assert self._task is None, "started twice"
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Stop at once, questions under way included; nothing is called back afterwards."""
        if self._task is None:
            return
        task, self._task = self._task, None
        task.cancel()
        await asyncio.wait({task})

    def poke(self) -> None:
        """Ask again now, or a little later when the last questions are less than a second old."""
        self._schedule.poke()
        self._wake.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while (pause := self._schedule.due(loop.time())) > 0:
                await self._wake.sleep(pause)
            self._schedule.poll_started(loop.time())
            union = _Union(self._on_found)
            answers = await asyncio.gather(*(self._ask(lookupd, union) for lookupd in self._lookupds))
            self._schedule.poll_ended(loop.time(), any(answers))

    async def _ask(self, lookupd: HttpAddress, union: _Union) -> bool:
        """Ask one nsqlookupd and tell the outcome; whether it answered."""
        try:
            found = await ask(self._exchange, lookupd, self._question)
            self.problems.pop(str(lookupd), None)
            if found.malformed:
                text = f"{lookupd}: left out {found.malformed} senseless entries of {self._question.path}"
                self._failed(lookupd, DiscoveryError(text))
            union.add(found.values)
        except DiscoveryError as error:
            self._failed(lookupd, error)
            return False
        except Exception:  # a mistake of ours or in a callback must not end discovery for good
            logger.exception("asking nsqlookupd %s %s failed", lookupd, self._question.text)
            return False
        return True

    def _failed(self, lookupd: HttpAddress, error: DiscoveryError) -> None:
        self.problems[str(lookupd)] = str(error)
        self._on_failed(str(lookupd), error)


class _Union:
    """What the nsqlookupds named in one poll, told as it grows."""

    def __init__(self, tell: OnFound) -> None:
        self._tell = tell
        self._told: frozenset[str] | None = None

    def add(self, addresses: frozenset[str]) -> None:
        union = addresses | (self._told or frozenset())
        if union != self._told:
            self._told = union
            self._tell(union)
