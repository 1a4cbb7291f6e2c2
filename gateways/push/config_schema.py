"""The JSON Schema of the config file (draft 2020-12), made from the models that read it: for editors."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from gateways.push.config_file import SECTIONS
from gateways.push.settings import ListenSettings, ServiceSettings, SourceSettings, TopicSettings
from gateways.service.schema_texts import REF, with_texts
from gateways.service.secrets import AnyStore


def config_schema() -> dict[str, Any]:
    """The schema of a file."""
    defs: dict[str, Any] = {}

    def of(kind: Any) -> dict[str, Any]:
        schema = TypeAdapter(kind).json_schema(ref_template=REF, mode="validation")
        defs.update(schema.pop("$defs", {}))
        return schema

    properties = {
        "nsq": of(SourceSettings),
        "listen": of(ListenSettings),
        "service": of(ServiceSettings),
        "secret": {"type": "object", "additionalProperties": of(AnyStore)},
        "topic": {"type": "array", "minItems": 1, "items": of(TopicSettings)},
        **{name: {**of(kind), "additionalProperties": False} for name, kind in SECTIONS.items()},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nsqgw push",
        "type": "object",
        "properties": {name: with_texts(each) for name, each in properties.items()},
        "additionalProperties": False,
        "$defs": {name: with_texts(each) for name, each in defs.items()},
    }
