"""The whole configuration of the log gateway: the service itself, and its pipelines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from gateways.ship.settings import ShipSettings
from gateways.ship.trial import TrialSettings
from gateways.ship.values import Seconds
from nsqgw.service.hosts import check_host_name
from nsqgw.service.settings import parse_address

EXIT_CONFIG = 78
"""Of a file that cannot be used (EX_CONFIG of sysexits.h): starting again will not help."""


class ServiceSettings(BaseModel):
    """The table `[service]` of a config file: what is the same for all pipelines."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    admin_address: str = Field(default="127.0.0.1:9117", description='the admin port; "" for none')
    allow_hosts: tuple[str, ...] = Field(default=(), description="further names the admin port answers to")
    tap: Literal["loopback", "any", "off"] = Field(
        default="loopback", description="who may watch events pass: this machine, anybody, nobody"
    )
    connect_timeout: Seconds = Field(
        default=10.0, gt=0, le=3600, description="give up the start when nothing answers by then"
    )
    drain_timeout: Seconds = Field(default=25.0, gt=0, le=3600, description="for stopping in order")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="least level")
    log_format: Literal["logfmt", "json"] = Field(default="logfmt", description="of log lines")

    @field_validator("admin_address")
    @classmethod
    def _check_address(cls, value: str) -> str:
        if value:
            parse_address(value)
        return value

    @field_validator("allow_hosts")
    @classmethod
    def _check_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_host_name(name) for name in value)


@dataclass(frozen=True)
class ShipConfig:
    """Checked as a whole: the names of its pipelines are different.

    trials  tests of the pipelines' transforms, for `nsqgw ship test`
    """

    pipelines: tuple[ShipSettings, ...]
    service: ServiceSettings = field(default_factory=ServiceSettings)
    trials: tuple[TrialSettings, ...] = ()

    def shown(self) -> dict[str, object]:
        """For /config: as given, with secrets masked."""
        return {
            "service": self.service.model_dump(mode="json"),
            "pipelines": [pipeline.shown() for pipeline in self.pipelines],
        }
