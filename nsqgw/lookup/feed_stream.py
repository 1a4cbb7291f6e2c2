"""The feed that comes over HTTP: the event streams of our nsqlookupds or of `nsqgw topology`, kept open."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable

from nsqgw.config import ClientConfig, HttpConfig, TlsConfig
from nsqgw.connection.reconnect import ReconnectDelay
from nsqgw.errors import DiscoveryError, HttpError, NSQError
from nsqgw.http.address import HttpAddress, parse_http_address
from nsqgw.http.event_source import EventSource
from nsqgw.http.event_stream import ServerSentEvent
from nsqgw.instrument import LookupFailed, OnFact
from nsqgw.lookup.feed import Announcements
from nsqgw.topology.events import Position, Snapshot, Unknown, decode

logger = logging.getLogger(__name__)

PATH = "/topology/stream"
SILENCE = 35.0
"""Seconds without a byte after which a stream is given up; its source sends a sign of life every ten."""

_SHORTEST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0

OnFailed = Callable[[str, NSQError], None]


def topology_address(text: str) -> HttpAddress:
    """Where a stream is: `host:port`, or a URL whose path, if it has one, is asked in place of PATH.

    ConfigError when `text` is neither.
    """
    return parse_http_address(text, "topology", "127.0.0.1:4161")


class TopologyStream(Announcements):
    """Follows the streams at `addresses`, each until `stop`: one that ends is opened again after a pause.

    What several tell is joined. While none can be read nothing is told, and whoever polls nsqlookupd beside
    it is where they would be without a feed; `on_failed` is called with the address and a DiscoveryError.
    `timeout` (of connecting) in seconds, `auth_secret` and `tls` are those of HttpConfig.
    """

    def __init__(
        self,
        addresses: Iterable[str],
        *,
        timeout: float = 5.0,
        auth_secret: str | None = None,
        tls: TlsConfig | ssl.SSLContext | None = None,
        on_failed: OnFailed = lambda address, error: logger.warning("topology feed %s", error),
    ) -> None:
        super().__init__()
        self._addresses = tuple(dict.fromkeys(map(topology_address, addresses)))
        self._source = EventSource(HttpConfig(timeout=timeout, auth_secret=auth_secret, tls=tls), SILENCE)
        self._on_failed = on_failed
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to read. Needs a running loop."""
        assert not self._tasks, "started twice"
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._keep_reading(address)) for address in self._addresses]

    async def stop(self) -> None:
        """Stop at once; nothing is called back afterwards."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> TopologyStream:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _keep_reading(self, address: HttpAddress) -> None:
        delay = ReconnectDelay(_SHORTEST_PAUSE, _LONGEST_PAUSE)
        path = "" if address.path else PATH
        place = _Place(str(address))

        def on_event(event: ServerSentEvent) -> None:
            self._take(place, event)
            delay.reset()

        while True:
            try:
                await self._source.read(address, path, place.last_event_id, on_event)
            except NSQError as error:
                self._on_failed(str(address), DiscoveryError(f"{error}{_hint(error)}"))
            except Exception:  # a mistake of ours or in a callback must not end the feed for good
                logger.exception("reading the topology of %s failed", address)
                place = _Place(str(address))  # whatever it was, it does not come again with a snapshot
            await asyncio.sleep(delay.next())

    def _take(self, place: _Place, event: ServerSentEvent) -> None:
        happened = decode(event.data)
        position, what = happened.position, happened.what
        if isinstance(what, Snapshot):
            self.reset(place.source, what.cluster)
        elif place.position is None or position != place.position._replace(sequence=position.sequence):
            raise DiscoveryError(f"{place.source}: the stream does not begin with a snapshot")
        elif position.sequence != place.position.sequence + 1:
            place.position = None
            raise DiscoveryError(f"{place.source}: the stream has a gap before event {position.sequence}")
        elif not isinstance(what, Unknown):
            self.happened(place.source, [what])
        place.position = position


class _Place:
    """How far one stream was read."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.position: Position | None = None

    @property
    def last_event_id(self) -> str:
        return "" if self.position is None else str(self.position)


def _hint(error: NSQError) -> str:
    if isinstance(error, HttpError) and error.status == 404:
        return "; the original nsqlookupd has no stream: `nsqgw topology` watches it and has one"
    return ""


def stream_of(addresses: Iterable[str], config: ClientConfig, on_fact: OnFact) -> TopologyStream:
    """A stream with the settings of a consumer or producer; without `addresses` it tells nothing."""
    return TopologyStream(
        addresses,
        timeout=config.lookupd_timeout,
        auth_secret=config.lookupd_auth_secret,
        tls=config.lookupd_tls,
        on_failed=lambda address, error: on_fact(LookupFailed(address, error)),
    )
