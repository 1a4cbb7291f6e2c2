"""`nsqgw ship` from an nsqd to real log services, which are restarted meanwhile, as is the gateway."""

from __future__ import annotations

import gzip
import json
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import pytest

from harness.command import Nsqgw
from harness.embedded import EmbeddedNsqd
from harness.polling import eventually
from harness.real_sinks import S3Server, VictoriaLogs

COUNT = 3_000

CONFIG = """
[nsq]
nsqd_tcp_addresses = ["{nsqd}"]

[service]
admin_address = ""

[[pipeline]]
topics = ["events"]
channel = "ship"
sinks = ["to"]
max_in_flight = 40
batch.max_messages = 10

[sink.to]
{sink}
"""


@pytest.fixture
def nsqd() -> Iterator[EmbeddedNsqd]:
    with closing(EmbeddedNsqd(msg_timeout=2.0)) as daemon:
        daemon.start()
        bodies = b"\n".join(b'{"text":"event","n":"%d"}' % number for number in range(COUNT))
        urlopen(f"http://{daemon.http_address}/mpub?topic=events", bodies, timeout=30).close()
        yield daemon


def configured(folder: Path, nsqd: EmbeddedNsqd, **sink: str) -> list[str]:
    """The arguments that ship the events to this sink."""
    lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in sink.items())
    file = folder / "ship.toml"
    file.write_text(CONFIG.format(nsqd=nsqd.tcp_address, sink=lines))
    return ["ship", f"--config={file}"]


def test_a_log_service_that_is_restarted_misses_nothing(nsqd: EmbeddedNsqd, tmp_path: Path) -> None:
    with closing(VictoriaLogs()) as service:
        service.start()
        url = f"{service.url}/insert/elasticsearch"
        arguments = configured(tmp_path, nsqd, type="elasticsearch", url=url, compression="gzip")
        with Nsqgw(tmp_path, *arguments) as process:
            eventually(lambda: service.query("text:event"))
            service.stop()
            process.wait_for("trying again")
            service.start()
            found = eventually(lambda: len(rows := service.query("text:event")) >= COUNT and rows)
            assert process.terminate() == 0
    counts = Counter(int(row["n"]) for row in found)
    assert set(counts) == set(range(COUNT))
    # VictoriaLogs knows no ids: what it took while it stopped, without an answer, came again.
    assert counts.total() - COUNT <= 40


def test_a_gateway_that_is_killed_leaves_no_gap_in_the_bucket(nsqd: EmbeddedNsqd, tmp_path: Path) -> None:
    with closing(S3Server()) as service:
        service.start()
        arguments = configured(
            tmp_path,
            nsqd,
            type="s3",
            url=f"{service.url}/logs",
            access_key_id=service.access_key,
            secret_access_key=service.secret_key,
        )
        with Nsqgw(tmp_path, *arguments) as process:
            eventually(service.objects)
            process.send(signal.SIGKILL)
            process.wait()

        def numbers() -> Counter[int]:
            lines = b"".join(gzip.decompress(content) for content in service.objects().values()).splitlines()
            return Counter(int(json.loads(line)["n"]) for line in lines)

        assert len(numbers()) < COUNT
        with Nsqgw(tmp_path, *arguments) as process:
            counts = eventually(lambda: len(found := numbers()) >= COUNT and found)
            assert process.terminate() == 0
    assert set(counts) == set(range(COUNT))
    assert counts.total() - COUNT <= 40  # what was in flight at the kill
