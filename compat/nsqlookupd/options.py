"""The settings of nsqlookupd (nsqlookupd section 7): names as the flags, with underscores."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from nsqgw.errors import ConfigError
from nsqgw.protocol.names import check_topic
from nsqgw.service.listen import is_path
from nsqgw.service.settings import parse_address


@dataclass(frozen=True, kw_only=True)
class NsqlookupdOptions:
    """nsqlookupd's settings; times are seconds. Raises ConfigError for what makes no sense.

    tcp_address                where nsqds register, port 0 for any free one
    http_address               where clients ask
    broadcast_address          told to nsqds, who must be able to resolve it
    inactive_producer_timeout  an nsqd that did not ping for so long is hidden
    tombstone_lifetime         how long a tombstone hides an nsqd for a topic
    legacy_http                whether HTTP clients of before NSQ 1.0 are served, too
    topology_topic             changes of the cluster are published there; empty for nowhere
    topology_nsqd_tcp_addresses  on which nsqds; by default one of those registered
    """

    tcp_address: str = "0.0.0.0:4160"
    http_address: str = "0.0.0.0:4161"
    broadcast_address: str = field(default_factory=socket.gethostname)
    inactive_producer_timeout: float = 300.0
    tombstone_lifetime: float = 45.0
    legacy_http: bool = False
    topology_topic: str = ""
    topology_nsqd_tcp_addresses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for address in (self.tcp_address, self.http_address):
            if not is_path(address):
                parse_address(address)
        for address in self.topology_nsqd_tcp_addresses:
            parse_address(address)
        if self.topology_topic:
            check_topic(self.topology_topic)
        elif self.topology_nsqd_tcp_addresses:
            raise ConfigError("topology_nsqd_tcp_addresses is of no use without topology_topic")
        for name in ("inactive_producer_timeout", "tombstone_lifetime"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} = {getattr(self, name)!r}: it must not be negative")
