"""Where the URLs of push-stream are, and how messages are written there."""

from __future__ import annotations

from dataclasses import dataclass

from gateways.push.push_stream.template import check_template
from nsqgw.errors import ConfigError


@dataclass(frozen=True)
class PushStreamSettings:
    """Wrong values raise ConfigError. Paths of subscribers end with a slash, what follows are channels.

    on           whether they are served
    template     of each message, such as ~text~, or json for what pushstream.js reads
    stream       the path of streaming
    events       that of EventSource
    poll         that of long polling
    websocket    that of WebSocket
    publish      that of publishers
    statistics   that of statistics
    deleted      what subscribers read when their channel is deleted
    """

    on: bool = False
    template: str = "~text~"
    stream: str = "/sub/"
    events: str = "/ev/"
    poll: str = "/lp/"
    websocket: str = "/ws/"
    publish: str = "/pub"
    statistics: str = "/channels-stats"
    deleted: str = "Channel deleted"

    def __post_init__(self) -> None:
        check_template(self.template)
        for name in PATHS:
            path = getattr(self, name)
            if not path.startswith("/") or (name in SUBSCRIBERS and not path.endswith("/")):
                raise ConfigError(
                    f"path {path!r} for {name} must begin with a slash, and end so for subscribers"
                )
        if len({getattr(self, name) for name in PATHS}) < len(PATHS):
            raise ConfigError("two of push-stream's paths are the same: each needs one of its own")


SUBSCRIBERS = ("stream", "events", "poll", "websocket")
PATHS = (*SUBSCRIBERS, "publish", "statistics")
