"""The fixtures for users' tests, in a pytest run of its own; and what loading them costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.real import BIN, require

pytest_plugins = ["pytester"]

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


# Named explicitly, so that it works with and without the package being installed.
PLUGIN = ("-p", "no:nsqgw", "-p", "compat.pytest_plugin")
SETTINGS = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")


def test_the_fixtures_run_daemons(tmp_path: Path) -> None:
    (tmp_path / "test_use.py").write_text(TESTS)
    output = run_python("-m", "pytest", "-q", "-W", "error", *SETTINGS, *PLUGIN, cwd=tmp_path)
    assert "5 passed" in output


@pytest.mark.real
def test_the_same_on_the_originals(tmp_path: Path) -> None:
    require("nsqd"), require("nsqlookupd")
    (tmp_path / "test_use.py").write_text(TESTS)
    real = ("--nsq-real", f"--nsq-path={BIN}")
    output = run_python("-m", "pytest", "-q", "-W", "error", *SETTINGS, *PLUGIN, *real, cwd=tmp_path)
    assert "5 passed" in output


OPTIONS = """
import pytest


@pytest.fixture
def nsqd_options():
    return {"max_msg_size": 7}


def test_flags(nsqd):
    with pytest.raises(Exception, match="MSG_TOO_BIG"):
        nsqd.publish("orders", b"12345678")
"""


@pytest.mark.parametrize("real", [False, pytest.param(True, marks=pytest.mark.real)])
def test_flags_are_set_by_a_fixture(pytester: pytest.Pytester, real: bool) -> None:
    if real:
        require("nsqd")
        pytester.makeini(f"[pytest]\nnsq_real = true\nnsq_path = {BIN}\n")
    pytester.makepyfile(OPTIONS)
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_missing_original_is_one_clear_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(nsqd): pass\ndef test_that(nsq_cluster): nsq_cluster(1)")
    result = pytester.runpytest_subprocess("--nsq-real", f"--nsq-path={pytester.path}", "--tb=short")
    result.assert_outcomes(errors=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            f"there is no program nsqd in {pytester.path}: install NSQ (https://nsq.io/*), name its folder "
            "by --nsq-path=FOLDER, or run without --nsq-real",
            f"there is no program nsqlookupd in {pytester.path}: *",
        ]
    )
    assert "Traceback" not in result.stdout.str()


FAILING = """
def test_it(nsqd):
    nsqd.publish("orders", b"one")
    nsqd.topic("orders").channel("billing").assert_finished(1, timeout=0)
"""


def test_a_failed_assertion_points_at_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(FAILING)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*channel orders/billing: expected 1 finished, seen 0 after 0 s"])
    result.stdout.no_fnmatch_line("*views.py*")


def test_loading_the_plugin_imports_pytest_and_nothing_of_ours(tmp_path: Path) -> None:
    program = "import sys, pytest, compat.pytest_plugin; print(*sys.modules)"
    loaded = run_python("-c", program, cwd=tmp_path).split()
    ours = [name for name in loaded if name.split(".")[0] in ("nsqgw", "compat", "gateways", "tornado")]
    assert ours == ["compat", "compat.pytest_plugin"]
    assert "asyncio" not in loaded
