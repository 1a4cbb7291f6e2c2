"""The JSON Schema of push's config files agrees with what reads them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gateways.push.config_schema import config_schema

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = Path(__file__).parents[3] / "deploy" / "push.toml"


def document() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text())


BAD: list[dict[str, Any]] = [{"limits": {"max_conections": 1}}, {"listen": {"address": 1}}, {"topics": []}]


def test_a_good_file_is_good() -> None:
    limits = {"max_queue_bytes": "2MiB", "ping_interval": 20}
    jsonschema.validate({**document(), "limits": limits}, config_schema())


@pytest.mark.parametrize("table", BAD)
def test_a_bad_one_is_not(table: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document(), **table}, config_schema())
