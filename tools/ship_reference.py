"""Write docs/ship-settings.md, the reference of ship's config file, from the models that read it.

    .venv/bin/python tools/ship_reference.py

What a setting means is its description, or its line in the docstring of its model.
"""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from gateways.service.nsq_settings import NsqSettings, TlsSettings
from gateways.service.secrets import AnyStore
from gateways.service.values import Bytes, PositiveBytes, PositiveSeconds, Seconds
from gateways.ship.config import ServiceSettings
from gateways.ship.config_file import GROUPS, OF_ANY_SINK, pipeline_keys
from gateways.ship.destination import SinkSettings
from gateways.ship.meaning import meaning, summary
from gateways.ship.named_sink import NamedSink, SinkBatch, SinkRate, SinkRetry
from gateways.ship.settings import ShipSettings
from gateways.ship.sinks.oauth2 import OAuth2Settings
from gateways.ship.transforms.chain import TransformSettings
from gateways.ship.trial import TrialSettings
from nsqgw.service.settings import size_text

PAGE = Path(__file__).parents[1] / "docs" / "ship-settings.md"

_HEAD = """\
# Settings of `nsqgw ship`

Made from the models that read the file, by `tools/ship_reference.py`; [ship.md](ship.md) says how to use it.
Durations are texts such as `"2s"` or numbers of seconds, sizes texts such as `"5MB"` or numbers of bytes. A
secret is a text, or `"file:PATH"`, or at `KEY_file` in place of KEY just the path. In every text `${NAME}` is
the environment's, `${NAME:-text}` with a default, `$$` a dollar, and `SECRET[NAME.KEY]` what `[secret.NAME]`
has under that key. An unknown key is an error.
"""

_NAMES = {"sinks": "names of sinks", "dead_letter": "name of a sink"}
"""Values of a pipeline that are tables in the model and names in the file."""

_UNITS = (
    (Seconds, "duration"),
    (PositiveSeconds, "duration"),
    (Bytes, "size"),
    (PositiveBytes, "size"),
)


def page() -> str:
    """The whole page."""
    pipeline = {name: field for name, field in ShipSettings.model_fields.items() if name in pipeline_keys()}
    parts = [
        _HEAD,
        section("[nsq]", "Where messages come from.", NsqSettings, NsqSettings.model_fields),
        section("tls and lookupd_tls in [nsq]", "Tables.", TlsSettings, TlsSettings.model_fields),
        section("[service]", "The same for all pipelines.", ServiceSettings, ServiceSettings.model_fields),
        section("[[pipeline]]", "One for each way of messages.", ShipSettings, pipeline),
        section(
            "[sink.NAME]",
            "In every sink, beside what its type has:",
            NamedSink,
            {name: NamedSink.model_fields[name] for name in OF_ANY_SINK},
        ),
        *(
            section(f"{name} in [sink.NAME]", summary(model), model, model.model_fields)
            for name, model in (("batch", SinkBatch), ("retry", SinkRetry), ("rate", SinkRate))
        ),
    ]
    tables = "Of sinks over HTTP."
    parts.append(section("oauth2 in [sink.NAME]", tables, OAuth2Settings, OAuth2Settings.model_fields))
    parts.append(section("[[test]]", summary(TrialSettings), TrialSettings, TrialSettings.model_fields))
    parts += [_typed("[secret.NAME]", model) for model in _members(AnyStore)]
    parts += [_typed("[sink.NAME]", model) for model in _members(SinkSettings)]
    parts += [_typed("transforms", model) for model in _members(TransformSettings)]
    return "\n".join(parts)


def _typed(place: str, model: type[BaseModel]) -> str:
    kind = get_args(model.model_fields["type"].annotation)[0]
    rest = {name: field for name, field in model.model_fields.items() if name != "type"}
    return section(f'{place}: type = "{kind}"', summary(model), model, rest)


def section(title: str, text: str, model: type[BaseModel], fields: dict[str, FieldInfo]) -> str:
    """A table of settings below its title."""
    rows = [_row(model, name, field) for name, field in fields.items()]
    table = ["", "| key | value | default | |", "|---|---|---|---|", *rows] if rows else []
    return "\n".join([f"## `{title}`", "", text, *table, ""])


def _row(model: type[BaseModel], name: str, field: FieldInfo) -> str:
    kind = _NAMES.get(name, _kind(field)) if model is ShipSettings else _kind(field)
    cells = (f"`{_written(model, name)}`", kind, _default(field), meaning(model, name))
    return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "\\<") for cell in cells) + " |"


def _written(model: type[BaseModel], name: str) -> str:
    """The key as it stands in the file."""
    group = name.partition("_")[0]
    return name.replace("_", ".", 1) if model is ShipSettings and group in GROUPS else name


def _members(union: Any) -> list[type[BaseModel]]:
    """The models of a discriminated union."""
    inner = get_args(union)[0]
    return list(get_args(inner)) or [inner]


def _kind(field: FieldInfo) -> str:
    for alias, word in _UNITS:
        if get_args(alias)[1] in field.metadata:  # the parser, which no other kind has
            return word
    return _word(field.annotation)


def _word(annotation: Any) -> str:
    """The kind of value, as people call it."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f'`"{value}"`' for value in inner)
    if origin in (Union, types.UnionType):
        words = dict.fromkeys(_word(each) for each in inner if each is not type(None))
        return " or ".join(words)
    if origin is tuple:
        return f"list of {_word(inner[0])}s"
    if origin is dict or annotation is dict:
        return "table"
    if hasattr(annotation, "__metadata__"):
        return next((word for alias, word in _UNITS if annotation == alias), _word(inner[0]))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    words = {str: "text", bool: "true or false", int: "number", float: "number", SecretStr: "secret"}
    return words.get(annotation, "text")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value and _kind(field) == "size":
        return f'`"{size_text(value)}"`'
    if value and _kind(field) == "duration":
        return f'`"{value:g}s"`'
    if isinstance(value, tuple):
        value = list(value)
    if value in (None, "", [], {}) or isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    text = f'"{value}"' if isinstance(value, str) else str(value).replace("'", '"')
    return f"`{text}`"


if __name__ == "__main__":
    PAGE.write_text(page())
