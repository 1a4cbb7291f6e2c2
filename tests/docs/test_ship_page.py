"""docs/ship.md: configurations are read, commands understood; docs/ship-settings.md is up to date."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from gateways.cli.group import nsqgw
from gateways.service.problems import BadConfigFile
from gateways.service.secrets import STORES
from gateways.ship.config_file import load_config
from harness.certificates import make_certificates

if sys.version_info >= (3, 11):
    pass
else:
    pass

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ship.md").read_text()
ENVIRON = {"LOGGLY_TOKEN": "0000"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_reference_is_that_of_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import ship_reference

    remedy = "run .venv/bin/python tools/ship_reference.py"
    assert ship_reference.PAGE.read_text() == ship_reference.page(), remedy
    sys.modules.pop("ship_reference")


def test_the_configuration_is_read(tmp_path: Path) -> None:
    file = tmp_path / "ship.toml"
    file.write_text(blocks("toml")[0])
    config = load_config(file, environ=ENVIRON)
    assert [pipeline.name for pipeline in config.pipelines] == ["app", "audit"]


def test_the_mistake_is_told_as_on_the_page(tmp_path: Path) -> None:
    file = tmp_path / "ship.toml"
    file.write_text(blocks("toml")[0].replace("batch.max_age", "batch.max_agee"))
    with pytest.raises(BadConfigFile) as caught:
        load_config(file, environ=ENVIRON)
    line = re.sub(r":\d+:", ":9:", str(caught.value).replace(f"{tmp_path}/", ""))
    assert line == re.sub(r":\d+:", ":9:", blocks("text")[0].strip())


def test_the_table_for_tls_is_read(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    (tmp_path / "secret").write_text("hush")
    rest = '[[pipeline]]\ntopics = ["a"]\nchannel = "c"\nsinks = ["s"]\n[sink.s]\ntype = "stdout"\n'
    (text,) = [block for block in blocks("toml") if "auth_secret" in block]
    text = text.replace("/etc/ssl/nsq-ca.pem", str(tmp_path / "ca.pem"))
    file = tmp_path / "ship.toml"
    file.write_text(text.replace("/run/secrets/nsqd", str(tmp_path / "secret")) + rest)
    access = load_config(file).pipelines[0].access
    assert access.auth_secret == "hush"
    assert access.tls is not None


def test_the_secret_stores_are_such() -> None:
    (text,) = [block for block in blocks("toml") if "[secret." in block]
    stores = [STORES.validate_python(table) for table in tomllib.loads(text)["secret"].values()]
    assert {store.type for store in stores} == {"file", "exec", "vault"}


@pytest.mark.parametrize(
    "line", [line for block in blocks("sh") for line in block.splitlines() if line[:5] == "nsqgw"]
)
def test_a_command_is_understood(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ship.toml").touch()
    program, name, *arguments = shlex.split(line)
    assert program == "nsqgw"
    command = nsqgw.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    command.make_context(name, arguments)
