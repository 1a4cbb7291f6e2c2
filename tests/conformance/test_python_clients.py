"""Other clients for Python publish and receive through the daemons: gnsq (gevent) and ansq (asyncio).

Each runs in a process of its own, because of what it patches or of warnings, which are errors here.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from harness.daemons import Daemon
from harness.http import channel_stats
from harness.polling import eventually

GNSQ = """
import json, sys
import gnsq

address, topic, count = json.loads(sys.argv[1])
producer = gnsq.Producer([address])
producer.start()
producer.publish(topic, b"single")
producer.multipublish(topic, [b"batch %d" % number for number in range(count)])
seen = []
consumer = gnsq.Consumer(topic, "ch", [address], max_in_flight=10)

@consumer.on_message.connect
def handle(consumer, message):
    if message.attempts == 1 and message.body == b"single":
        raise gnsq.errors.NSQRequeueMessage
    seen.append(message.body.decode())
    if len(seen) == count + 1:
        message.finish()
        consumer.close()

consumer.start()
producer.close()
print(json.dumps(seen))
"""

ANSQ = """
import asyncio, json, sys
import ansq

address, topic, count = json.loads(sys.argv[1])

async def main():
    writer = await ansq.create_writer([address])
    await writer.pub(topic, "single")
    await writer.mpub(topic, *(f"batch {number}" for number in range(count)))
    reader = await ansq.create_reader(topic=topic, channel="ch", nsqd_tcp_addresses=[address])
    seen = []
    async for message in reader.messages():
        if message.attempts == 1 and message.body == b"single":
            await message.req(0)
            continue
        seen.append(message.body.decode())
        await message.fin()
        if len(seen) == count + 1:
            break
    await writer.close()
    await reader.close()
    print(json.dumps(seen))

asyncio.run(asyncio.wait_for(main(), 25))
"""

COUNT = 20


@pytest.mark.parametrize("program", [GNSQ, ANSQ], ids=["gnsq", "ansq"])
def test_another_client_publishes_requeues_and_receives(broker: Daemon, topic: str, program: str) -> None:
    task = json.dumps([broker.tcp_address, topic, COUNT])
    arguments = [sys.executable, "-W", "ignore", "-c", program, task]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    expected = ["single", *(f"batch {number}" for number in range(COUNT))]
    assert sorted(json.loads(done.stdout)) == sorted(expected)
    eventually(lambda: channel_stats(broker.http_address, topic, "ch")["in_flight_count"] == 0)
    state = channel_stats(broker.http_address, topic, "ch")
    assert (state["depth"], state["requeue_count"], state["timeout_count"]) == (0, 1, 0)
