"""docs/push-operation.md: the configuration is read, mistakes are told; docs/push-settings.md is current."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from gateways.push.config_file import load_program
from gateways.service.problems import BadConfigFile

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "push-operation.md").read_text()


def block(language: str) -> str:
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


def test_the_reference_is_that_of_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import push_reference

    remedy = "run .venv/bin/python tools/push_reference.py"
    assert push_reference.PAGE.read_text() == push_reference.page(), remedy
    for name in ("push_reference", "ship_reference"):
        sys.modules.pop(name)


def test_the_configuration_is_read(tmp_path: Path) -> None:
    file = tmp_path / "push.toml"
    file.write_text(block("toml"))
    program = load_program(file, environ={})
    assert program.config.topics == ("orders", "chat")
    assert program.service.processes == 0


def test_the_mistake_is_told_as_on_the_page(tmp_path: Path) -> None:
    file = tmp_path / "push.toml"
    file.write_text(block("toml").replace("conflate:", "conflat:"))
    with pytest.raises(BadConfigFile) as caught:
        load_program(file, environ={})
    assert str(caught.value).replace(f"{tmp_path}/", "") == block("text").strip()
