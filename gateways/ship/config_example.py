"""A config file to begin with, for one type of sink: what must be set, and all the rest as comments."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gateways.ship.config_text import toml_value
from gateways.ship.destination import SinkSettings
from gateways.ship.meaning import meaning, summary

_HEAD = """\
# nsqgw ship --config FILE; check it first: nsqgw ship validate FILE
[nsq]
nsqd_tcp_addresses = ["127.0.0.1:4150"]
# lookupd_http_addresses = ["127.0.0.1:4161"]

[[pipeline]]
name = "{kind}"
topics = ["events"]
channel = "ship"
sinks = ["main"]
# dead_letter = "dead"

# {summary}
[sink.main]
type = "{kind}"
"""

_SAMPLES: dict[str, Any] = {
    "address": "127.0.0.1:6514",
    "api_key": "0123456789abcdef",
    "dsn": "postgresql://ship@127.0.0.1/logs",
    "path": "/var/log/nsq/{topic}.log",
    "style": "nchan",
    "table": "logs",
    "token": "0123456789abcdef",
    "url": "https://logs.example.com",
}
_OF_KINDS: dict[str, dict[str, Any]] = {
    "nginx": {"url": "http://127.0.0.1/pub?id={channel}"},
    "nsq": {"nsqd_tcp_addresses": ["127.0.0.1:4250"]},
    "redis": {"url": "redis://127.0.0.1:6379"},
    "s3": {"url": "https://s3.example.com/bucket"},
    "sqlite": {"path": "/var/lib/nsqgw/events.db"},
}
"""Values for what has to be set, by type and setting."""


def kinds() -> dict[str, type[BaseModel]]:
    """The settings of all types of sinks."""
    union = get_args(SinkSettings)[0]
    return {model.model_fields["type"].default: model for model in get_args(union)}


def samples(kind: str) -> dict[str, Any]:
    """The least that a sink of this type needs."""
    required = [name for name, field in kinds()[kind].model_fields.items() if field.is_required()]
    own = _OF_KINDS.get(kind, {})
    return {**{name: _SAMPLES[name] for name in required}, **own}


def example(kind: str) -> str:
    """The file for a sink of this type."""
    model, given = kinds()[kind], samples(kind)
    lines = [_HEAD.format(kind=kind, summary=summary(model))]
    for name, field in model.model_fields.items():
        if name == "type":
            continue
        lines += [f"# {text}\n" for text in [meaning(model, name)] if text]
        lines.append(f"{name} = {toml_value(given[name])}\n" if name in given else _commented(name, field))
    return "".join(lines)


def _commented(name: str, field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if isinstance(default, BaseModel):
        default = default.model_dump(mode="json", exclude_defaults=True)
    return f"# {name} = {toml_value(default)}\n" if default is not None else f"# {name} =\n"
