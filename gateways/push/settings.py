"""The tables of push's config file that are not a dataclass of the gateway's own: defaults, bounds, units."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gateways.push.config import MAX_WINDOW
from gateways.push.policy import parse_policy
from gateways.push.routing import Route
from gateways.service.nsq_settings import NsqSettings
from gateways.service.service_settings import CommonServiceSettings
from gateways.service.values import Seconds
from nsqgw.protocol.names import check_channel, check_topic
from nsqgw.service.hosts import check_host_name
from nsqgw.service.origin import OriginPolicy
from nsqgw.service.settings import parse_address

MAX_PROCESSES = 256


class SourceSettings(NsqSettings):
    """The table `[nsq]`: where the messages come from."""

    channel: str | None = Field(
        default=None, description="to consume; by default an ephemeral one of each process"
    )
    max_in_flight: int = Field(
        default=1000, ge=1, le=1_000_000, description="messages of a topic on the way from nsqd"
    )
    window: Seconds = Field(
        default=0.0, ge=0, le=MAX_WINDOW, description="messages gathered for so long into one write a browser"
    )

    max_age: Seconds | None = Field(
        default=None,
        gt=0,
        description="messages published longer ago are not shown, such as the backlog of a channel",
    )

    @field_validator("channel")
    @classmethod
    def _check_channel(cls, value: str | None) -> str | None:
        return None if value is None else check_channel(value)


class ListenSettings(BaseModel):
    """The table `[listen]`: the port for browsers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str = Field(default="127.0.0.1:8080", description="host:port")
    allow_hosts: tuple[str, ...] = Field(default=(), description="further names it answers to")
    allow_origins: tuple[str, ...] = Field(
        default=(), description='pages of other hosts that may connect, such as "https://example.org"'
    )

    @field_validator("address")
    @classmethod
    def _check_address(cls, value: str) -> str:
        parse_address(value)
        return value

    @field_validator("allow_hosts")
    @classmethod
    def _check_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_host_name(name) for name in value)

    @field_validator("allow_origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        OriginPolicy(value)
        return value


class TopicSettings(BaseModel):
    """A table `[[topic]]`: one topic, and what browsers may do with it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="of the topic")
    slow: str = Field(
        default="disconnect",
        description="for browsers that lag: disconnect, drop-oldest, drop-new, conflate[:JSON_FIELD] "
        "or sample:MESSAGES_A_SECOND",
    )
    routes: tuple[str, ...] = Field(
        default=(),
        description="channels its messages go to, such as orders.{customer.id}, with fields of the JSON body "
        "and {topic}; without one the topic is the channel",
    )
    unrouted: str = Field(
        default="",
        description='a channel for messages that lack a field, by default <name>.unrouted, or "drop"',
    )
    publish: bool = Field(default=False, description="whether browsers may publish to it, over /connect")
    presence: bool = Field(default=False, description="whether browsers on /connect may know of each other")

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        return check_topic(value)

    @model_validator(mode="after")
    def _check_routes(self) -> TopicSettings:
        if self.unrouted and not self.routes:
            raise ValueError("unrouted is for topics with routes: add routes")
        self.channel_routes()
        return self

    def channel_routes(self) -> tuple[Route, ...]:
        """The routes as the gateway takes them."""
        return tuple(Route(self.name, template, self.unrouted) for template in self.routes)

    @field_validator("slow")
    @classmethod
    def _check_slow(cls, value: str) -> str:
        parse_policy(value)
        return value


class ServiceSettings(CommonServiceSettings):
    """The table `[service]`: the gateway as a program."""

    admin_address: str = Field(default="127.0.0.1:9118", description='the admin port; "" for none')
    drain_timeout: Seconds = Field(
        default=10.0, gt=0, le=3600, description="for browsers to leave at the end"
    )
    drain_delay: Seconds = Field(
        default=0.0,
        ge=0,
        le=600,
        description="of the drain: not ready any more, but serving, until load balancers have seen it",
    )
    processes: int = Field(
        default=1, ge=0, le=MAX_PROCESSES, description="that share the port; 0 for one a core"
    )
    event_loop: Literal["asyncio", "uvloop"] = Field(
        default="asyncio", description="uvloop takes less CPU a delivery, and the extra `uvloop`"
    )
