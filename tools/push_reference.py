"""Write docs/push-settings.md, the reference of push's config file, from the models that read it.

    .venv/bin/python tools/push_reference.py

What a setting means is its description, or its line in the docstring of its model or dataclass.
"""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel, Field, create_model
from ship_reference import section

from gateways.push.config_file import SECTIONS
from gateways.push.settings import ListenSettings, ServiceSettings, SourceSettings, TopicSettings
from gateways.service.nsq_settings import TlsSettings

PAGE = Path(__file__).parents[1] / "docs" / "push-settings.md"

_HEAD = """\
# Settings of `nsqgw push`

Made from the models that read the file, by `tools/push_reference.py`; how to use it says
[push-operation.md](push-operation.md). Durations are texts such as `"2s"` or numbers of seconds, sizes
texts such as `"5MB"` or numbers of bytes. In every text `${NAME}` is the environment's, `${NAME:-text}` with
a default, `$$` a dollar, and `SECRET[NAME.KEY]` what `[secret.NAME]` has under that key, as in
[ship-settings.md](ship-settings.md). An unknown key is an error.
"""


def page() -> str:
    """The whole page."""
    models: list[tuple[str, type[BaseModel]]] = [
        ("[nsq]", SourceSettings),
        ("tls and lookupd_tls in [nsq]", TlsSettings),
        ("[listen]", ListenSettings),
        ("[service]", ServiceSettings),
        ("[[topic]]", TopicSettings),
    ]
    parts = [section(title, _summary(model), model, model.model_fields) for title, model in models]
    return "\n".join([_HEAD, *parts, *(_of_dataclass(f"[{name}]", cls) for name, cls in SECTIONS.items())])


def _of_dataclass(title: str, cls: type[Any]) -> str:
    """Its fields; those that are dataclasses themselves are tables of their own, below."""
    hints = get_type_hints(cls, include_extras=True)
    simple = [each for each in fields(cls) if not is_dataclass(hints[each.name])]
    plain = {each.name: (hints[each.name], _field(each)) for each in simple}
    model: type[BaseModel] = create_model(cls.__name__, **plain)  # type: ignore[call-overload]  # by name
    model.__doc__ = cls.__doc__
    inner = [(each.name, hints[each.name]) for each in fields(cls) if is_dataclass(hints[each.name])]
    below = [_of_dataclass(f"{title[:-1]}.{name}]", kind) for name, kind in inner]
    return "\n".join([section(title, _summary(cls), model, model.model_fields), *below])


def _field(field: Any) -> Any:
    default = field.default if field.default is not MISSING else field.default_factory()
    return Field(default=default)


def _summary(cls: type[Any]) -> str:
    return (cls.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")


if __name__ == "__main__":
    PAGE.write_text(page())
