"""A JWK set that is fetched, from a file or a URL, and kept as new as its makers expect.

It is read at the start, from time to time, and when a token names a key that is not known, but never more
often than `MIN_INTERVAL`, so that forged tokens cannot make us ask. While it cannot be read the keys that
are known go on, for a day.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from gateways.push.access.keys import MAX_SET_BYTES, TokenKey, read_key_set
from nsqgw.errors import ConfigError
from nsqgw.service.hosts import is_loopback
from nsqgw.service.settings import mask_url

logger = logging.getLogger(__name__)

INTERVAL = 600.0
MIN_INTERVAL = 30.0
MAX_STALE = 86_400.0
TIMEOUT = 5.0


def check_key_set_address(address: str) -> str:
    """`address` if keys may come from there; ConfigError for http from another machine.

    Who is on the way could put keys of his own in.
    """
    parts = urlsplit(address)
    if parts.scheme == "http" and not (is_loopback(parts.hostname) or parts.hostname == "localhost"):
        raise ConfigError(f"JWK set {mask_url(address)}: give an https URL, or http on this machine")
    return address


class KeySet:
    """The keys at `address`, a path or a URL; `clock` is the event loop's."""

    def __init__(self, address: str, clock: Callable[[], float]) -> None:
        self._address = check_key_set_address(address)
        self._clock = clock
        self._keys: tuple[TokenKey, ...] = ()
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._reading = asyncio.Lock()

    def keys(self) -> tuple[TokenKey, ...]:
        """What is known, unless it is too old."""
        if self._read_at is None or self._clock() - self._read_at > MAX_STALE:
            return ()
        return self._keys

    async def load(self) -> None:
        """Read them now; ConfigError when that cannot be."""
        self._tried_at = self._clock()
        self._keys = read_key_set(await self._read())
        self._read_at = self._clock()

    async def renew(self) -> None:
        """Read them unless that was just done; a failure is logged, and what is known stays."""
        async with self._reading:
            if self._tried_at is not None and self._clock() - self._tried_at < MIN_INTERVAL:
                return
            try:
                await self.load()
            except ConfigError as error:
                logger.warning("the token keys stay as they are: %s", error)

    async def keep_fresh(self) -> None:
        """Renew them from time to time, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self.renew()

    async def _read(self) -> bytes:
        if "://" not in self._address:
            try:
                return await asyncio.to_thread(Path(self._address).read_bytes)
            except OSError as error:
                raise ConfigError(
                    f"JWK set {self._address}: {error.strerror}, give a readable file"
                ) from None
        client = SimpleAsyncHTTPClient(force_instance=True, max_body_size=MAX_SET_BYTES)
        try:
            request = HTTPRequest(self._address, request_timeout=TIMEOUT, follow_redirects=False)
            return (await client.fetch(request)).body
        except (HTTPClientError, OSError) as error:
            raise ConfigError(f"JWK set {mask_url(self._address)} cannot be fetched: {error}") from None
        finally:
            client.close()
