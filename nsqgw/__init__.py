"""nsqgw: the Perl-compatible NSQ suite for Python. The client library; see README.md."""

from nsqgw.config import ConnectionConfig, ConsumerConfig, ProducerConfig, TlsConfig
from nsqgw.consumer import Batch, Consumer, FailureRule
from nsqgw.errors import NSQError
from nsqgw.message import Message
from nsqgw.producer import Producer
from nsqgw.version import __version__

__all__ = [
    "Batch",
    "ConnectionConfig",
    "Consumer",
    "ConsumerConfig",
    "FailureRule",
    "Message",
    "NSQError",
    "Producer",
    "ProducerConfig",
    "TlsConfig",
    "__version__",
]
