"""The JSON Schema of the config file (draft 2020-12), made from the models that read it: for editors."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from gateways.service.nsq_settings import NsqSettings
from gateways.service.schema_texts import REF, with_texts
from gateways.service.secrets import AnyStore
from gateways.ship.config import ServiceSettings
from gateways.ship.config_file import GROUPS, NOT_IN_PIPELINE
from gateways.ship.destination import SinkSettings
from gateways.ship.named_sink import NamedSink
from gateways.ship.settings import ShipSettings
from gateways.ship.trial import TrialSettings


def config_schema() -> dict[str, Any]:
    """The schema of a file; nothing has to be in it, since a configuration may be in several."""
    defs: dict[str, Any] = {}

    def of(kind: Any) -> dict[str, Any]:
        schema = TypeAdapter(kind).json_schema(ref_template=REF, mode="validation")
        defs.update(schema.pop("$defs", {}))
        return schema

    pipeline, sink = _pipeline(of(ShipSettings)), of(SinkSettings)
    common = {key: value for key, value in of(NamedSink)["properties"].items() if key not in ("name", "to")}
    for ref in sink["discriminator"]["mapping"].values():
        defs[ref.rpartition("/")[2]]["properties"].update(common)
    del sink["discriminator"]  # which is OpenAPI's; `type` tells them apart
    properties = {
        "nsq": of(NsqSettings),
        "service": of(ServiceSettings),
        "secret": {"type": "object", "additionalProperties": of(AnyStore)},
        "pipeline": {"type": "array", "minItems": 1, "items": pipeline},
        "sink": {"type": "object", "additionalProperties": sink},
        "test": {"type": "array", "items": of(TrialSettings)},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nsqgw ship",
        "type": "object",
        "properties": {name: with_texts(each) for name, each in properties.items()},
        "additionalProperties": False,
        "$defs": {name: with_texts(each) for name, each in defs.items()},
    }


def _pipeline(schema: dict[str, Any]) -> dict[str, Any]:
    """As it is written: groups are tables, sinks are names."""
    properties: dict[str, Any] = {}
    for name, each in schema["properties"].items():
        group, _, rest = name.partition("_")
        if name in NOT_IN_PIPELINE:
            continue
        if group in GROUPS:
            table = properties.setdefault(
                group, {"type": "object", "properties": {}, "additionalProperties": False}
            )
            table["properties"][rest] = each
        else:
            properties[name] = each
    properties["sinks"] = {"type": "array", "minItems": 1, "items": {"type": "string"}}
    properties["dead_letter"] = {"type": "string"}
    required = [name for name in schema["required"] if name in properties]
    return {**schema, "properties": properties, "required": required}
