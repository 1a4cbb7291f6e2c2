"""The bounds of the browser side: what one connection may hold, and how long each step may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, times in seconds. Times are kept to within one turn of the wheel, `look_interval`."""

    max_connections: int = 10_000
    max_head_bytes: int = 16_384
    handshake_timeout: float = 10.0
    max_client_message_bytes: int = 65_536
    max_client_frames: int = 200
    """Frames a browser may send between two looks at its connection."""
    max_queue_bytes: int = 1_048_576
    max_queue_age: float = 10.0
    stall_timeout: float = 60.0
    """For a browser that takes nothing at all, where no topic it follows would close it earlier."""
    max_channels: int = 128
    """What one multiplexed connection may follow."""
    max_publishing: int = 16
    """Messages of one connection on the way to nsqd."""
    max_errors: int = 50
    """Refused commands in a row before a connection is closed."""
    max_presence: int = 1000
    """Clients that one answer about presence names; the others are counted."""
    poll_timeout: float = 25.0
    """A poll is answered after so long though nothing came."""
    ping_interval: float = 25.0
    pong_timeout: float = 10.0
    heartbeat_interval: float = 15.0
    """Between the comments that keep an event stream open through proxies."""
    close_timeout: float = 5.0
    look_interval: float = 2.0
