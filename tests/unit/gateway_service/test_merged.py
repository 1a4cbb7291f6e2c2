"""Several config files as one, and where each of their mistakes stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateways.service.problems import BadConfigFile
from gateways.ship.config import ShipConfig
from gateways.ship.config_file import load_config

COMMON = '[nsq]\nnsqd_tcp_addresses = ["127.0.0.1:4150"]\n'


def pipeline(name: str, rest: str = "") -> str:
    return (
        f'[[pipeline]]\nname = "{name}"\ntopics = ["t"]\nchannel = "c"\nsinks = ["{name}"]\n{rest}'
        f'[sink.{name}]\ntype = "stdout"\n'
    )


def written(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text)
    return folder


def lines(folder: Path) -> list[str]:
    with pytest.raises(BadConfigFile) as caught:
        load_config(folder)
    return [line.replace(f"{folder}/", "") for line in caught.value.lines]


def test_a_folder_and_files_in_a_row_are_one_configuration(tmp_path: Path) -> None:
    folder = written(tmp_path, common=COMMON, b=pipeline("b"), a=pipeline("a"))
    (folder / "notes.txt").write_text("not this")
    config = load_config(folder)
    assert [each.name for each in config.pipelines] == ["a", "b"]
    files = [folder / f"{name}.toml" for name in ("b", "common", "a")]
    assert [each.name for each in load_config(files).pipelines] == ["b", "a"]
    assert isinstance(config, ShipConfig)


def test_mistakes_are_told_with_their_files(tmp_path: Path) -> None:
    bad = pipeline("two", "batch.max_agee = 1\n")
    folder = written(tmp_path, a=COMMON + pipeline("one"), b=pipeline("zero") + bad, c="[servise]\n")
    assert lines(folder) == [
        "b.toml:13: pipeline[1].batch.max_agee = 1: is no setting here; did you mean max_age?",
        "c.toml:1: servise: is no setting here; did you mean service?",
    ]


def test_what_two_files_say_is_a_mistake(tmp_path: Path) -> None:
    folder = written(tmp_path, a=COMMON + pipeline("one"), b='[sink.one]\ntype = "stdout"\n')
    (line,) = lines(folder)
    assert line == "a.toml:8: sink.one: is in b.toml, too: keep one of them (the other is in a.toml)"


def test_a_list_and_a_table_do_not_go_together(tmp_path: Path) -> None:
    folder = written(tmp_path, a=COMMON + pipeline("one"), b='[pipeline]\nname = "x"\n')
    (line,) = lines(folder)
    assert "pipeline" in line
    assert "is in b.toml, too" in line


def test_json_is_the_same(tmp_path: Path) -> None:
    pipelines = [{"name": "one", "topics": ["t"], "channel": "c", "sinks": ["s"]}]
    document = {"pipeline": pipelines, "sink": {"s": {"type": "stdout"}}}
    written(tmp_path, common=COMMON)
    file = tmp_path / "one.json"
    file.write_text(json.dumps(document))
    assert [each.name for each in load_config(tmp_path).pipelines] == ["one"]
    file.write_text(json.dumps(document).replace("stdout", "stdoot"))
    assert lines(tmp_path)[0].startswith('one.json:1: sink.s.type = "stdoot": must be one of')
    for text, words in (("{\n,}", "one.json:2: is no JSON: "), ("[]", "one.json:1: is no JSON object")):
        file.write_text(text)
        assert lines(tmp_path)[0].startswith(words)


def test_a_folder_without_files(tmp_path: Path) -> None:
    with pytest.raises(BadConfigFile, match="has no file"):
        load_config(tmp_path)


def test_a_syntax_error_names_its_file(tmp_path: Path) -> None:
    folder = written(tmp_path, a=COMMON, b="x = \n")
    (line,) = lines(folder)
    assert line.startswith("b.toml:1: is no TOML")


def test_what_is_too_deep_names_its_file(tmp_path: Path) -> None:
    (line,) = lines(written(tmp_path, a=COMMON, b="x = " + "[" * 20_000))
    assert line == "b.toml: is too deep: write fewer lists inside lists"
