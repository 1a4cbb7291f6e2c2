"""Whether a new configuration may take the place of the one in force: what is new in it is tried before.

A sink that runs already with the same settings is known, and not opened a second time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace

from gateways.service.probe import Finding
from gateways.ship.config import ShipConfig
from gateways.ship.named_sink import NamedSink
from gateways.ship.probe import probe
from gateways.ship.service import ShipService
from gateways.ship.settings import ShipSettings
from nsqgw.errors import ConfigError

logger = logging.getLogger(__name__)

Running = Mapping[str, tuple[ShipSettings, ShipService]]
"""The pipelines in force, by their names."""


async def check_replacement(config: ShipConfig, running: Running) -> None:
    """Try what `config` has and `running` has not, for at most `connect_timeout` each.

    Raises ConfigError for a pipeline that would not work, unless the one in its place does not either: then
    that is only told. Nothing that runs is touched.
    """
    coming = [each for each in config.pipelines if each.name not in running or running[each.name][0] != each]
    troubles = await asyncio.gather(*(_trouble(config, each, running) for each in coming))
    refused = []
    for settings, trouble in zip(coming, troubles, strict=True):
        if trouble is None:
            continue
        if settings.name in running and running[settings.name][1].ready() is not None:
            logger.warning("pipeline %s does not work yet: %s", settings.name, trouble)
        else:
            refused.append(f"pipeline {settings.name} would not work: {trouble}")
    if refused:
        raise ConfigError("; ".join(refused))


async def _trouble(config: ShipConfig, settings: ShipSettings, running: Running) -> str | None:
    """Why the pipeline would not work; None when it would."""
    findings = await probe(replace(config, pipelines=(_with_new_sinks(settings, running),)))
    sources = [each for each in findings if not _is_sink(each)]
    troubled = [each for each in findings if each.trouble is not None]
    if any(each.trouble is None for each in sources):  # one nsqd or nsqlookupd will do
        troubled = list(filter(_is_sink, troubled))
    return "; ".join(f"{each.what}: {each.trouble}" for each in troubled) or None


def _with_new_sinks(settings: ShipSettings, running: Running) -> ShipSettings:
    """The pipeline without the sinks that run already."""
    known = [sink.to for each, _ in running.values() for sink in _all_sinks(each)]
    new = [sink for sink in settings.sinks if sink.to not in known]
    dead_letter = settings.dead_letter
    if dead_letter is not None and dead_letter.to in known:
        dead_letter = None
    return settings.model_copy(update={"sinks": tuple(new), "dead_letter": dead_letter})


def _all_sinks(settings: ShipSettings) -> tuple[NamedSink, ...]:
    return settings.sinks if settings.dead_letter is None else (*settings.sinks, settings.dead_letter)


def _is_sink(finding: Finding) -> bool:
    return finding.what.startswith("sink ")
