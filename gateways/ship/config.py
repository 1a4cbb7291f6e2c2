"""The whole configuration of the log gateway: the service itself, and its pipelines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from gateways.service.secrets import masked
from gateways.service.service_settings import CommonServiceSettings
from gateways.service.values import Seconds
from gateways.ship.settings import ShipSettings
from gateways.ship.trial import TrialSettings


class ServiceSettings(CommonServiceSettings):
    """The table `[service]` of a config file: what is the same for all pipelines."""

    admin_address: str = Field(default="127.0.0.1:9117", description='the admin port; "" for none')
    tap: Literal["loopback", "any", "off"] = Field(
        default="loopback", description="who may watch events pass: this machine, anybody, nobody"
    )
    reload_interval: Seconds = Field(
        default=0.0,
        ge=0,
        le=86_400,
        description="look so often whether the file or a secret changed, and reload it; 0 waits for SIGHUP",
    )


@dataclass(frozen=True)
class ShipConfig:
    """Checked as a whole: the names of its pipelines are different.

    trials   tests of the pipelines' transforms, for `nsqgw ship test`
    secrets  what came from secret stores: never shown, wherever it stands
    """

    pipelines: tuple[ShipSettings, ...]
    service: ServiceSettings = field(default_factory=ServiceSettings)
    trials: tuple[TrialSettings, ...] = ()
    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    def shown(self) -> dict[str, object]:
        """For /config: as given, with secrets masked."""
        shown = {
            "service": self.service.model_dump(mode="json"),
            "pipelines": [pipeline.shown() for pipeline in self.pipelines],
        }
        return {key: masked(value, self.secrets) for key, value in shown.items()}
