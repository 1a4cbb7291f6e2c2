"""A config file read into a ShipConfig: TOML, then the environment, then the models; all problems at once.

[nsq]                    nsqds, nsqlookupds, TLS and secrets, for all pipelines
[service]                admin port, logs, time-outs
[[pipeline]]             topics on a channel to sinks; batch.* and retry.* stand for batch_* and retry_*
[sink.NAME]              one sink: its type, what the type needs, and what any sink may have
[[test]]                 for `nsqgw ship test`
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gateways.service.config_file import Tables, load
from gateways.service.nsq_settings import NsqSettings
from gateways.service.problems import Problem, problems_of, unknown_key
from gateways.service.toml_lines import Path
from gateways.ship.config import ServiceSettings, ShipConfig
from gateways.ship.destination import SinkSettings
from gateways.ship.named_sink import NamedSink
from gateways.ship.settings import ShipSettings
from gateways.ship.trial import TrialSettings

TABLES = ("nsq", "service", "pipeline", "sink", "test")

GROUPS = ("batch", "retry")
"""Tables inside a pipeline whose keys stand for settings that begin with their name."""

NOT_IN_PIPELINE = frozenset(
    {"access", "nsqd_tcp_addresses", "lookupd_http_addresses", "connect_timeout", "drain_timeout"}
)
"""Settings of a pipeline that come from [nsq] and [service]."""

OF_ANY_SINK = tuple(name for name in NamedSink.model_fields if name not in ("name", "to"))
"""Settings of a sink whatever its type."""

_STAND_INS: dict[str, Any] = {
    "lookupd_http_addresses": ("127.0.0.1:4161",),
    "sinks": [{"to": {"type": "stdout"}}],
}
"""For what has problems of its own, so that those of the pipeline are told beside them."""

_SINK: TypeAdapter[Any] = TypeAdapter(SinkSettings)


def load_config(
    paths: FilePath | Sequence[FilePath],
    service: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> ShipConfig:
    """The configuration in these files and folders; `service` has precedence over the table of that name.

    Raises BadConfigFile with all that is wrong.
    """
    return load(paths, lambda tables: _Reader(tables).config(service or {}), environ)


class _Reader:
    """One reading of one file's tables; problems are left with them."""

    def __init__(self, tables: Tables) -> None:
        self.problems = tables.problems
        self._file = tables

    def config(self, service: Mapping[str, Any]) -> ShipConfig | None:
        """The configuration, None when there are problems."""
        self._file.check_names(TABLES)
        given = {**self._file.table("service"), **service}
        settings = self._file.model(ServiceSettings, given, ("service",))
        nsq = self._file.model(NsqSettings, self._file.table("nsq"), ("nsq",))
        sinks = self._sinks()
        common = self._common(nsq, settings) if nsq is not None and settings is not None else None
        pipelines = [
            self._pipeline(index, table, sinks, common) for index, table in enumerate(self._pipelines())
        ]
        self._check_names(pipelines)
        trials = self._trials([each.name for each in pipelines if each is not None])
        if self.problems or settings is None:
            return None
        found = tuple(each for each in pipelines if each is not None)
        return ShipConfig(found, settings, trials, self._file.secrets)

    # -- tables

    def _trials(self, pipelines: list[str]) -> tuple[TrialSettings, ...]:
        found = [
            self._file.model(TrialSettings, table, ("test", index))
            for index, table in enumerate(self._file.tables("test"))
        ]
        for index, trial in enumerate(found):
            if trial is not None and trial.pipeline not in pipelines and not self.problems:
                text = f"there is no pipeline of that name; there are {', '.join(pipelines)}"
                self.problems.append(Problem(("test", index, "pipeline"), text))
        return tuple(trial for trial in found if trial is not None)

    def _pipelines(self) -> list[dict[str, Any]]:
        tables = self._file.tables("pipeline")
        if not tables:
            self.problems.append(Problem((), "has no pipeline: add a [[pipeline]] with topics and sinks"))
        return tables

    def _common(self, nsq: NsqSettings, service: ServiceSettings) -> dict[str, Any] | None:
        """What all pipelines have of [nsq] and [service]."""
        access = self._file.access(nsq)
        if access is None:
            return None
        return {
            "nsqd_tcp_addresses": nsq.nsqd_tcp_addresses,
            "lookupd_http_addresses": nsq.lookupd_http_addresses,
            "access": access,
            "connect_timeout": service.connect_timeout,
            "drain_timeout": service.drain_timeout,
        }

    def _sinks(self) -> dict[str, NamedSink | None]:
        """Each by its name; None for those with problems, which are told already."""
        return {name: self._sink(name, table) for name, table in self._file.table("sink").items()}

    def _sink(self, name: str, table: Any) -> NamedSink | None:
        path = ("sink", name)
        if not isinstance(table, dict):
            self.problems.append(Problem(path, f"must be a table: write [sink.{name}]"))
            return None
        common = {key: value for key, value in table.items() if key in OF_ANY_SINK}
        settings = {key: value for key, value in table.items() if key not in common}
        try:
            to = _SINK.validate_python(settings)
        except ValidationError as error:
            self.problems += problems_of(error, path, settings, sink_keys(str(settings.get("type"))))
            return None
        return self._file.model(NamedSink, {"name": name, "to": to, **common}, path)

    def _pipeline(
        self,
        index: int,
        table: dict[str, Any],
        sinks: Mapping[str, NamedSink | None],
        common: Mapping[str, Any] | None,
    ) -> ShipSettings | None:
        path = ("pipeline", index)
        values, written = self._flattened(path, table)
        chosen = self._chosen(path, values.get("sinks", ()), sinks)
        if "dead_letter" in values:
            values["dead_letter"] = self._named((*path, "dead_letter"), values["dead_letter"], sinks)
        try:
            return ShipSettings.model_validate(
                {**values, **(common or _STAND_INS), "sinks": chosen or _STAND_INS["sinks"]}
            )
        except ValidationError as error:
            for problem in problems_of(error, (), values, ()):
                key = written.get(str(problem.path[0]), problem.path[:1]) if problem.path else ()
                self.problems.append(Problem((*path, *key, *problem.path[1:]), problem.text))
            return None

    def _flattened(self, path: Path, table: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Path]]:
        """The settings by their names in the model, and where each is written in the table."""
        values: dict[str, Any] = {}
        written: dict[str, Path] = {}
        for key, value in table.items():
            inner = value if key in GROUPS and isinstance(value, dict) else None
            for name, each, where in (
                [(key, value, (key,))]
                if inner is None
                else [(f"{key}_{part}", each, (key, part)) for part, each in inner.items()]
            ):
                if name in pipeline_keys() and (inner is not None or not name.startswith(GROUPS)):
                    values[name], written[name] = each, where
                else:
                    self.problems.append(unknown_key((*path, *where), _keys_beside(where)))
        return values, written

    def _chosen(
        self, path: Path, names: Any, sinks: Mapping[str, NamedSink | None]
    ) -> list[NamedSink] | None:
        """The sinks that a pipeline names; None when one of them cannot be used."""
        if not isinstance(names, list | tuple) or not names:
            self.problems.append(Problem((*path, "sinks"), 'must name sinks, such as ["archive"]'))
            return None
        chosen = [self._named((*path, "sinks"), name, sinks) for name in dict.fromkeys(map(str, names))]
        return None if None in chosen else [sink for sink in chosen if sink is not None]

    def _named(self, path: Path, name: Any, sinks: Mapping[str, NamedSink | None]) -> NamedSink | None:
        """The sink of that name; None when there is none, which is told, or when it has problems."""
        if not isinstance(name, str) or name not in sinks:
            known = ", ".join(sinks) or "none"
            self.problems.append(Problem(path, f"there is no [sink.{name}]; there are {known}"))
            return None
        return sinks[name]

    def _check_names(self, pipelines: list[ShipSettings | None]) -> None:
        names = [pipeline and pipeline.name for pipeline in pipelines]
        for index, name in enumerate(names):
            if name is not None and name in names[:index]:
                text = f"another pipeline is called {name}, too: give each a name of its own"
                self.problems.append(Problem(("pipeline", index, "name"), text))


def pipeline_keys() -> set[str]:
    """The settings of the model that a [[pipeline]] may have."""
    return set(ShipSettings.model_fields) - NOT_IN_PIPELINE


def sink_keys(kind: str) -> list[str]:
    """The keys of a [sink.NAME] of this type; none for a type there is none of."""
    schema = _SINK.json_schema()
    name = schema["discriminator"]["mapping"].get(kind, "").rpartition("/")[2]
    return [*OF_ANY_SINK, *schema["$defs"][name]["properties"]] if name else []


def _keys_beside(where: Path) -> set[str]:
    """What could be written in place of the last key of `where`, inside a pipeline."""
    if len(where) == 2:
        start = f"{where[0]}_"
        return {name.removeprefix(start) for name in pipeline_keys() if name.startswith(start)}
    return {name for name in pipeline_keys() if not name.startswith(GROUPS)} | set(GROUPS)
