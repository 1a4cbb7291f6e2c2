"""Secrets from stores: folders, the environment, programs, Vault; and that none is shown."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gateways.service.problems import BadConfigFile
from gateways.ship.config import ShipConfig
from gateways.ship.config_file import load_config

CONFIG = """\
[nsq]
nsqd_tcp_addresses = ["127.0.0.1:4150"]
[[pipeline]]
topics = ["a"]
channel = "c"
sinks = ["logs"]
[sink.logs]
type = "loggly"
"""


def loaded(folder: Path, rest: str, **environ: str) -> ShipConfig:
    file = folder / "ship.toml"
    file.write_text(CONFIG + rest)
    return load_config(file, environ=environ)


def token(config: ShipConfig) -> str:
    return str(config.pipelines[0].sinks[0].to.token.get_secret_value())  # type: ignore[union-attr]  # it is Loggly's


def problem(folder: Path, rest: str, **environ: str) -> str:
    with pytest.raises(BadConfigFile) as caught:
        loaded(folder, rest, **environ)
    (line,) = caught.value.lines
    return line.removeprefix(f"{folder}/")


def test_a_folder_of_secrets(tmp_path: Path) -> None:
    (tmp_path / "loggly.token").write_text("hush\n")
    rest = f'token = "SECRET[mount.loggly.token]"\n[secret.mount]\ntype = "file"\nfolder = "{tmp_path}"\n'
    assert token(loaded(tmp_path, rest)) == "hush"
    systemd = loaded(tmp_path, 'token = "SECRET[file.loggly.token]"\n', CREDENTIALS_DIRECTORY=str(tmp_path))
    assert token(systemd) == "hush"


def test_the_environment_and_what_it_has_is_no_reference(tmp_path: Path) -> None:
    rest = 'token = "a-SECRET[env.TOKEN]-${B}"\n'
    assert token(loaded(tmp_path, rest, TOKEN="${B}", B="SECRET[env.TOKEN]")) == "a-${B}-SECRET[env.TOKEN]"
    rest = 'token = "SECRET[mine.TOKEN]"\n[secret.mine]\ntype = "env"\nprefix = "${PREFIX}_"\n'
    assert token(loaded(tmp_path, rest, PREFIX="APP", APP_TOKEN="x")) == "x"


def executed(folder: Path, answer: str) -> str:
    program = folder / "store.py"
    program.write_text(f"import json, sys\nquestion = json.load(sys.stdin)\n{answer}\n")
    command = json.dumps([sys.executable, str(program)])
    return f'token = "SECRET[safe.a/b]"\n[secret.safe]\ntype = "exec"\ncommand = {command}\n'


def test_a_program(tmp_path: Path) -> None:
    answer = "print(json.dumps({key: {'value': question['version'] + key} for key in question['secrets']}))"
    assert token(loaded(tmp_path, executed(tmp_path, answer))) == "1.0a/b"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("sys.exit(3)", "ended with 3 in place of giving secrets"),
        ("print('hush')", 'does not answer {"a/b": {"value": ...}}'),
        ("print(json.dumps({'a/b': {'value': None, 'error': 'sealed'}}))", "has no secret a/b: sealed"),
    ],
)
def test_a_program_that_has_none(answer: str, words: str, tmp_path: Path) -> None:
    line = problem(tmp_path, executed(tmp_path, answer))
    assert line.startswith("ship.toml:10: secret.safe: program ")
    assert words in line
    assert "hush" not in line


@pytest.fixture
def vault() -> Iterator[str]:
    """Answers as Vault does: one secret, for one token."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = self.headers["X-Vault-Token"] == "root"
            found = self.path == "/v1/kv/data/apps/loggly"
            code, body = 200, {"data": {"data": {"token": "hush", "n": 1}, "metadata": {"version": 3}}}
            if not allowed or not found:
                code, body = (404, {"errors": []}) if allowed else (403, {"errors": ["permission denied"]})  # type: ignore[dict-item]  # both are JSON
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def vaulted(address: str, key: str, secret: str = "root") -> str:
    return (
        f'token = "SECRET[v.{key}]"\n[secret.v]\ntype = "vault"\naddress = "{address}"\n'
        f'token = "{secret}"\nmount = "kv"\n'
    )


def test_vault(vault: str, tmp_path: Path) -> None:
    assert token(loaded(tmp_path, vaulted(vault, "apps/loggly:token"))) == "hush"
    (tmp_path / "root").write_text("root\n")
    from_file = vaulted(vault, "apps/loggly:token", f"file:{tmp_path}/root")
    assert token(loaded(tmp_path, from_file)) == "hush"


@pytest.mark.parametrize(
    ("key", "secret", "words"),
    [
        ("apps/loggly:token", "wrong", "with 403: permission denied"),
        ("apps/other:token", "root", "with 404: Not Found"),
        ("apps/loggly:n", "root", "vault has no text in field n of apps/loggly"),
        ("apps/loggly", "root", "'apps/loggly' is no PATH:FIELD"),
    ],
)
def test_what_vault_does_not_have(vault: str, key: str, secret: str, words: str, tmp_path: Path) -> None:
    line = problem(tmp_path, vaulted(vault, key, secret))
    assert line.startswith("ship.toml:10: secret.v: ")
    assert words in line


def test_a_vault_that_is_not_there(tmp_path: Path) -> None:
    line = problem(tmp_path, vaulted("http://127.0.0.1:1", "a:b"))
    assert "vault does not answer at http://127.0.0.1:1/v1/kv/data/a: ConnectionError" in line


@pytest.mark.parametrize(
    ("rest", "line"),
    [
        (
            'token = "SECRET[safe.x]"\n',
            'ship.toml:9: sink.logs.token = ***: there is no [secret.safe]; there are env, file',
        ),
        (
            'token = "SECRET[file.x]"\n',
            "ship.toml:9: sink.logs.token = ***: there is no folder of secrets: add a [secret.NAME] with"
            " folder, or set CREDENTIALS_DIRECTORY",
        ),
        (
            'token = "SECRET[f.../x]"\n[secret.f]\ntype = "file"\nfolder = "/"\n',
            "ship.toml:10: secret.f: secret '../x' leads out of its folder: write the name of a file in it",
        ),
        (
            'token = "SECRET[f.x]"\n[secret.f]\ntype = "fil"\n',
            "ship.toml:11: secret.f.type = \"fil\": must be one of 'file', 'env', 'exec', 'vault'; "
            "did you mean file?",
        ),
        (
            'token = "a"\ntoken_file = "b"\n',
            "ship.toml:7: sink.logs: token and token_file are two places for one secret: give one of them",
        ),
    ],
)  # fmt: skip
def test_references_to_nothing(rest: str, line: str, tmp_path: Path) -> None:
    assert problem(tmp_path, rest) == line


def test_a_secret_in_a_file_by_its_own_key(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("hush\n")
    assert token(loaded(tmp_path, f'token_file = "{tmp_path}/t"\n')) == "hush"
    assert "is no setting here" in problem(tmp_path, 'token = "x"\ntags_file = "b"\n')


def test_no_secret_is_shown_wherever_it_stands(tmp_path: Path) -> None:
    config = loaded(tmp_path, 'token = "x"\ntags = ["t-SECRET[env.T]"]\n', T="hush")
    assert config.pipelines[0].sinks[0].to.tags == ("t-hush",)  # type: ignore[union-attr]  # it is Loggly's
    assert "hush" not in json.dumps(config.shown())
    assert "t-***" in json.dumps(config.shown())
    assert "secrets" not in repr(config)
