"""What the HTTP APIs tell, as values (nsqd-http sections 5 and 6, nsqlookupd section 6).

Fields have the names of the JSON keys. Times are seconds, sizes bytes; points in time are Unix seconds. What
a daemon leaves out, because it is older, was not asked or has nothing to say, has its default.
"""

from __future__ import annotations

from dataclasses import dataclass

from nsqgw.http.address import host_and_port
from nsqgw.http.records import nanoseconds


@dataclass(frozen=True, slots=True)
class NsqdInfo:
    """/info of nsqd: who it is and what it grants to clients."""

    version: str
    broadcast_address: str = ""
    hostname: str = ""
    http_port: int = 0
    tcp_port: int = 0
    start_time: int = 0
    max_heartbeat_interval: float = nanoseconds()
    max_output_buffer_size: int = 0
    max_output_buffer_timeout: float = nanoseconds()
    max_deflate_level: int = 0
    topology_zone: str = ""
    topology_region: str = ""


@dataclass(frozen=True, slots=True)
class Percentile:
    """The time from publish to FIN that the part `quantile` of messages took at most."""

    quantile: float
    value: float = nanoseconds()


@dataclass(frozen=True, slots=True)
class Latency:
    """Empty unless nsqd runs with -e2e-processing-latency-percentile."""

    count: int = 0
    percentiles: tuple[Percentile, ...] = ()


@dataclass(frozen=True, slots=True)
class PubCount:
    """Messages a connection has published to a topic."""

    topic: str
    count: int = 0


@dataclass(frozen=True, slots=True)
class ClientStats:
    """One TCP connection. `state` is 0 before SUB, 3 subscribed, 4 closing."""

    client_id: str = ""
    hostname: str = ""
    version: str = ""
    remote_address: str = ""
    state: int = 0
    ready_count: int = 0
    in_flight_count: int = 0
    message_count: int = 0
    finish_count: int = 0
    requeue_count: int = 0
    connect_ts: int = 0
    sample_rate: int = 0
    deflate: bool = False
    snappy: bool = False
    user_agent: str = ""
    authed: bool = False
    auth_identity: str = ""
    auth_identity_url: str = ""
    topology_zone: str = ""
    topology_region: str = ""
    pub_counts: tuple[PubCount, ...] = ()
    tls: bool = False
    tls_cipher_suite: str = ""
    tls_version: str = ""
    tls_negotiated_protocol: str = ""
    tls_negotiated_protocol_is_mutual: bool = False


@dataclass(frozen=True, slots=True)
class ChannelStats:
    """One channel. `depth` leaves out what is in flight or deferred; `client_count` is always right."""

    channel_name: str
    depth: int = 0
    backend_depth: int = 0
    in_flight_count: int = 0
    deferred_count: int = 0
    message_count: int = 0
    zone_local_msg_count: int = 0
    region_local_msg_count: int = 0
    global_msg_count: int = 0
    requeue_count: int = 0
    timeout_count: int = 0
    client_count: int = 0
    clients: tuple[ClientStats, ...] = ()
    paused: bool = False
    e2e_processing_latency: Latency = Latency()


@dataclass(frozen=True, slots=True)
class TopicStats:
    """One topic. `depth` counts its own queue only, counts of messages are since nsqd's start."""

    topic_name: str
    channels: tuple[ChannelStats, ...] = ()
    depth: int = 0
    backend_depth: int = 0
    message_count: int = 0
    message_bytes: int = 0
    paused: bool = False
    e2e_processing_latency: Latency = Latency()


@dataclass(frozen=True, slots=True)
class MemoryStats:
    """Go's memory figures; the units are in the names."""

    heap_objects: int = 0
    heap_idle_bytes: int = 0
    heap_in_use_bytes: int = 0
    heap_released_bytes: int = 0
    gc_pause_usec_100: int = 0
    gc_pause_usec_99: int = 0
    gc_pause_usec_95: int = 0
    next_gc_bytes: int = 0
    gc_total_runs: int = 0


@dataclass(frozen=True, slots=True)
class NsqdStats:
    """/stats of nsqd. `health` is "OK" or begins with "NOK"; `producers` are the connections that publish."""

    version: str
    health: str = ""
    start_time: int = 0
    topics: tuple[TopicStats, ...] = ()
    memory: MemoryStats | None = None
    producers: tuple[ClientStats, ...] = ()


@dataclass(frozen=True, slots=True)
class LookupdInfo:
    """/info of nsqlookupd."""

    version: str


@dataclass(frozen=True, slots=True)
class Node:
    """An nsqd as it has announced itself; `remote_address` is where it came from."""

    broadcast_address: str
    tcp_port: int = 0
    http_port: int = 0
    remote_address: str = ""
    hostname: str = ""
    version: str = ""
    topology_zone: str = ""
    topology_region: str = ""

    @property
    def tcp_address(self) -> str:
        """`host:port` for clients."""
        return host_and_port(self.broadcast_address, self.tcp_port)

    @property
    def http_address(self) -> str:
        """`host:port` of its HTTP API, by which it is named in `tombstone`, too."""
        return host_and_port(self.broadcast_address, self.http_port)


@dataclass(frozen=True, slots=True)
class Lookup:
    """/lookup: who has a topic, and its channels; `producers` are alive and not tombstoned."""

    producers: tuple[Node, ...]
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TopicsNode(Node):
    """An entry of /nodes; `tombstones[i]` tells whether the node is hidden for `topics[i]`."""

    tombstones: tuple[bool, ...] = ()
    topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RegisteredNode(Node):
    """An entry of /debug; `tombstoned_at` means something only when it is `tombstoned`."""

    id: str = ""
    last_update: float = nanoseconds()
    tombstoned: bool = False
    tombstoned_at: float = nanoseconds()
