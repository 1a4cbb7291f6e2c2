"""`nsqgw nsqd` as scripts and supervisors use the original: flags, log lines, signals, exit codes."""

from __future__ import annotations

import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.certificates import make_certificates
from harness.http import get
from harness.polling import eventually
from harness.wire import Wire

RUN = "import sys; from gateways.cli.main import main; sys.exit(main())"
LISTENING = re.compile(r"\[nsqd\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} INFO: (TCP|HTTP): listening on (\S+)")

StartNsqd = Callable[..., subprocess.Popen[bytes]]


def nsqd(*flags: str) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(
            [sys.executable, "-c", RUN, "nsqd", *flags],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def start(log: Path, tmp_path: Path) -> Iterator[StartNsqd]:
    """Starts the command in an empty folder, its stderr going to `log`; kills what is left of it."""
    processes: list[subprocess.Popen[bytes]] = []

    def begin(*flags: str) -> subprocess.Popen[bytes]:
        with log.open("wb") as stderr:
            command = [sys.executable, "-c", RUN, "nsqd", *flags]
            process = subprocess.Popen(command, cwd=tmp_path, stderr=stderr)
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.wait()


def addresses(log: Path) -> dict[str, str]:
    return eventually(
        lambda: found if len(found := dict(LISTENING.findall(log.read_text()))) == 2 else {},
        what="two `listening on` lines",
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_works_and_ends_with_0(
    start: StartNsqd, log: Path, number: signal.Signals
) -> None:
    process = start("-tcp-address=127.0.0.1:0", "--http-address", "127.0.0.1:0", "-max-msg-size", "7")
    found = addresses(log)
    with Wire(found["TCP"]) as wire:
        wire.ok(b"PUB t", b"7 bytes")
        wire.send(b"PUB t\n\0\0\0\x08")
        assert wire.error() == "E_BAD_MESSAGE PUB message too big 8 > 7"
    assert get(found["HTTP"], "/ping").body == b"OK"
    process.send_signal(number)
    assert process.wait(30) == 0


def test_the_admin_port_has_the_brokers_figures(start: StartNsqd, log: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        admin = f"127.0.0.1:{free.getsockname()[1]}"
    start("-tcp-address=127.0.0.1:0", "-http-address=127.0.0.1:0", f"-admin-address={admin}")
    with Wire(addresses(log)["TCP"]) as wire:
        wire.subscribe("t", "c")
        wire.ok(b"PUB t", b"x")
    metrics = get(admin, "/metrics").body.decode()
    assert 'nsqgw_nsqd_topic_messages_total{topic="t"} 1.0' in metrics
    assert 'nsqgw_nsqd_channel_depth{channel="c",topic="t"} 1.0' in metrics


def test_the_version_line_is_what_scripts_match() -> None:
    done = nsqd("-version")
    assert done.returncode == 0
    assert re.fullmatch(r"nsqd v\d+\.\d+\.\d+ \(built w/[a-z0-9.-]+\)\n", done.stdout)


@pytest.mark.parametrize(
    ("flags", "code", "text"),
    [
        (["-no-such-flag"], 2, "no-such-flag"),
        (["-mem-queue-size=many"], 2, "'many' is not a valid integer"),
        (["-msg-timeout=soon"], 2, "duration 'soon' is not valid"),
        (["-deflate=perhaps"], 2, "'perhaps' is neither true nor false"),
        (["-worker-id=5"], 2, "'5' is neither true nor false"),
        (["-max-deflate-level=11"], 2, "--max-deflate-level=11: must be 1 to 9"),
        (["-tls-cert=c.pem"], 2, "--tls-cert needs --tls-key"),
        (["-tls-required"], 2, "cannot require TLS client connections without TLS key and cert"),
        (["-tls-required=perhaps"], 2, "--tls-required=perhaps: must be true, false or tcp-https"),
        (["-tls-cert=no.pem", "-tls-key=no.key"], 1, "--tls-cert=no.pem --tls-key=no.key: No such file"),
        (["-tcp-address=/no/such/folder/nsqd.sock"], 1, "cannot listen on /no/such/folder/nsqd.sock"),
        (["-tcp-address=nowhere"], 2, "address 'nowhere' is not valid: write host:port"),
        (["-lookupd-tcp-address=nowhere"], 2, "address 'nowhere' is not valid: write host:port"),
        (["-config=/no/such/file"], 1, "/no/such/file"),
        (["-sync-every=0"], 2, "--sync-every=0: must be above 0"),
        (["-log-level=error", "-data-path=/no/such/folder"], 1, "--data-path=/no/such/folder: "),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(flags: list[str], code: int, text: str) -> None:
    done = nsqd(*flags)
    assert (done.returncode, len(done.stderr.splitlines())) == (code, 1), done.stderr
    assert text in done.stderr


def test_a_port_in_use_is_one_line_and_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for flags in ([f"-tcp-address={address}"], ["-tcp-address=127.0.0.1:0", f"-http-address={address}"]):
            done = nsqd("-log-level=error", *flags)
            assert done.returncode == 1
            assert re.fullmatch(f"nsqgw nsqd: cannot listen on {address}: .*\n", done.stderr)


def test_tls_from_a_file_and_a_unix_socket(start: StartNsqd, log: Path, tmp_path: Path) -> None:
    """A file may have the booleans of TOML; the socket is gone when nsqd is."""
    files, web = make_certificates(tmp_path), tmp_path / "http.sock"
    config = tmp_path / "nsqd.cfg"
    config.write_text(
        f'tls_cert = "{files.server}"\ntls_key = "{files.server_key}"\ntls_required = true\n'
        f'https_address = "127.0.0.1:0"\ntls_min_version = "tls1.2"\nhttp_address = "{web}"\n'
    )
    process = start("-tcp-address=127.0.0.1:0", f"-config={config}", f"-data-path={tmp_path}")
    found = addresses(log)
    assert found["HTTP"] == str(web)
    with Wire(found["TCP"]) as wire:
        wire.send(b"NOP\n")
        assert wire.error() == "E_INVALID cannot NOP in current state (TLS required)"
    process.terminate()
    assert process.wait(30) == 0
    assert not web.exists()


def test_settings_come_from_a_file_and_the_command_line_wins(
    start: StartNsqd, log: Path, tmp_path: Path
) -> None:
    file = tmp_path / "nsqd.cfg"
    file.write_text(
        'id = 9\nmsg_timeout = "7s"\nmax_msg_size = 5\nnsqlookupd_tcp_addresses = ["127.0.0.1:1"]\n'
    )
    start("-tcp-address=127.0.0.1:0", "-http-address=127.0.0.1:0", f"-config={file}", "-max-msg-size=6")
    http = addresses(log)["HTTP"]
    for key, value in {
        "id": b"9",
        "msg_timeout": b"7000000000",
        "max_msg_size": b"6",
        "nsqlookupd_tcp_addresses": b'["127.0.0.1:1"]',
    }.items():
        assert get(http, f"/config/{key}").body == value


def test_with_too_many_connections_it_waits_for_some_to_end(start: StartNsqd, log: Path) -> None:
    """Those there are go on; the log has a line a second for each port."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    process = start("-tcp-address=127.0.0.1:0", "-http-address=127.0.0.1:0")
    found = addresses(log)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (40, limit[1]))
    with Wire(found["TCP"]) as wire, ExitStack() as silent:
        wire.ok(b"PUB t", b"x")
        for _ in range(50):
            for address in found.values():
                host, _, port = address.rpartition(":")
                silent.enter_context(socket.create_connection((host, int(port)), 10))
        eventually(lambda: log.read_text().count("no connections are accepted for 1 s") >= 2)
        wire.ok(b"PUB t", b"y")
    assert get(found["HTTP"], "/info").status == 200
    with Wire(found["TCP"]) as wire:
        wire.ok(b"PUB t", b"z")
    assert "Traceback" not in log.read_text()
