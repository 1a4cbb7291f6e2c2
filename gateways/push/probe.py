"""What `nsqgw push validate` tries to reach."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from urllib.parse import urlsplit

from gateways.push.config import PushConfig
from gateways.push.shared.store import Store, StoreUnreachable
from gateways.service.probe import Try, nsq_tries
from nsqgw.errors import NotConnected
from nsqgw.service.settings import mask_url

_PORTS = {"http": 80, "https": 443}


def tries(config: PushConfig) -> Iterable[Try]:
    """Everything that `config` names, once each; Redis and the backend are not asked for anything."""
    yield from nsq_tries(config.nsqd_tcp_addresses, config.lookupd_http_addresses, config.access)
    if config.shared.url:
        yield f"redis {config.shared.shown_url}", _probe_redis(config)
    if config.security.auth_request is not None:
        url = config.security.auth_request
        yield f"backend {mask_url(url)}", _probe_backend(url)


async def _probe_redis(config: PushConfig) -> str:
    store = Store(config.shared, config.history, config.channels.max_channels)
    store.open()
    try:
        await store.ping()
    except StoreUnreachable as error:
        raise NotConnected(str(error)) from error
    finally:
        await store.close()
    return "reached"


async def _probe_backend(url: str) -> str:
    """Connect, with TLS where there is any: a request could be one too many."""
    parts = urlsplit(url)
    secure = ssl.create_default_context() if parts.scheme == "https" else None
    _, writer = await asyncio.open_connection(parts.hostname, parts.port or _PORTS[parts.scheme], ssl=secure)
    writer.close()
    return "reached"
