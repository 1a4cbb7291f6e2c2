"""IDENTIFY as the client speaks it (nsqd-tcp section 5): what it asks for, and what the server granted."""

from __future__ import annotations

import json
from dataclasses import dataclass

from nsqgw.errors import ProtocolError

OLD_SERVER_MAX_RDY = 2500
"""What to assume of a server that answers IDENTIFY with a bare OK."""


@dataclass(frozen=True, slots=True)
class IdentifyRequest:
    """What a client tells and asks. Times in ms as on the wire; None leaves the server's default."""

    client_id: str
    hostname: str
    user_agent: str
    heartbeat_interval_ms: int
    output_buffer_size: int
    output_buffer_timeout_ms: int
    msg_timeout_ms: int | None = None
    sample_rate: int = 0
    tls_v1: bool = False
    snappy: bool = False
    deflate: bool = False
    deflate_level: int = 6
    topology_region: str = ""
    topology_zone: str = ""

    def to_json(self) -> bytes:
        """The document; `short_id` and `long_id` are for servers before 1.0."""
        document: dict[str, object] = {
            "client_id": self.client_id,
            "hostname": self.hostname,
            "short_id": self.client_id,
            "long_id": self.hostname,
            "user_agent": self.user_agent,
            "feature_negotiation": True,
            "heartbeat_interval": self.heartbeat_interval_ms,
            "output_buffer_size": self.output_buffer_size,
            "output_buffer_timeout": self.output_buffer_timeout_ms,
            "tls_v1": self.tls_v1,
            "snappy": self.snappy,
            "deflate": self.deflate,
            "deflate_level": self.deflate_level,
            "sample_rate": self.sample_rate,
        }
        if self.msg_timeout_ms is not None:
            document["msg_timeout"] = self.msg_timeout_ms
        if self.topology_region or self.topology_zone:
            document["topology_region"] = self.topology_region
            document["topology_zone"] = self.topology_zone
        return json.dumps(document, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class ServerFeatures:
    """What the server granted. The defaults are those of a server that negotiates nothing; times in ms."""

    max_rdy_count: int = OLD_SERVER_MAX_RDY
    version: str = ""
    max_msg_timeout: int = 900_000
    msg_timeout: int = 60_000
    tls_v1: bool = False
    deflate: bool = False
    deflate_level: int = 6
    snappy: bool = False
    sample_rate: int = 0
    auth_required: bool = False
    output_buffer_size: int = 0
    output_buffer_timeout: int = 0
    topology_region: str = ""
    topology_zone: str = ""

    @classmethod
    def from_response(cls, data: bytes) -> ServerFeatures:
        """Read the answer to IDENTIFY; anything but a JSON object is a server that negotiates nothing.

        Raises ProtocolError for JSON that is broken or holds a value that makes no sense.
        """
        if not data.startswith(b"{"):
            return cls()
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ProtocolError(f"the answer to IDENTIFY is no JSON: {error}") from error
        granted: dict[str, object] = {}
        for name, default in _DEFAULTS.items():
            value = document.get(name)
            if value is None:
                continue
            if type(value) is not type(default):
                raise ProtocolError(
                    f"the answer to IDENTIFY has {name} = {value!r}, expected {type(default).__name__}"
                )
            if name in _RANGES and value not in _RANGES[name]:
                raise ProtocolError(f"the answer to IDENTIFY has {name} = {value!r}, which is out of range")
            granted[name] = value
        return cls(**granted)  # type: ignore[arg-type]  # each value was compared with its default's type


_DEFAULTS: dict[str, object] = {
    name: getattr(ServerFeatures(), name) for name in ServerFeatures.__dataclass_fields__
}

_RANGES = {
    "max_rdy_count": range(1, 2**31),
    "msg_timeout": range(1, 2**63),
    "max_msg_timeout": range(1, 2**63),
    "deflate_level": range(10),
}
