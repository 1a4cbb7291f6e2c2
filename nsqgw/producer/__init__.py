"""Publishing: a pool of connections below, awaitable publishes with bounded outstanding above."""

from nsqgw.producer.producer import Producer, ProducerStats

__all__ = ["Producer", "ProducerStats"]
