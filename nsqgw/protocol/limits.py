"""The limits and defaults that a server holds its clients to (nsqd-behaviour section 7)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """nsqd's limits, with its defaults. Times in seconds, sizes in bytes.

    `version` is what IDENTIFY answers: clients derive features from it, so it is the NSQ version spoken.
    """

    version: str = "1.3.0"
    max_msg_size: int = 1024 * 1024
    max_body_size: int = 5 * 1024 * 1024
    max_rdy_count: int = 2500
    max_req_timeout: float = 3600.0
    msg_timeout: float = 60.0
    max_msg_timeout: float = 900.0
    heartbeat_interval: float = 30.0
    max_heartbeat_interval: float = 60.0
    output_buffer_size: int = 16 * 1024
    max_output_buffer_size: int = 64 * 1024
    output_buffer_timeout: float = 0.25
    min_output_buffer_timeout: float = 0.025
    max_output_buffer_timeout: float = 30.0
    deflate: bool = True
    max_deflate_level: int = 6
    snappy: bool = True
    tls_required: bool = False
    auth_required: bool = False
    topology_region: str = ""
    topology_zone: str = ""


def milliseconds(seconds: float) -> int:
    """Seconds as the whole milliseconds of the wire."""
    return round(seconds * 1000)


def wrapped_milliseconds(number: int) -> int:
    """What nsqd makes of so many milliseconds: it counts nanoseconds in 64 bits, which wrap."""
    return ((number * 1_000_000 + 2**63) % 2**64 - 2**63) // 1_000_000
