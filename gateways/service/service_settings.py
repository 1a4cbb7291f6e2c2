"""The table `[service]` of a config file, as far as it is the same for all gateways."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from gateways.service.values import Seconds
from nsqgw.service.hosts import check_host_name
from nsqgw.service.settings import parse_address


class CommonServiceSettings(BaseModel):
    """The admin port, the logs, and how long a start and an end may take."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    admin_address: str = Field(default="", description='the admin port; "" for none')
    allow_hosts: tuple[str, ...] = Field(default=(), description="further names the admin port answers to")
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
