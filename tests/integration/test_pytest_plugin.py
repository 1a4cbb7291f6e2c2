"""The fixtures for users' tests, in a pytest run of its own; and what loading them costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

TESTS = """
import urllib.request


def get(address, path):
    with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
        return answer.read()


def test_nsqd(nsqd):
    assert get(nsqd.http_address, "/ping") == b"OK"
    before = nsqd.tcp_address, nsqd.http_address
    nsqd.stop()
    nsqd.start()
    assert (nsqd.tcp_address, nsqd.http_address) == before
    assert get(nsqd.http_address, "/ping") == b"OK"


def test_a_stopped_nsqd_is_no_trouble(nsqd):
    nsqd.stop()


def test_nsqlookupd(nsqlookupd):
    assert get(nsqlookupd.http_address, "/ping") == b"OK"


def test_cluster(nsq_cluster):
    cluster = nsq_cluster(2)
    assert len({nsqd.tcp_address for nsqd in cluster.nsqds}) == 2
    for nsqd in cluster.nsqds:
        assert get(nsqd.http_address, "/ping") == b"OK"
    assert get(cluster.lookupd.http_address, "/ping") == b"OK"
    cluster.nsqds[0].stop()


async def test_in_an_asynchronous_test(nsqd):
    import asyncio

    _, writer = await asyncio.open_connection(*nsqd.tcp_address.split(":"))
    writer.close()
    await writer.wait_closed()
"""


def run_python(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_fixtures_run_daemons(tmp_path: Path) -> None:
    (tmp_path / "test_use.py").write_text(TESTS)
    # Named explicitly, so that it works with and without the package being installed.
    plugin = ("-p", "no:nsqgw", "-p", "compat.pytest_plugin")
    settings = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")
    output = run_python("-m", "pytest", "-q", "-W", "error", *settings, *plugin, cwd=tmp_path)
    assert "5 passed" in output


def test_loading_the_plugin_imports_pytest_and_nothing_of_ours(tmp_path: Path) -> None:
    program = "import sys, pytest, compat.pytest_plugin; print(*sys.modules)"
    loaded = run_python("-c", program, cwd=tmp_path).split()
    ours = [name for name in loaded if name.split(".")[0] in ("nsqgw", "compat", "gateways", "tornado")]
    assert ours == ["compat", "compat.pytest_plugin"]
    assert "asyncio" not in loaded
