"""kill -9 at random moments under load: with --mem-queue-size=0 --sync-every=1 nothing confirmed is lost.

KILL_ROUNDS says how many times; CI and `make soak-kills` take more than the default.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from harness.durable import OursOn
from harness.numbered_load import NumberedLoad

ROUNDS = int(os.environ.get("KILL_ROUNDS", "8"))


@pytest.mark.timeout(60 + 10 * ROUNDS)
def test_no_confirmed_message_is_lost_however_often_nsqd_is_killed(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    choices = random.Random(seed)
    load = NumberedLoad("t", choices)
    for _ in range(ROUNDS):
        nsqd = OursOn(tmp_path, mem_queue_size=0, sync_every=1, max_bytes_per_file=30_000)
        with nsqd:

            def kill(nsqd: OursOn = nsqd) -> None:
                time.sleep(choices.uniform(0.01, 0.3))
                nsqd.stop()

            load.run_until_the_end(nsqd.tcp_address, kill)
            assert "Traceback" not in nsqd.log
    assert load.errors == []
    assert load.confirmed
    with OursOn(tmp_path, mem_queue_size=0) as nsqd:
        load.drain(nsqd.tcp_address)
        nsqd.leave()
    print(f"{len(load.confirmed)} confirmed")
