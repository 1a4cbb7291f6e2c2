"""Tests of transforms in a config file, and the command that runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateways.cli.main import main

CONFIG = """\
[nsq]
nsqd_tcp_addresses = ["127.0.0.1:1"]
[sink.out]
type = "stdout"
[[pipeline]]
name = "shop"
topics = ["orders"]
channel = "c"
sinks = ["out"]
transforms = [
  { type = "decode", format = "json" },
  { type = "filter", where = "order > 5" },
  { type = "remove", fields = ["card"] },
]
"""

TRIALS = """
[[test]]
name = "cards never leave"
pipeline = "shop"
input = '{"order": 7, "card": "4111111111111111"}'
output = '{ "order" : 7 }'
sinks = ["out"]
[[test]]
name = "small ones are left out"
pipeline = "shop"
input = '{"order": 3}'
outcome = "dropped"
[[test]]
name = "no JSON"
pipeline = "shop"
input = 'order 7'
outcome = "rejected"
"""


def run(folder: Path, text: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    file = folder / "ship.toml"
    file.write_text(CONFIG + text)
    code = main(["ship", "test", str(file)])
    output = capsys.readouterr()
    return code, (output.out or output.err.replace(f"{folder}/", "")).splitlines()


def test_all_is_as_it_should_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = run(tmp_path, TRIALS, capsys)
    assert lines == [
        "ok      cards never leave",
        "ok      small ones are left out",
        "ok      no JSON",
        "3 passed, 0 failed",
    ]
    assert code == 0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "output = '{ \"order\" : 7 }'",
            "output = 'x'",
            'FAILED  cards never leave: it must become x; it is {"order":7}',
        ),
        ('sinks = ["out"]', "sinks = []", "FAILED  cards never leave: it must go to no sink; it goes to out"),
        ('"order": 3', '"order": 6', "FAILED  small ones are left out: expected: dropped; it passes as"),
        ('outcome = "rejected"', "", "FAILED  no JSON: expected: passes; it is rejected by decode: "),
    ],
)
def test_what_differs_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, words: str
) -> None:
    assert old in TRIALS
    code, lines = run(tmp_path, TRIALS.replace(old, new, 1), capsys)
    assert any(line.startswith(words) for line in lines), lines
    assert code == ("FAILED" in words)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            'pipeline = "shop"',
            'pipeline = "shp"',
            'ship.toml:18: test[0].pipeline = "shp": there is no pipeline of that name; there are shop',
        ),
        ("output", "ouput", "ship.toml:20: test[0].ouput = "),
        (
            'outcome = "dropped"',
            'outcome = "drop"',
            'ship.toml:26: test[1].outcome = "drop": must be ',
        ),
    ],
)
def test_a_mistake_in_a_test(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, line: str
) -> None:
    code, lines = run(tmp_path, TRIALS.replace(old, new, 1), capsys)
    assert code == 78
    assert [each for each in lines if each.startswith(line)], lines
