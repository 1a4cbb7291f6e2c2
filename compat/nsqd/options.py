"""All flags of nsqd with their defaults (nsqd-behaviour section 7), as one value.

Each field is the flag of the same name with `_` for `-`; `flag` and `config_key` in its metadata name the
exceptions. The command line and GET /config are made from these fields. Times are seconds, sizes bytes.
"""

from __future__ import annotations

import hashlib
import socket
import zlib
from dataclasses import dataclass, field, fields, replace
from importlib.util import find_spec
from typing import Any

from compat.go_logs import LOG_LEVELS
from compat.version import NSQ_VERSION
from nsqgw.errors import ConfigError
from nsqgw.protocol.limits import ServerLimits
from nsqgw.service.settings import Address, parse_address

NODE_IDS = 1024
AUTH_METHODS = ("get", "post")
KIND_DURATION = "duration"
KIND_ADDRESS = "address"
KIND_WORD = "word"
"""A string whose flag may stand alone, for `true`."""


def default_node_id(hostname: str) -> int:
    """The node id nsqd derives from the host's name."""
    return zlib.crc32(hashlib.md5(hostname.encode(), usedforsecurity=False).digest()) % NODE_IDS


def _setting(default: Any, text: str, **metadata: str) -> Any:
    return field(default=default, metadata={"help": text, **metadata})


def _address(default: str, text: str) -> Any:
    return _setting(default, text, kind=KIND_ADDRESS)


def _duration(shown: str, seconds: float, text: str) -> Any:
    return _setting(seconds, text, kind=KIND_DURATION, shown=shown)


@dataclass(frozen=True, kw_only=True)
class NsqdOptions:
    """nsqd's settings. Raises ConfigError for values the original refuses at its start.

    Without a `data_path` a broker writes no file, and what it holds ends with it; the command `nsqgw nsqd`
    has the working directory for it by default. The two of the queue scan's worker pool have no effect.
    """

    log_level: str = _setting("info", "What to log: debug, info, warn, error or fatal.")
    log_prefix: str = _setting("[nsqd] ", "How log lines begin.")
    node_id: int = _setting(
        default_node_id(socket.gethostname()), "Unique part of message ids, 0 to 1023.", config_key="id"
    )
    tcp_address: str = _address("0.0.0.0:4150", "host:port for TCP clients, or the path of a unix socket.")
    http_address: str = _address("0.0.0.0:4151", "host:port or path for HTTP clients; empty: no HTTP.")
    https_address: str = _address(
        "0.0.0.0:4152", "host:port for HTTPS clients; unused without a certificate."
    )
    broadcast_address: str = _setting(socket.gethostname(), "Address announced to nsqlookupd.")
    broadcast_tcp_port: int = _setting(0, "TCP port announced to nsqlookupd; 0: the one listened on.")
    broadcast_http_port: int = _setting(0, "HTTP port announced to nsqlookupd; 0: the one listened on.")
    lookupd_tcp_addresses: tuple[str, ...] = _setting(
        (),
        "host:port of an nsqlookupd (may be given several times).",
        flag="lookupd-tcp-address",
        kind=KIND_ADDRESS,
        config_key="nsqlookupd_tcp_addresses",
    )
    auth_http_addresses: tuple[str, ...] = _setting(
        (),
        "host:port or URL of an auth server (may be given several times).",
        flag="auth-http-address",
        config_key="auth_http_addresses",
    )
    auth_http_request_method: str = _setting("get", "How to ask the auth server: get or post.")
    http_client_connect_timeout: float = _duration("2s", 2.0, "Time to connect to the auth server.")
    http_client_request_timeout: float = _duration("5s", 5.0, "Time for the auth server's answer.")
    topology_region: str = _setting("", "This node's region, told to clients.")
    topology_zone: str = _setting("", "This node's zone, told to clients.")
    enable_experiments: tuple[str, ...] = _setting(
        (), "Accepted without effect (may be given several times).", flag="enable-experiment"
    )
    data_path: str = _setting("", "Where to store what goes to disk; empty: the working directory.")
    mem_queue_size: int = _setting(10000, "Messages per queue in memory; more go to disk.")
    max_bytes_per_file: int = _setting(104857600, "Size of a disk queue's files in bytes.")
    sync_every: int = _setting(2500, "Reads and writes of a disk queue per sync; 1: confirm after it.")
    sync_timeout: float = _duration("2s", 2.0, "Longest time between the syncs of a disk queue.")
    queue_scan_worker_pool_max: int = _setting(4, "Accepted without effect.")
    queue_scan_selection_count: int = _setting(20, "Accepted without effect.")
    msg_timeout: float = _duration("1m0s", 60.0, "Time to answer a message before it is delivered again.")
    max_msg_timeout: float = _duration("15m0s", 900.0, "Longest time a client may ask or touch for.")
    max_msg_size: int = _setting(1048576, "Largest message in bytes.")
    max_body_size: int = _setting(5242880, "Largest body of a command in bytes.")
    max_req_timeout: float = _duration("1h0m0s", 3600.0, "Longest delay of REQ and DPUB.")
    max_heartbeat_interval: float = _duration("1m0s", 60.0, "Longest heartbeat interval of a client.")
    max_rdy_count: int = _setting(2500, "Largest RDY count of a client.")
    max_output_buffer_size: int = _setting(65536, "Largest output buffer of a client in bytes.")
    max_output_buffer_timeout: float = _duration("30s", 30.0, "Longest output buffer time-out of a client.")
    min_output_buffer_timeout: float = _duration(
        "25ms", 0.025, "Shortest output buffer time-out of a client."
    )
    output_buffer_timeout: float = _duration("250ms", 0.25, "Default output buffer time-out of a client.")
    max_channel_consumers: int = _setting(0, "Consumers a channel may have on this nsqd; 0: any number.")
    statsd_address: str = _setting("", "UDP host:port of a statsd daemon; empty: none.")
    statsd_prefix: str = _setting("nsq.%s", "How statsd names begin; %s is this host.")
    statsd_interval: float = _duration("1m0s", 60.0, "Time between two pushes to statsd.")
    statsd_mem_stats: bool = _setting(True, "Push memory statistics to statsd.")
    statsd_udp_packet_size: int = _setting(508, "Size of statsd's datagrams in bytes.")
    statsd_exclude_ephemeral: bool = _setting(False, "Leave ephemeral names out of statsd.")
    e2e_processing_latency_percentiles: tuple[float, ...] = _setting(
        (),
        "Percentile of the time from publishing to FIN, as 0.99 (may be given several times).",
        flag="e2e-processing-latency-percentile",
        config_key="e2e_processing_latency_percentiles",
    )
    e2e_processing_latency_window_time: float = _duration("10m0s", 600.0, "Time the percentiles cover.")
    tls_cert: str = _setting("", "Certificate file (PEM); with it, and --tls-key, there is TLS.")
    tls_key: str = _setting("", "File of the certificate's key (PEM).")
    tls_client_auth_policy: str = _setting(
        "", "require (any certificate of the client) or require-verify; both make TLS required."
    )
    tls_root_ca_file: str = _setting("", "Authorities of clients' and of auth servers' certificates (PEM).")
    tls_required: str = _setting(
        "false", "Refuse clients without TLS: true, false or tcp-https (HTTP stays open).", kind=KIND_WORD
    )
    tls_min_version: str = _setting("tls1.0", "Oldest TLS version: tls1.0 to tls1.3.")
    deflate: bool = _setting(True, "Offer deflate to clients.")
    max_deflate_level: int = _setting(6, "Highest deflate level of a client, 1 to 9.")
    snappy: bool = _setting(True, "Offer snappy to clients; needs the extra `snappy`.")
    legacy_http: bool = _setting(
        False, "Serve HTTP clients of before NSQ 1.0, too: /put, /create_topic ..., wrapped answers."
    )

    def __post_init__(self) -> None:
        for name in ("tcp_address", "http_address", "lookupd_tcp_addresses", "auth_http_addresses"):
            _check_type(name, getattr(self, name))
        if not 1 <= self.max_deflate_level <= 9:
            raise ConfigError(f"--max-deflate-level={self.max_deflate_level}: must be 1 to 9")
        self._check_tls()
        self._check_auth()
        if not 0 <= self.node_id < NODE_IDS:
            raise ConfigError(f"--node-id={self.node_id}: must be 0 to {NODE_IDS - 1}")
        if self.log_level.lower() not in LOG_LEVELS:
            raise ConfigError(f"--log-level={self.log_level}: must be one of {', '.join(LOG_LEVELS)}")
        for name in (
            "mem_queue_size",
            "max_msg_size",
            "max_body_size",
            "max_rdy_count",
            "max_channel_consumers",
        ):
            if getattr(self, name) < 0:
                raise ConfigError(f"--{_dashed(name)}={getattr(self, name)}: must not be negative")
        for name in ("max_bytes_per_file", "sync_every", "sync_timeout"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"--{_dashed(name)}={getattr(self, name)}: must be above 0")
        self._check_figures()

    def _check_figures(self) -> None:
        percentiles = self.e2e_processing_latency_percentiles
        for each in percentiles:
            if not 0 < each <= 1:
                raise ConfigError(f"--e2e-processing-latency-percentile={each}: must be above 0, up to 1")
        object.__setattr__(
            self, "e2e_processing_latency_percentiles", tuple(sorted(percentiles, reverse=True))
        )
        if self.statsd_address:
            parse_address(self.statsd_address)
            for name in ("statsd_interval", "statsd_udp_packet_size"):
                if getattr(self, name) <= 0:
                    raise ConfigError(f"--{_dashed(name)}={getattr(self, name)}: must be above 0")

    def _check_tls(self) -> None:
        for name, words in _WORDS.items():
            value = getattr(self, name).lower()
            if value not in words:
                told = ", ".join(word or "empty" for word in words)
                raise ConfigError(f"--{_dashed(name)}={value}: must be one of {told}")
            object.__setattr__(self, name, value)
        required = _TLS_REQUIRED.get(self.tls_required.lower())
        if required is None:
            raise ConfigError(f"--tls-required={self.tls_required}: must be true, false or tcp-https")
        if self.tls_client_auth_policy and required == "false":
            required = "true"
        object.__setattr__(self, "tls_required", required)
        if bool(self.tls_cert) != bool(self.tls_key):
            missing, given = ("key", "cert") if self.tls_cert else ("cert", "key")
            raise ConfigError(f"--tls-{given} needs --tls-{missing}, and the other way round")
        if required != "false" and not self.tls_cert:
            raise ConfigError(
                "cannot require TLS client connections without TLS key and cert: give both files"
            )

    def _check_auth(self) -> None:
        if self.auth_http_addresses:
            from compat.nsqd.auth_servers import auth_address  # else nsqd starts without

            for address in self.auth_http_addresses:
                auth_address(address)
        object.__setattr__(self, "auth_http_request_method", self.auth_http_request_method.lower())
        if self.auth_http_request_method not in AUTH_METHODS:
            raise ConfigError(
                f"--auth-http-request-method={self.auth_http_request_method}: must be get or post"
            )

    @property
    def limits(self) -> ServerLimits:
        """What clients are held to. Snappy is offered only when its library is installed."""
        return ServerLimits(
            version=NSQ_VERSION,
            max_msg_size=self.max_msg_size,
            max_body_size=self.max_body_size,
            max_rdy_count=self.max_rdy_count,
            max_req_timeout=self.max_req_timeout,
            msg_timeout=self.msg_timeout,
            max_msg_timeout=self.max_msg_timeout,
            max_heartbeat_interval=self.max_heartbeat_interval,
            max_output_buffer_size=self.max_output_buffer_size,
            output_buffer_timeout=self.output_buffer_timeout,
            min_output_buffer_timeout=self.min_output_buffer_timeout,
            max_output_buffer_timeout=self.max_output_buffer_timeout,
            deflate=self.deflate,
            max_deflate_level=self.max_deflate_level,
            snappy=self.snappy and find_spec("snappy") is not None,
            tls_required=self.tls_required != "false",
            auth_required=bool(self.auth_http_addresses),
            topology_region=self.topology_region,
            topology_zone=self.topology_zone,
        )

    def with_ports(self, tcp_port: int, http_port: int) -> NsqdOptions:
        """The options once the ports are open: which are announced, and the prefix that names the node."""
        tcp = self.broadcast_tcp_port or tcp_port
        http = self.broadcast_http_port or http_port
        prefix = _expanded_prefix(self.statsd_prefix, self.broadcast_address, http)
        return replace(self, broadcast_tcp_port=tcp, broadcast_http_port=http, statsd_prefix=prefix)


def _expanded_prefix(prefix: str, broadcast_address: str, http_port: int) -> str:
    """The start of all names in statsd: `%s` is this node; a dot ends it unless it is empty."""
    node = str(Address(broadcast_address, http_port)).replace(".", "_").replace(":", "_")
    expanded = prefix.replace("%s", node)
    return expanded if expanded.endswith(".") or not expanded else f"{expanded}."


def flag_name(name: str) -> str:
    """The flag of the field `name`, without dashes in front."""
    metadata = NsqdOptions.__dataclass_fields__[name].metadata
    return str(metadata.get("flag") or _dashed(name))


def config_key(name: str) -> str:
    """The key of the field `name` in config files and in GET /config."""
    metadata = NsqdOptions.__dataclass_fields__[name].metadata
    return str(metadata.get("config_key") or flag_name(name).replace("-", "_"))


def config_values(options: NsqdOptions) -> dict[str, object]:
    """What GET /config/<key> answers, by key (nsqd-http section 7): durations in ns, words as numbers."""
    values: dict[str, object] = {}
    for each in fields(options):
        key = config_key(each.name)
        value = getattr(options, each.name)
        if each.metadata.get("kind") == KIND_DURATION:
            value = round(value * 1e9)
        elif each.name in _NUMBERED:
            value = _NUMBERED[each.name].index(value.lower())
        elif isinstance(value, tuple):
            value = list(value)
        values[key] = value
    values["tls_min_version"] = _TLS_VERSION_NUMBERS[options.tls_min_version]
    return values


_NUMBERED = {
    "log_level": ("", *LOG_LEVELS),
    "tls_required": ("false", "tcp-https", "true"),
}
_TLS_REQUIRED = dict.fromkeys(("0", "f", "false"), "false") | dict.fromkeys(("1", "t", "true"), "true")
_TLS_REQUIRED["tcp-https"] = "tcp-https"
_TLS_VERSION_NUMBERS = {"tls1.0": 0x0301, "tls1.1": 0x0302, "tls1.2": 0x0303, "tls1.3": 0x0304}
_WORDS: dict[str, tuple[str, ...]] = {
    "tls_client_auth_policy": ("", "require", "require-verify"),
    "tls_min_version": tuple(_TLS_VERSION_NUMBERS),
}


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _check_type(name: str, value: object) -> None:
    if name.endswith("addresses"):
        if isinstance(value, str) or not all(isinstance(each, str) for each in value):  # type: ignore[attr-defined]
            raise ConfigError(f"{name} must be a tuple of 'host:port' strings, not {value!r}")
    elif not isinstance(value, str):
        raise ConfigError(f"{name} must be a 'host:port' string, not {value!r}")
