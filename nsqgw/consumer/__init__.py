"""Consuming: discovery and connections below, a handler or an iterator above, policy in between."""

from nsqgw.consumer.batches import Batch
from nsqgw.consumer.consumer import Consumer
from nsqgw.consumer.failures import FailureRule
from nsqgw.consumer.stats import ConnectionStats, ConsumerStats

__all__ = ["Batch", "ConnectionStats", "Consumer", "ConsumerStats", "FailureRule"]
