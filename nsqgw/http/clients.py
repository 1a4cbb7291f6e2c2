"""The clients: bases that carry out any call, blocking or awaited, and the calls of each daemon as methods.

What a call sends, returns and raises stands with the calls (`nsqd_calls`, `lookupd_calls`), once for both.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeVar

from nsqgw.config import HttpConfig, configured
from nsqgw.errors import Closed
from nsqgw.http import lookupd_calls, nsqd_calls
from nsqgw.http.address import HttpAddress, parse_http_address
from nsqgw.http.call import Call
from nsqgw.http.exchange import Exchange

P = ParamSpec("P")
T = TypeVar("T")
MethodT = TypeVar("MethodT", bound=Callable[..., object])
ClientT = TypeVar("ClientT", bound="_Client")


class _Client:
    """`address` is `host:port` or a URL, with a path before all others and `user:password@` if need be.

    `options` are the fields of HttpConfig: timeout, max_answer_bytes, auth_secret, tls. Raises ConfigError
    for what cannot be. Calls raise HttpError for a refusal; ConnectionFailed, ConnectionClosed,
    DeadlineExceeded or BadAnswer when there is no sensible answer. An nsqd that answers nothing in the clear
    is asked by HTTPS, on the port it names.
    """

    daemon: ClassVar[str]
    example: ClassVar[str]

    def __init__(self, address: str, *, config: HttpConfig | None = None, **options: Any) -> None:
        self.config = configured(HttpConfig, config, options)
        self.address = self._parse(address)
        self._closed = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.address)!r})"

    def _parse(self, address: str) -> HttpAddress:
        return parse_http_address(address, self.daemon, self.example)

    def _check_open(self) -> None:
        if self._closed:
            raise Closed(f"{self!r} is closed; make a new one")


class _BlockingClient(_Client):
    """A context manager; may be used by one thread at a time."""

    def __init__(self, address: str, *, config: HttpConfig | None = None, **options: Any) -> None:
        super().__init__(address, config=config, **options)
        from nsqgw.http.blocking import BlockingExchange  # requests is slow to import

        self._exchange = BlockingExchange(self.config)

    def call(self, call: Call[T]) -> T:
        """The result of a call."""
        self._check_open()
        return self._exchange.call(call, self.address)

    def close(self) -> None:
        """Close the connections; calls raise Closed from now on."""
        self._closed = True
        self._exchange.close()

    def __enter__(self: ClientT) -> ClientT:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _AsyncClient(_Client):
    """An async context manager. Calls may run side by side; one that is cancelled ends at once."""

    def __init__(self, address: str, *, config: HttpConfig | None = None, **options: Any) -> None:
        super().__init__(address, config=config, **options)
        self._exchange = Exchange(self.config)

    async def call(self, call: Call[T]) -> T:
        """The result of a call."""
        self._check_open()
        return await self._exchange.call(call, self.address)

    async def close(self) -> None:
        """Calls raise Closed from now on; those under way are their callers' to end."""
        self._closed = True

    async def __aenter__(self: ClientT) -> ClientT:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _blocking(describe: Callable[P, Call[T]]) -> Callable[Concatenate[_BlockingClient, P], T]:
    @functools.wraps(describe)
    def method(self: _BlockingClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.call(describe(*args, **kwargs))

    return _with_self(method)


def _awaited(
    describe: Callable[P, Call[T]],
) -> Callable[Concatenate[_AsyncClient, P], Coroutine[Any, Any, T]]:
    @functools.wraps(describe)
    async def method(self: _AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.call(describe(*args, **kwargs))

    return _with_self(method)


def _with_self(method: MethodT) -> MethodT:
    """The method, shown by help() with `self` and with the call's result."""
    signature = inspect.signature(method)
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    result = str(signature.return_annotation).removeprefix("Call[").removesuffix("]")
    method.__signature__ = signature.replace(  # type: ignore[attr-defined]  # what inspect looks for
        parameters=[itself, *signature.parameters.values()], return_annotation=result
    )
    return method


class _Nsqd(_Client):
    daemon = "nsqd"
    example = "127.0.0.1:4151"


class _Lookupd(_Client):
    daemon = "nsqlookupd"
    example = "127.0.0.1:4161"

    def _parse(self, address: str) -> HttpAddress:
        parsed = super()._parse(address)
        # Consumers take the URL of /lookup itself, too.
        return replace(parsed, path=parsed.path.removesuffix("/lookup"))


class NsqdHttp(_Nsqd, _BlockingClient):
    """nsqd's HTTP API, blocking, on requests."""

    ping = _blocking(nsqd_calls.ping)
    info = _blocking(nsqd_calls.info)
    stats = _blocking(nsqd_calls.stats)
    stats_text = _blocking(nsqd_calls.stats_text)
    publish = _blocking(nsqd_calls.publish)
    publish_many = _blocking(nsqd_calls.publish_many)
    create_topic = _blocking(nsqd_calls.create_topic)
    delete_topic = _blocking(nsqd_calls.delete_topic)
    empty_topic = _blocking(nsqd_calls.empty_topic)
    pause_topic = _blocking(nsqd_calls.pause_topic)
    unpause_topic = _blocking(nsqd_calls.unpause_topic)
    create_channel = _blocking(nsqd_calls.create_channel)
    delete_channel = _blocking(nsqd_calls.delete_channel)
    empty_channel = _blocking(nsqd_calls.empty_channel)
    pause_channel = _blocking(nsqd_calls.pause_channel)
    unpause_channel = _blocking(nsqd_calls.unpause_channel)
    get_option = _blocking(nsqd_calls.get_option)
    set_option = _blocking(nsqd_calls.set_option)
    set_block_rate = _blocking(nsqd_calls.set_block_rate)
    free_memory = _blocking(nsqd_calls.free_memory)
    pprof = _blocking(nsqd_calls.pprof)


class NsqdHttpAsync(_Nsqd, _AsyncClient):
    """nsqd's HTTP API for asyncio, on tornado."""

    ping = _awaited(nsqd_calls.ping)
    info = _awaited(nsqd_calls.info)
    stats = _awaited(nsqd_calls.stats)
    stats_text = _awaited(nsqd_calls.stats_text)
    publish = _awaited(nsqd_calls.publish)
    publish_many = _awaited(nsqd_calls.publish_many)
    create_topic = _awaited(nsqd_calls.create_topic)
    delete_topic = _awaited(nsqd_calls.delete_topic)
    empty_topic = _awaited(nsqd_calls.empty_topic)
    pause_topic = _awaited(nsqd_calls.pause_topic)
    unpause_topic = _awaited(nsqd_calls.unpause_topic)
    create_channel = _awaited(nsqd_calls.create_channel)
    delete_channel = _awaited(nsqd_calls.delete_channel)
    empty_channel = _awaited(nsqd_calls.empty_channel)
    pause_channel = _awaited(nsqd_calls.pause_channel)
    unpause_channel = _awaited(nsqd_calls.unpause_channel)
    get_option = _awaited(nsqd_calls.get_option)
    set_option = _awaited(nsqd_calls.set_option)
    set_block_rate = _awaited(nsqd_calls.set_block_rate)
    free_memory = _awaited(nsqd_calls.free_memory)
    pprof = _awaited(nsqd_calls.pprof)


class LookupdHttp(_Lookupd, _BlockingClient):
    """nsqlookupd's HTTP API, blocking, on requests."""

    ping = _blocking(lookupd_calls.ping)
    info = _blocking(lookupd_calls.info)
    lookup = _blocking(lookupd_calls.lookup)
    topics = _blocking(lookupd_calls.topics)
    channels = _blocking(lookupd_calls.channels)
    nodes = _blocking(lookupd_calls.nodes)
    create_topic = _blocking(lookupd_calls.create_topic)
    delete_topic = _blocking(lookupd_calls.delete_topic)
    create_channel = _blocking(lookupd_calls.create_channel)
    delete_channel = _blocking(lookupd_calls.delete_channel)
    tombstone = _blocking(lookupd_calls.tombstone)
    debug = _blocking(lookupd_calls.debug)
    pprof = _blocking(lookupd_calls.pprof)


class LookupdHttpAsync(_Lookupd, _AsyncClient):
    """nsqlookupd's HTTP API for asyncio, on tornado."""

    ping = _awaited(lookupd_calls.ping)
    info = _awaited(lookupd_calls.info)
    lookup = _awaited(lookupd_calls.lookup)
    topics = _awaited(lookupd_calls.topics)
    channels = _awaited(lookupd_calls.channels)
    nodes = _awaited(lookupd_calls.nodes)
    create_topic = _awaited(lookupd_calls.create_topic)
    delete_topic = _awaited(lookupd_calls.delete_topic)
    create_channel = _awaited(lookupd_calls.create_channel)
    delete_channel = _awaited(lookupd_calls.delete_channel)
    tombstone = _awaited(lookupd_calls.tombstone)
    debug = _awaited(lookupd_calls.debug)
    pprof = _awaited(lookupd_calls.pprof)
