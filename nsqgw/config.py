"""Settings as values: defaults, bounds and units in one place, checked when they are made.

All times are seconds (float); the wire's milliseconds appear nowhere here.
"""

from __future__ import annotations

import math
import socket
import ssl
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar, get_args, get_type_hints

from nsqgw.errors import ConfigError
from nsqgw.protocol.commands import MPUB_OVERHEAD
from nsqgw.protocol.delays import MAX_DELAY
from nsqgw.protocol.messages import DEFAULT_MAX_FRAME_SIZE
from nsqgw.protocol.names import check_topic
from nsqgw.version import __version__

USER_AGENT = f"nsqgw/{__version__}"


def _check_types(owner: Any) -> None:
    """Whether each field holds what its annotation says; an int does for a float, a bool for nothing else."""
    kinds = get_type_hints(type(owner))
    for item in fields(owner):
        value, kind = getattr(owner, item.name), kinds[item.name]
        accepted = get_args(kind) or (kind,)
        if isinstance(value, bool):
            fits = bool in accepted
        else:
            fits = isinstance(value, kind) or (isinstance(value, int) and float in accepted)
        if not fits:
            shown = f" = {value!r}" if item.repr else ""
            wanted = kind.__name__ if isinstance(kind, type) else kind
            raise ConfigError(f"{item.name}{shown} is a {type(value).__name__}: it must be {wanted}")


def _check(owner: object, name: str, low: float, high: float, *, also: float | None = None) -> None:
    value = getattr(owner, name)
    if value is None or value == also or low <= value <= high:
        return
    span = f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
    extra = f", or {also:g}" if also is not None else ""
    raise ConfigError(f"{name} = {value!r} is out of range: it must be {span}{extra}")


def _check_header(owner: object, name: str) -> None:
    value = getattr(owner, name)
    if value is not None and not (value and value.isascii() and value.isprintable()):
        raise ConfigError(f"{name} is empty, or has a character that cannot be in an HTTP header")


@dataclass(frozen=True)
class TlsConfig:
    """How to speak TLS with nsqd. The certificate of the server is verified, unless told otherwise.

    ca_file              certificates to trust (PEM) in place of the system's
    cert_file, key_file  our own certificate, for servers that ask for one; the key may be in the same file
    server_name          the name the certificate must carry; by default the host of the address
    verify               False accepts any certificate: whoever sits in between can read and change all
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    server_name: str | None = None
    verify: bool = True

    def __post_init__(self) -> None:
        if self.key_file is not None and self.cert_file is None:
            raise ConfigError(f"key_file = {self.key_file!r} is of no use without cert_file")


@dataclass(frozen=True)
class HttpConfig:
    """How to call the HTTP API of an nsqd or nsqlookupd.

    timeout           for a whole call, from connecting to the last byte of the answer
    max_answer_bytes  the largest body of an answer that is taken
    auth_secret       sent as `Authorization: Bearer ...`, in place of user and password in the address
    tls               a TlsConfig or an ssl.SSLContext for HTTPS; None trusts the system's certificates
    """

    timeout: float = 10.0
    max_answer_bytes: int = 64 * 1024 * 1024
    auth_secret: str | None = field(default=None, repr=False)
    tls: TlsConfig | ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        _check_types(self)
        _check(self, "timeout", 0.001, 3600)
        _check(self, "max_answer_bytes", 1, 2**31 - 1)
        _check_header(self, "auth_secret")


@dataclass(frozen=True)
class ConnectionConfig:
    """One connection to nsqd; consumers and producers share it.

    client_id, hostname    shown in nsqd's stats; the short and the full host name by default
    user_agent             likewise
    connect_timeout        for the TCP connection, and again for the handshake
    heartbeat_interval     nsqd asks for a sign of life this often (1 to 60 s by nsqd's default); silence
                           of two intervals closes the connection
    reply_timeout          a command that nsqd has not answered for so long closes the connection
    output_buffer_size     bytes nsqd collects before it writes (64 to 65536 by nsqd's default, -1 unbuffered)
    output_buffer_timeout  how long it may hold them back (25 ms is nsqd's minimum, -1 until they are full)
    msg_timeout            time-out of messages for this client, None for the server's (1 s to 15 min)
    sample_rate            deliver only about this percentage (0 delivers all, otherwise 1 to 99)
    tls                    True, a TlsConfig or an ssl.SSLContext: speak TLS or fail; never in the clear then
    snappy, deflate        ask for compression; what the server does not grant is done without
    auth_secret            for servers that ask for AUTH
    max_frame_size         the largest frame taken from nsqd, in bytes
    topology_region, topology_zone  where this client runs
    """

    client_id: str = field(default_factory=lambda: socket.gethostname().split(".")[0])
    hostname: str = field(default_factory=socket.gethostname)
    user_agent: str = USER_AGENT
    connect_timeout: float = 5.0
    heartbeat_interval: float = 30.0
    reply_timeout: float = 30.0
    output_buffer_size: int = 65536
    output_buffer_timeout: float = 0.025
    msg_timeout: float | None = None
    sample_rate: int = 0
    tls: TlsConfig | ssl.SSLContext | bool = False
    snappy: bool = False
    deflate: bool = False
    deflate_level: int = 6
    auth_secret: str | bytes | None = field(default=None, repr=False)
    max_frame_size: int = DEFAULT_MAX_FRAME_SIZE
    topology_region: str = ""
    topology_zone: str = ""

    def __post_init__(self) -> None:
        _check_types(self)
        _check(self, "connect_timeout", 0.001, 3600)
        _check(self, "heartbeat_interval", 1, 3600)
        _check(self, "reply_timeout", 0.001, 3600)
        _check(self, "output_buffer_size", 64, math.inf, also=-1)
        _check(self, "output_buffer_timeout", 0.001, 3600, also=-1)
        _check(self, "msg_timeout", 1, 24 * 3600)
        _check(self, "sample_rate", 0, 99)
        _check(self, "deflate_level", 1, 9)
        _check(self, "max_frame_size", 64, 2**31 - 1)
        if self.snappy and self.deflate:
            raise ConfigError("snappy and deflate cannot both be asked for; choose one")


@dataclass(frozen=True)
class ClientConfig:
    """What consumers and producers have in common: how nsqds are found, connected to and tried again.

    connection             how each connection is made and kept
    lookupd_poll_interval  how often nsqlookupd is asked
    lookupd_poll_jitter    part of an interval by which the first periodic poll is put off, at random
    lookupd_timeout        for one question to one nsqlookupd
    lookupd_auth_secret    sent to nsqlookupd as `Authorization: Bearer ...`
    lookupd_tls            a TlsConfig or an ssl.SSLContext for https:// addresses of nsqlookupd
    reconnect_min_delay, reconnect_max_delay
                           pauses before connecting again double between these, with jitter
    """

    connection: ConnectionConfig = field(default_factory=ConnectionConfig)
    lookupd_poll_interval: float = 60.0
    lookupd_poll_jitter: float = 0.3
    lookupd_timeout: float = 5.0
    lookupd_auth_secret: str | None = field(default=None, repr=False)
    lookupd_tls: TlsConfig | ssl.SSLContext | None = None
    reconnect_min_delay: float = 0.1
    reconnect_max_delay: float = 4.0

    def __post_init__(self) -> None:
        _check_types(self)
        _check(self, "lookupd_poll_interval", 0.01, 3600)
        _check(self, "lookupd_poll_jitter", 0, 1)
        _check(self, "lookupd_timeout", 0.001, 3600)
        _check_header(self, "lookupd_auth_secret")
        _check(self, "reconnect_min_delay", 0.001, 3600)
        _check(self, "reconnect_max_delay", self.reconnect_min_delay, 3600)


@dataclass(frozen=True)
class ConsumerConfig(ClientConfig):
    """How a consumer shares, waits, gives back and stops; and all of ClientConfig.

    max_in_flight              messages on the way or unanswered, over all connections
    concurrency                async handlers running at once, None for max_in_flight
    threads                    run a sync handler that may block in so many threads; None calls it on the loop
    handler_timeout            an async handler is cancelled after this, and has failed; None for no limit
    max_attempts               a message delivered more often is given up: it goes to `dead_letter_topic` or
                               to the consumer's `on_giving_up`; 0 keeps trying for ever
    dead_letter_topic          where messages that are given up are published, on the nsqd they came from
    requeue_delay              delay of a message given back, times its attempts ...
    max_requeue_delay          ... up to this
    auto_touch                 ask for more time for unanswered messages at half their time-out
    max_backoff_duration       longest pause after failures, 0 switches backoff off
    backoff_multiplier         unit of the pauses: they double from twice this; 0 switches backoff off
    backoff_jitter             part of a pause that is left to chance, 0 to 1: consumers do not probe in step
    low_rdy_idle_timeout       with more connections than max_in_flight: an idle one hands over after this,
    low_rdy_timeout            a busy one after this,
    rdy_redistribute_interval  looked at this often
    drain_timeout              how long `stop` waits for messages being handled
    """

    max_in_flight: int = 200
    concurrency: int | None = None
    threads: int | None = None
    handler_timeout: float | None = None
    max_attempts: int = 0
    dead_letter_topic: str | None = None
    requeue_delay: float = 90.0
    max_requeue_delay: float = 900.0
    auto_touch: bool = True
    max_backoff_duration: float = 120.0
    backoff_multiplier: float = 1.0
    backoff_jitter: float = 0.25
    low_rdy_idle_timeout: float = 10.0
    low_rdy_timeout: float = 30.0
    rdy_redistribute_interval: float = 5.0
    drain_timeout: float = 30.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, "max_in_flight", 0, 1_000_000)
        _check(self, "concurrency", 1, 1_000_000)
        _check(self, "threads", 1, 10_000)
        _check(self, "handler_timeout", 0.001, 24 * 3600)
        _check(self, "max_attempts", 0, 65534)
        if self.dead_letter_topic is not None:
            check_topic(self.dead_letter_topic)
        _check(self, "requeue_delay", 0, 3600)
        _check(self, "max_requeue_delay", 0, 3600)
        _check(self, "max_backoff_duration", 0, 3600)
        _check(self, "backoff_multiplier", 0, 3600)
        _check(self, "backoff_jitter", 0, 1)
        _check(self, "low_rdy_idle_timeout", 0.01, 3600)
        _check(self, "low_rdy_timeout", 0.01, 3600)
        _check(self, "rdy_redistribute_interval", 0.001, 3600)
        _check(self, "drain_timeout", 0, 3600)


@dataclass(frozen=True)
class ProducerConfig(ClientConfig):
    """How a producer waits and bounds; and all of ClientConfig.

    publish_timeout      for a publish that must wait, from the call to the end: for room, a connection, the
                         answer, and whatever is tried again. One that is sent at once has as long for its
                         answer, and where that is a failure after which it is sent again, as long once more
    retry_unknown        publish again when the connection broke before the answer: nothing is lost to a
                         broken connection then, but a message may be stored twice. What nsqd certainly did
                         not take is published again in any case
    merge                publishes of one loop turn to one topic leave as one MPUB: less work for nsqd, but a
                         failure is then that of all of them
    max_outstanding      messages sent without an answer at any time. More wait their turn: of `publish_soon`
                         as many again, of `publish` however many callers there are
    max_outstanding_bytes  the same in bytes
    max_message_size, max_batch_size  nsqd's -max-msg-size and -max-body-size; larger is refused here. The
                         largest message must fit into a batch, which takes 8 bytes more
    max_delay            nsqd's -max-req-timeout: it closes the connection over a longer delay, so that is
                         refused here
    """

    publish_timeout: float = 30.0
    retry_unknown: bool = False
    merge: bool = False
    max_outstanding: int = 10_000
    max_outstanding_bytes: int = 64 * 1024 * 1024
    max_message_size: int = 1024 * 1024
    max_batch_size: int = 5 * 1024 * 1024
    max_delay: float = 3600.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, "publish_timeout", 0.001, 3600)
        _check(self, "max_outstanding", 1, 10_000_000)
        _check(self, "max_outstanding_bytes", 1, math.inf)
        _check(self, "max_message_size", 1, 2**31 - 1)
        _check(self, "max_batch_size", 1, 2**31 - 1)
        if self.max_message_size + MPUB_OVERHEAD > self.max_batch_size:
            raise ConfigError(
                f"max_message_size = {self.max_message_size} does not fit into max_batch_size = "
                f"{self.max_batch_size}: it must be at least {MPUB_OVERHEAD} less"
            )
        _check(self, "max_delay", 0, MAX_DELAY)


C = TypeVar("C", ConsumerConfig, ProducerConfig, HttpConfig)


def configured(kind: type[C], config: C | None, options: dict[str, Any]) -> C:
    """`config`, by default that of `kind`, with `options` in place of its fields.

    ConfigError for an option there is none of, with the nearest spelling.
    """
    if config is not None and not isinstance(config, kind):
        raise ConfigError(f"config = {config!r} must be a {kind.__name__}")
    names = [f.name for f in fields(kind)]
    for name in options:
        if name not in names:
            import difflib

            near = difflib.get_close_matches(name, names, 1)
            if name in [f.name for f in fields(ConnectionConfig)]:
                hint = f"it belongs to the connection: connection=ConnectionConfig({name}=...)"
            else:
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}"
            raise ConfigError(f"there is no option {name!r}: {hint}")
    return replace(config or kind(), **options)
