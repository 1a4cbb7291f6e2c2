"""Where nsqd's settings come from, as a process of its own: nsqgw's command and the original."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from harness.http import get
from harness.polling import eventually
from harness.real import require

ROOT = Path(__file__).parents[2]
OURS = [sys.executable, "-m", "gateways.cli.main", "nsqd"]
FILE = """
id = 9
tcp_address = "127.0.0.1:0"
http_address = "127.0.0.1:0"
msg_timeout = "7s"
max_msg_size = 5
nsqlookupd_tcp_addresses = ["127.0.0.1:1"]
"""


def test_c_nsqd_19_command_line_before_file_before_default(kind: str, tmp_path: Path) -> None:
    file, log = tmp_path / "nsqd.cfg", tmp_path / "log"
    file.write_text(FILE)
    command = [str(require("nsqd"))] if kind == "real" else OURS
    flags = [f"-config={file}", "-max-msg-size=6", f"-data-path={tmp_path}", "--msg-timeout", "8s"]
    with log.open("wb") as stderr:
        process = subprocess.Popen([*command, *flags], cwd=ROOT, stderr=stderr)
    try:
        found = eventually(lambda: re.search(r"HTTP: listening on (\S+)", log.read_text()))
        assert found is not None
        for key, value in {
            "id": b"9",
            "msg_timeout": b"8000000000",
            "max_msg_size": b"6",
            "mem_queue_size": b"10000",
            "nsqlookupd_tcp_addresses": b'["127.0.0.1:1"]',
        }.items():
            assert get(found[1], f"/config/{key}").body == value
    finally:
        process.kill()
        process.wait(10)
