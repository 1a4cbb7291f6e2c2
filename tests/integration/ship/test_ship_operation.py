"""A config file in use: several pipelines, validate, top and tap, TLS and AUTH."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

import pytest

from gateways.cli.main import main
from gateways.pipeline.watch import STAGES
from gateways.ship.config_file import load_config
from gateways.ship.gateway import ShipGateway
from gateways.ship.tap import Tap
from harness.auth_server import ALL, AuthServer
from harness.certificates import make_certificates
from harness.command import Nsqgw
from harness.embedded import EmbeddedNsqd
from harness.polling import eventually
from harness.ship_file import CONFIG, edit, lines, numbered, publish
from nsqgw.deadline import within


class Done(NamedTuple):
    """What came of a command that ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run_nsqgw(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs the command in this process, to its end."""
    return lambda *arguments: Done(main(arguments), *capsys.readouterr())


def test_the_command_with_a_file(
    nsqd: EmbeddedNsqd, file: Path, tmp_path: Path, run_nsqgw: Callable[..., Done]
) -> None:
    with Nsqgw(tmp_path, "ship", "--config", str(file)) as process:
        admin = process.wait_for(r"admin port on http://(127\.0\.0\.1:\d+)")
        process.wait_for("nsqgw ship started")
        publish(nsqd, "app", numbered(0, 100))
        eventually(lambda: len(lines(tmp_path / "app.log")) == 100)
        top = run_nsqgw("ship", "top", "--once", "--interval", "10ms", "--admin-address", admin)
        assert [line.split()[:2] for line in top.stdout.splitlines()[1:]] == [
            ["app", "ready"],
            ["app", "ok"],
            ["audit", "ready"],
            ["audit", "ok"],
        ]
        assert run_nsqgw("ship", "health", "--admin-address", admin) == (0, "OK\n", "")
        assert run_nsqgw("ship", "health", "--ready", "--admin-address", admin) == (0, "ready\n", "")
        edit(file, "batch.max_messages = 10", "batch.max_messages = 20")
        process.send(signal.SIGHUP)
        process.wait_for("SIGHUP, reading the settings again")
        process.wait_for("nsqgw ship reloaded")
        edit(file, "batch.max_messages = 20", "batch.max_mesages = 20")
        process.send(signal.SIGHUP)
        process.wait_for(f"the old settings stay in force: {file}:13: .* did you mean max_messages")
        with urlopen(f"http://{admin}/metrics", timeout=10) as answer:
            assert "nsqgw_ship_last_reload_failed 1.0" in answer.read().decode()
        assert process.terminate() == 0


@pytest.mark.parametrize("command", ["health", "top", "tap"])
def test_a_gateway_that_is_not_there(command: str, run_nsqgw: Callable[..., Done]) -> None:
    done = run_nsqgw("ship", command, "--admin-address", "127.0.0.1:1")
    assert done[0] == 1
    assert done[2].startswith(f"nsqgw ship {command}: http://127.0.0.1:1/")
    assert done[2].endswith(
        " does not answer as nsqgw ship does (no connection): is it running, is this its --admin-address?\n"
    )


def test_what_holds_a_pipeline_up_is_told_below_the_table(
    nsqd: EmbeddedNsqd, tmp_path: Path, run_nsqgw: Callable[..., Done]
) -> None:
    flags = ("--nsqd-tcp-address", nsqd.tcp_address, "--to", "http://127.0.0.1:1", "--drain-timeout", "100ms")
    topic = ("--topic", "app", "--channel", "ship", "--admin-address", "127.0.0.1:0")
    with Nsqgw(tmp_path, "ship", *topic, *flags) as process:
        admin = process.wait_for(r"admin port on http://(127\.0\.0\.1:\d+)")
        publish(nsqd, "app", numbered(0, 1))
        process.wait_for("trying again")
        top = run_nsqgw("ship", "top", "--once", "--interval", "10ms", "--admin-address", admin)
        assert top.stdout.splitlines()[1].split()[:3] == ["ship", "not", "ready"]
        assert top.stderr.startswith("ship: http://127.0.0.1:1: ")
        assert top.stderr.endswith("Connection refused\n")


def test_the_command_with_a_folder(
    nsqd: EmbeddedNsqd, file: Path, tmp_path: Path, run_nsqgw: Callable[..., Done]
) -> None:
    folder = tmp_path / "conf.d"
    folder.mkdir()
    first, second = file.read_text().split('[[pipeline]]\nname = "audit"')
    (folder / "1.toml").write_text(first)
    (folder / "2.toml").write_text('[[pipeline]]\nname = "audit"' + second)
    assert (
        run_nsqgw("ship", "validate", "--no-connect", str(folder)).stdout
        == f"{folder}: pipelines app, audit\n"
    )
    with Nsqgw(tmp_path, "ship", "--config", str(folder)) as process:
        process.wait_for("nsqgw ship started")
        edit(folder / "2.toml", 'name = "audit"', 'name = "other"')
        process.send(signal.SIGHUP)
        process.wait_for("nsqgw ship reloaded")
        assert process.terminate() == 0


def test_tap_shows_what_passes(nsqd: EmbeddedNsqd, file: Path, tmp_path: Path) -> None:
    with Nsqgw(tmp_path, "ship", "--config", str(file)) as process:
        admin = process.wait_for(r"admin port on http://(127\.0\.0\.1:\d+)")
        process.wait_for("nsqgw ship started")
        with urlopen(f"http://{admin}/tap?topic=app", timeout=10) as stream:
            publish(nsqd, "audit", [b"not this"])
            publish(nsqd, "app", [b"one"])
            event = json.loads(next(line for line in stream if line.strip()))
        assert (event["pipeline"], event["topic"], event["body"], event["attempts"]) == (
            "app",
            "app",
            "one",
            1,
        )
        arguments = ("--admin-address", admin, "--pipeline", "app", "--limit", "1", "--body")
        with Nsqgw(tmp_path, "ship", "tap", *arguments) as tap:

            def ended() -> bool:
                publish(nsqd, "app", [b"two"])
                return tap.process.poll() is not None

            eventually(ended)
            assert tap.process.stdout is not None
            assert tap.process.stdout.read() == b"two\n"


async def test_each_stage_is_shown(nsqd: EmbeddedNsqd, file: Path, tmp_path: Path) -> None:
    transforms = 'transforms = [{ type = "decode", format = "json" }, { type = "add", fields = { e = "x" } }]'
    edit(file, "max_in_flight = 100", f"max_in_flight = 100\n{transforms}")
    gateway = ShipGateway(load_config(file))
    await gateway.start()
    taps = {stage: Tap(stage=stage) for stage in STAGES}
    for tap in taps.values():
        gateway.taps.add(tap)
    publish(nsqd, "app", [b'{"a": 1}'])
    shown = {stage: await within(10, tap.next()) for stage, tap in taps.items()}
    await gateway.stop()
    assert {stage: event["body"] for stage, event in shown.items()} == {
        "received": '{"a": 1}',
        "transformed": '{"a":1,"e":"x"}',
        "sent": '{"a":1,"e":"x"}',
    }
    assert shown["sent"]["sink"] == "app"


def test_a_file_with_mistakes_ends_with_78(file: Path, run_nsqgw: Callable[..., Done]) -> None:
    edit(file, "[sink.audit]", "[sink.odit]")
    text = f'{file}:19: pipeline[1].sinks = ["audit"]: there is no [sink.audit]; there are app, odit\n'
    for words in (["ship", "--config", str(file)], ["ship", "validate", str(file)]):
        done = run_nsqgw(*words)
        assert (done.returncode, done.stdout, done.stderr) == (78, "", text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--topic", "a"], "--topic belongs into the file when there is --config"),
        (["--batch-max-age", "1s"], "--batch-max-age belongs into the file when there is --config"),
        (["--tls"], "--tls belongs into the file when there is --config"),
    ],
)
def test_flags_that_would_contradict_the_file(
    file: Path, arguments: list[str], words: str, run_nsqgw: Callable[..., Done]
) -> None:
    done = run_nsqgw("ship", "--config", str(file), *arguments)
    assert (done.returncode, done.stderr) == (2, f"nsqgw ship: {words} (see nsqgw ship --help)\n")


def test_validate_says_what_is_reached(
    nsqd: EmbeddedNsqd, file: Path, tmp_path: Path, run_nsqgw: Callable[..., Done]
) -> None:
    done = run_nsqgw("ship", "validate", str(file))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{file}: pipelines app, audit",
        f"nsqd {nsqd.tcp_address}: reached",
        "sink app: opened",
        "sink audit: opened",
    ]
    nsqd.stop()
    edit(file, f"{tmp_path}/audit.log", f"{tmp_path}/missing/audit.log")
    done = run_nsqgw("ship", "validate", str(file))
    assert done.returncode == 1
    assert f"nsqd {nsqd.tcp_address}: Connection refused" in done.stdout
    assert f"sink audit: cannot write to {tmp_path}/missing/audit.log" in done.stdout
    assert run_nsqgw("ship", "validate", "--no-connect", str(file)).returncode == 0


def test_nobody_answers_top_and_tap(run_nsqgw: Callable[..., Done]) -> None:
    for command, page in (("top", "status"), ("tap", "tap"), ("health", "ping")):
        done = run_nsqgw("ship", command, "--admin-address", "127.0.0.1:1")
        assert done.returncode == 1
        assert done.stderr.startswith(f"nsqgw ship {command}: http://127.0.0.1:1/{page} ")
        assert len(done.stderr.splitlines()) == 1


def tls_flags(folder: Path) -> tuple[dict[str, str], list[str]]:
    files = make_certificates(folder)
    nsqd = {"tls_cert": files.server, "tls_key": files.server_key, "tls_required": "true"}
    return nsqd, ["--tls-ca-file", files.ca, "--auth-secret", f"file:{folder}/secret"]


def test_validate_says_why_another_cluster_is_not_reached(
    nsqd: EmbeddedNsqd, tmp_path: Path, run_nsqgw: Callable[..., Done]
) -> None:
    (tmp_path / "far.toml").write_text(
        f"""
        nsq.nsqd_tcp_addresses = ["{nsqd.tcp_address}"]
        pipeline = [{{ topics = ["app"], channel = "ship", sinks = ["far"] }}]
        [sink.far]
        type = "nsq"
        nsqd_tcp_addresses = ["127.0.0.1:1"]
        topic = "x"
        publish_timeout = "300ms"
        """
    )
    done = run_nsqgw("ship", "validate", str(tmp_path / "far.toml"))
    assert done.returncode == 1
    assert done.stdout.endswith("sink far: no nsqd connected within 0.3 s: 127.0.0.1:1: Connection refused\n")
    # the nsqd of the test is in this process, and so are its logs
    own = [line for line in done.stderr.splitlines() if "logger=compat." not in line]
    assert own == []


@pytest.mark.parametrize("gateway", ["ship", "push", "validate"])
def test_tls_and_auth(tmp_path: Path, gateway: str, run_nsqgw: Callable[..., Done]) -> None:
    (tmp_path / "secret").write_text("hush\n")
    nsqd_flags, flags = tls_flags(tmp_path)
    with AuthServer() as auth:
        auth.grants["hush"] = [ALL]
        with closing(EmbeddedNsqd(auth_http_addresses=(auth.address,), **nsqd_flags)) as nsqd:
            nsqd.start()
            if gateway == "validate":
                file = tmp_path / "ship.toml"
                file.write_text(secured(nsqd.tcp_address, tmp_path))
                done = run_nsqgw("ship", "validate", str(file))
                assert done.returncode == 0, done.stdout + done.stderr
                assert f"nsqd {nsqd.tcp_address}: reached" in done.stdout
                return
            arguments = ["--topic", "events", "--nsqd-tcp-address", nsqd.tcp_address, "--admin-address", ""]
            arguments += (
                ["--channel", "c", "--to", "stdout"] if gateway == "ship" else ["--listen", "127.0.0.1:0"]
            )
            with Nsqgw(tmp_path, gateway, *arguments, *flags) as process:
                process.wait_for("connected to .* subscribed to events")
                process.wait_for(f"nsqgw {gateway} started")
                assert process.terminate() == 0
                assert "hush" not in process.log


def secured(address: str, folder: Path) -> str:
    text = CONFIG.format(nsqd=address, folder=folder)
    access = f'auth_secret = "file:{folder}/secret"\ntls = {{ ca_file = "{folder}/ca.pem" }}\n\n[service]'
    return text.replace("\n[service]", access)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--tls-ca-file", "/nowhere"], "ca_file = '/nowhere' cannot be used"),
        (["--tls-key-file", "key.pem"], "key_file = 'key.pem' is of no use without cert_file"),
        (
            ["--auth-secret", "file:/nowhere"],
            "secret file /nowhere cannot be read: No such file or directory",
        ),
        (["--lookupd-auth-secret", "a b\n"], "lookupd_auth_secret is empty, or has a character"),
    ],
)
@pytest.mark.parametrize("gateway", ["ship", "push"])
def test_access_that_cannot_be_used(
    gateway: str, flags: list[str], words: str, run_nsqgw: Callable[..., Done]
) -> None:
    arguments = ["--topic", "a", "--channel", "c", "--nsqd-tcp-address", "127.0.0.1:1", *flags]
    done = run_nsqgw(gateway, *arguments, *(["--to", "stdout"] if gateway == "ship" else []))
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
