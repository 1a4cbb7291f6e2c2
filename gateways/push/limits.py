"""The bounds of the browser side: what one connection may hold, and how long each step may take."""

from __future__ import annotations

from dataclasses import dataclass

from gateways.service.values import Count, PositiveBytes, PositiveSeconds


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, times in seconds. Times are kept to within one turn of the wheel, `look_interval`.

    max_connections           of one process; above them new ones are answered 503
    max_head_bytes            of the head of a request
    handshake_timeout         for the head of a request to come
    max_client_message_bytes  of what a browser sends
    max_client_frames         that a browser may send between two looks at its connection
    max_client_bytes          that a browser may send between two looks, as they come over the line
    max_subscribes            that a browser may ask for between two looks
    max_queue_bytes           that may wait for one browser before its topic's policy acts
    max_queue_age             of what waits for a browser that is disconnected when it lags
    stall_timeout             for a browser that takes nothing at all, where no topic would close it earlier
    max_channels              that one multiplexed connection may follow
    max_publishing            messages of one connection on the way to nsqd
    max_errors                refused commands in a row before a connection is closed
    max_presence              clients that one answer about presence names; the others are counted
    poll_timeout              after which a poll is answered though nothing came
    ping_interval             between the last word of a WebSocket client and a ping to it
    pong_timeout              for the answer to a ping
    heartbeat_interval        between the comments that keep an event stream open through proxies
    close_timeout             for a browser to end a connection that was closed
    look_interval             of the wheel that keeps all these times
    """

    max_connections: Count = 10_000
    max_head_bytes: PositiveBytes = 16_384
    handshake_timeout: PositiveSeconds = 10.0
    max_client_message_bytes: PositiveBytes = 65_536
    max_client_frames: Count = 200
    max_client_bytes: PositiveBytes = 2_097_152
    max_subscribes: Count = 256
    max_queue_bytes: PositiveBytes = 1_048_576
    max_queue_age: PositiveSeconds = 10.0
    stall_timeout: PositiveSeconds = 60.0
    max_channels: Count = 128
    max_publishing: Count = 16
    max_errors: Count = 50
    max_presence: Count = 1000
    poll_timeout: PositiveSeconds = 25.0
    ping_interval: PositiveSeconds = 25.0
    pong_timeout: PositiveSeconds = 10.0
    heartbeat_interval: PositiveSeconds = 15.0
    close_timeout: PositiveSeconds = 5.0
    look_interval: PositiveSeconds = 2.0
