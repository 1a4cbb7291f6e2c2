"""A configuration as the text of a config file that says the same: what differs from the defaults."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, SecretStr

from gateways.access import NsqAccess
from gateways.ship.config import ShipConfig
from gateways.ship.config_file import GROUPS, NOT_IN_PIPELINE
from gateways.ship.named_sink import NamedSink
from gateways.ship.settings import ShipSettings
from nsqgw.config import TlsConfig


def config_text(config: ShipConfig) -> str:
    """The file. Secrets stand in it as they are."""
    first = config.pipelines[0]
    service = config.service.model_dump(exclude_defaults=True)
    tables = (
        [_table("[nsq]", _nsq(first)), _table("[service]", service)]
        if service
        else [_table("[nsq]", _nsq(first))]
    )
    for pipeline in config.pipelines:
        tables.append(_table("[[pipeline]]", _pipeline(pipeline)))
        tables += [_table("[[pipeline.transforms]]", _typed(each)) for each in pipeline.transforms]
    named = {_name(sink): sink for pipeline in config.pipelines for sink in _sinks(pipeline)}
    tables += [_table(f"[sink.{toml_value(name)}]", _sink(sink)) for name, sink in named.items()]
    return "\n".join(tables)


def toml_value(value: Any) -> str:
    """A value in TOML; a dollar in a text is doubled, for it to be none of the environment's."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value.replace("$", "$$"), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        pairs = ", ".join(f"{toml_value(str(key))} = {toml_value(each)}" for key, each in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    return f"{value:g}" if isinstance(value, float) and value.is_integer() else str(value)


def _table(head: str, values: dict[str, Any]) -> str:
    return "\n".join(
        [head, *(f"{key} = {toml_value(value)}" for key, value in values.items() if value is not None), ""]
    )


def _nsq(settings: ShipSettings) -> dict[str, Any]:
    access, values = (
        settings.access,
        {
            "nsqd_tcp_addresses": settings.nsqd_tcp_addresses or None,
            "lookupd_http_addresses": settings.lookupd_http_addresses or None,
        },
    )
    return {**values, **_access(access)}


def _access(access: NsqAccess) -> dict[str, Any]:
    tls, lookupd_tls = (_tls(each) for each in (access.tls, access.lookupd_tls))
    return {
        "tls": tls,
        "auth_secret": access.auth_secret,
        "lookupd_tls": lookupd_tls,
        "lookupd_auth_secret": access.lookupd_auth_secret,
    }


def _tls(tls: TlsConfig | None) -> dict[str, Any] | None:
    if tls is None:
        return None
    defaults = asdict(TlsConfig())
    return {key: value for key, value in asdict(tls).items() if value != defaults[key]}


def _pipeline(settings: ShipSettings) -> dict[str, Any]:
    left_out = {*NOT_IN_PIPELINE, "sinks", "dead_letter", "transforms"}
    values: dict[str, Any] = {}
    for name, value in settings.model_dump(exclude_defaults=True, exclude=left_out).items():
        values[name.replace("_", ".", 1) if name.startswith(GROUPS) else name] = value
    values["sinks"] = [_name(sink) for sink in settings.sinks]
    if settings.dead_letter is not None:
        values["dead_letter"] = _name(settings.dead_letter)
    return values


def _sinks(settings: ShipSettings) -> list[NamedSink]:
    return [*settings.sinks, *([settings.dead_letter] if settings.dead_letter is not None else [])]


def _name(sink: NamedSink) -> str:
    return sink.name or "main"


def _sink(sink: NamedSink) -> dict[str, Any]:
    return {**_typed(sink.to), **sink.model_dump(exclude_defaults=True, exclude={"name", "to"})}


def _typed(settings: BaseModel) -> dict[str, Any]:
    """The settings with their `type`, which is a default, too."""
    return {"type": settings.type, **settings.model_dump(exclude_defaults=True)}  # type: ignore[attr-defined]  # all have
