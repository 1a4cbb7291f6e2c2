"""Publish from a program without an event loop: a script, Django, Flask, any number of threads."""

import os
from concurrent.futures import ThreadPoolExecutor

import nsqgw
from nsqgw import BlockingProducer

NSQDS = os.environ.get("NSQD_TCP_ADDRESS", "127.0.0.1:4150").split(",")

nsqgw.publish("events", b"one line, nothing to set up")  # to NSQD_TCP_ADDRESS

with BlockingProducer(NSQDS) as producer, ThreadPoolExecutor(4) as threads:
    for number in range(100):
        threads.submit(producer.publish, "events", b"%d" % number)  # returns when nsqd has it
    soon = producer.publish_soon("events", b"answered later")
    soon.result(timeout=10)

print(f"published {producer.stats.published} and 1")
