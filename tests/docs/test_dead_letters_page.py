"""docs/dead-letters.md: the config is one, the letter is as it is written, the commands run."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from gateways.cli.main import main
from gateways.pipeline.dead_letters import DeadLetter
from gateways.pipeline.refusal import refusal
from gateways.ship.config_file import load_config
from gateways.ship.dead_letters.envelope import MAX_REASON, write_letter
from harness.daemons import Daemon
from harness.http import post
from harness.transforming import one_message

PAGE = (Path(__file__).parents[2] / "docs" / "dead-letters.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def letter() -> bytes:
    reason = refusal(
        "item status 400 document_parsing_exception", status=400, code="document_parsing_exception"
    )
    dead = DeadLetter(one_message(b'{"status":"abc"}'), b'{"status":"abc","env":"prod"}', reason, "search")
    return write_letter(dead, "app", 1_770_000_001.5)


def test_the_config(tmp_path: Path) -> None:
    path = tmp_path / "ship.toml"
    path.write_text(block("toml"))
    (pipeline,) = load_config(path).pipelines
    assert pipeline.dead_letter is not None
    assert pipeline.dead_letter.name == "dead"


def test_the_letter() -> None:
    assert json.loads(block("json")) == json.loads(letter())
    assert list(json.loads(block("json"))) == list(json.loads(letter()))
    assert f"at most {MAX_REASON} bytes" in PAGE


def test_the_commands(
    broker: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gateways.cli.ship_dlq.logs.configure", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    Path("dead.ndjson").write_bytes(letter() + b"\n")
    post(broker.http_address, "/mpub?topic=events.dead", letter())
    for line in block("sh").splitlines():
        words = shlex.split(line.replace("127.0.0.1:4150", broker.tcp_address))
        assert words.pop(0) == "nsqgw"
        assert main([*words, "--wait=500ms"]) == 0, line
        out = "".join(capfd.readouterr())
        assert "item status 400" in out or re.match("[01] (would be )?(replayed|exported)", out), line
