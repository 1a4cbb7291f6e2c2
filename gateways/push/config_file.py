"""A config file read into the settings of `nsqgw push`; all problems are told at once.

[nsq]         nsqds, nsqlookupds, TLS and secrets towards them, the channel
[listen]      the port for browsers
[service]     admin port, logs, time-outs, processes
[[topic]]     one topic each, and what browsers may do with it
SECTIONS      each a dataclass that PushConfig has under the same name
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateways.push.access.security import Security
from gateways.push.channel import ChannelLimits
from gateways.push.config import PushConfig
from gateways.push.history import HistoryLimits
from gateways.push.limits import Limits
from gateways.push.policy import parse_policy
from gateways.push.push_stream.settings import PushStreamSettings
from gateways.push.settings import ListenSettings, ServiceSettings, SourceSettings, TopicSettings
from gateways.push.shared.settings import SharedSettings
from gateways.service.config_file import Tables, load
from gateways.service.problems import Problem
from nsqgw.errors import ConfigError

SECTIONS: dict[str, type[Any]] = {
    "limits": Limits,
    "channels": ChannelLimits,
    "history": HistoryLimits,
    "shared": SharedSettings,
    "security": Security,
    "push_stream": PushStreamSettings,
}
"""Tables that are dataclasses, with the fields as keys."""

TABLES = ("nsq", "listen", "service", "topic", *SECTIONS)


@dataclass(frozen=True)
class PushProgram:
    """What a config file, or the flags, make of the gateway and the program around it."""

    config: PushConfig
    service: ServiceSettings = field(default_factory=ServiceSettings)

    def __post_init__(self) -> None:
        config = self.config
        if self.service.processes != 1 and config.channel is not None and not config.shared.url:
            raise ConfigError(
                f"{self.service.processes or 'several'} processes on channel {config.channel!r} would get "
                "a part of the messages each: leave the channel out, or set a shared history (--redis-url)"
            )


def load_program(
    path: Path, service: Mapping[str, Any] | None = None, environ: Mapping[str, str] = os.environ
) -> PushProgram:
    """The settings in the file at `path`; `service` has precedence over its table of that name.

    Raises BadConfigFile with all that is wrong.
    """
    return load(path, lambda tables: _read(tables, service or {}), environ)


def _read(tables: Tables, given: Mapping[str, Any]) -> PushProgram | None:
    tables.check_names(TABLES)
    service = tables.model(ServiceSettings, {**tables.table("service"), **given}, ("service",))
    nsq = tables.model(SourceSettings, tables.table("nsq"), ("nsq",))
    access = tables.access(nsq) if nsq is not None else None
    listen = tables.model(ListenSettings, tables.table("listen"), ("listen",))
    sections: dict[str, Any] = {name: tables.section(cls, name) for name, cls in SECTIONS.items()}
    topics = _topics(tables)
    if tables.problems or service is None or nsq is None or access is None or listen is None:
        return None
    try:
        config = PushConfig(
            topics=tuple(topic.name for topic in topics),
            listen=listen.address,
            allow_hosts=listen.allow_hosts,
            allow_origins=listen.allow_origins,
            **nsq.model_dump(include={"nsqd_tcp_addresses", "lookupd_http_addresses"}),
            access=access,
            channel=nsq.channel,
            max_in_flight=nsq.max_in_flight,
            window=nsq.window,
            max_age=math.inf if nsq.max_age is None else nsq.max_age,
            connect_timeout=service.connect_timeout,
            drain_timeout=service.drain_timeout,
            drain_delay=service.drain_delay,
            routes=tuple(route for topic in topics for route in topic.channel_routes()),
            policies={topic.name: parse_policy(topic.slow) for topic in topics},
            publish_topics=tuple(topic.name for topic in topics if topic.publish),
            presence_topics=tuple(topic.name for topic in topics if topic.presence),
            **sections,
        )
        program = PushProgram(config, service)
    except ConfigError as error:
        tables.problems.append(Problem((), f"cannot be used: {error}"))
        return None
    return program


def _topics(tables: Tables) -> list[TopicSettings]:
    """Those without problems."""
    given = tables.tables("topic")
    if not given and not tables.problems:
        tables.problems.append(Problem((), "has no topic: add a [[topic]] with a name"))
    read = [tables.model(TopicSettings, table, ("topic", index)) for index, table in enumerate(given)]
    names = [topic and topic.name for topic in read]
    for index, name in enumerate(names):
        if name is not None and name in names[:index]:
            text = "stands above, too: make one [[topic]] of them"
            tables.problems.append(Problem(("topic", index, "name"), text))
    return [topic for topic in read if topic is not None]
