"""One HTTP request and its answer with requests, for code without a loop; connections are kept for the next.

requests bounds the wait for each byte only, so a timer cuts the connection at the deadline. Nothing is taken
from the environment (proxies, .netrc), and redirects are not followed.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any, TypeVar

import requests
import requests.adapters
import urllib3

from nsqgw.config import HttpConfig, TlsConfig
from nsqgw.connection.tls import client_context
from nsqgw.errors import BadAnswer, ConnectionClosed, ConnectionFailed, DeadlineExceeded, NSQError
from nsqgw.http.address import HttpAddress
from nsqgw.http.answer import Answer
from nsqgw.http.call import Call, Request, conversation

T = TypeVar("T")

_CHUNK = 64 * 1024
_TIMEOUTS = (TimeoutError, requests.Timeout, urllib3.exceptions.ReadTimeoutError)
_FAILURES = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, http.client.HTTPException)


class BlockingExchange:
    """Carries out calls. Raises ConfigError for TLS files that cannot be used."""

    def __init__(self, config: HttpConfig) -> None:
        self._config = config
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.mount("http://", _Adapter())
        self._session.mount("https://", _Adapter(config.tls))

    def call(self, call: Call[T], address: HttpAddress) -> T:
        """The result of a call.

        Raises what the call raises; ConnectionFailed, DeadlineExceeded, ConnectionClosed or BadAnswer when
        there is no sensible answer.
        """
        talk = conversation(call, address, self._config.auth_secret)
        request = next(talk)
        while True:
            answer = self._answer(request)
            try:
                request = talk.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result

    def _answer(self, request: Request) -> Answer:
        with _Deadline(self._config.timeout) as deadline:
            try:
                answer = self._ask(request)
                deadline.check()  # a head that was cut looks like a whole one
                return answer
            except _FAILURES as error:
                if deadline.over or _is_any(error, _TIMEOUTS):
                    text = f"{request.what}: no answer within {self._config.timeout:g} s"
                    raise DeadlineExceeded(text) from error
                raise _meaning(error, request.what, deadline.sent) from error

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _ask(self, request: Request) -> Answer:
        with self._session.request(
            request.method,
            request.url,
            data=request.body,
            headers={**request.headers, "Accept-Encoding": "identity"},
            timeout=self._config.timeout,
            allow_redirects=False,
            stream=True,
        ) as response:
            body = bytearray()
            for chunk in response.raw.stream(_CHUNK, decode_content=False):
                body += chunk
                if len(body) > self._config.max_answer_bytes:
                    limit = self._config.max_answer_bytes
                    raise BadAnswer(f"{request.what}: the answer is larger than {limit} bytes")
            return Answer(response.status_code, response.headers, bytes(body), request.what)


class _Deadline:
    """Cuts the connection that waits for an answer in this thread, when the time is up."""

    _current = threading.local()

    def __init__(self, seconds: float) -> None:
        self.over = False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> _Deadline:
        self._current.deadline = self
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._current.deadline = None

    def check(self) -> None:
        """TimeoutError when the time is up."""
        if self.over:
            raise TimeoutError

    @classmethod
    def watch(cls, waiting: socket.socket) -> None:
        """From now on an answer is waited for on this socket."""
        deadline: _Deadline | None = getattr(cls._current, "deadline", None)
        if deadline is not None:
            with deadline._lock:
                deadline._socket = waiting
                if deadline.over:
                    _shut(waiting)

    @property
    def sent(self) -> bool:
        """Whether the whole request was sent."""
        return self._socket is not None

    def _cut(self) -> None:
        with self._lock:
            self.over = True
            if self._socket is not None:
                _shut(self._socket)


def _shut(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is closed already
        # Not the method of an SSLSocket, which pulls TLS away from under the thread that reads.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


class _HttpConnection(urllib3.connection.HTTPConnection):
    def getresponse(self) -> Any:
        _Deadline.watch(self.sock)
        return super().getresponse()


class _HttpsConnection(urllib3.connection.HTTPSConnection):
    def connect(self) -> None:
        # The context verifies what its settings say, IP addresses too; urllib3 before 2 cannot do the latter.
        urllib3.connection.HTTPConnection.connect(self)
        assert self.ssl_context is not None
        name = self.server_hostname or self.host
        self.sock = self.ssl_context.wrap_socket(self.sock, server_hostname=name)
        self.is_verified = True

    def getresponse(self) -> Any:
        _Deadline.watch(self.sock)
        return super().getresponse()


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


class _Adapter(requests.adapters.HTTPAdapter):
    """Leaves TLS to our settings: requests would trust its own list of authorities in addition."""

    def __init__(self, tls: TlsConfig | ssl.SSLContext | None = None) -> None:
        self._tls: dict[str, Any] = {"ssl_context": client_context(tls)}
        if isinstance(tls, TlsConfig) and tls.server_name is not None:
            self._tls["server_hostname"] = tls.server_name
        super().__init__()

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **options, **self._tls)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def get_connection_with_tls_context(self, request: Any, *_: Any, **__: Any) -> Any:
        return self.poolmanager.connection_from_url(request.url)

    def cert_verify(self, *_: Any) -> None:
        """Nothing to set: the context knows."""


def _meaning(error: BaseException, what: str, sent: bool) -> NSQError:
    """What an error of requests, or of what lies below it, means to the caller."""
    cause = _cause(error)
    if not sent and _is_any(error, (ssl.SSLError,)):
        return ConnectionFailed(f"{what}: TLS handshake failed: {cause}")
    if not sent and _is_any(error, (urllib3.exceptions.NewConnectionError, ValueError)):
        return ConnectionFailed(f"{what}: no connection: {cause}")
    if _is_any(error, (ConnectionError, ssl.SSLError, urllib3.exceptions.IncompleteRead)):
        return ConnectionClosed(f"{what}: connection lost: {cause}")
    return BadAnswer(f"{what}: the answer is no HTTP: {cause}")


def _is_any(error: BaseException, kinds: tuple[type[BaseException], ...]) -> bool:
    return any(isinstance(inner, kinds) for inner in _inside(error))


def _cause(error: BaseException) -> str:
    """The innermost reason, in a few words."""
    *_, innermost = _inside(error)
    for name in ("verify_message", "strerror"):
        if isinstance(text := getattr(innermost, name, None), str) and text:
            return text
    return " ".join(str(innermost).split())[:200]


def _inside(error: BaseException) -> Iterator[BaseException]:
    """An error and, outermost first, those that it wraps as reason, argument or context."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        seen.append(current)
        yield current
        wrapped = [getattr(current, "reason", None), *current.args, current.__cause__, current.__context__]
        current = next((inner for inner in wrapped if isinstance(inner, BaseException)), None)
