"""nsqgw: an NSQ suite for Python. The client library; see README.md."""

from typing import TYPE_CHECKING, Any

from nsqgw import errors
from nsqgw.config import ConnectionConfig, ConsumerConfig, ProducerConfig, TlsConfig
from nsqgw.consumer import Batch, Consumer, FailureRule
from nsqgw.errors import NSQError
from nsqgw.message import Message
from nsqgw.producer import Producer
from nsqgw.version import __version__

if TYPE_CHECKING:
    from nsqgw.log_handler import NsqHandler
    from nsqgw.producer.blocking import BlockingProducer
    from nsqgw.producer.shared import publish
else:
    _ON_DEMAND = {
        "BlockingProducer": "nsqgw.producer.blocking",
        "NsqHandler": "nsqgw.log_handler",
        "publish": "nsqgw.producer.shared",
    }

    def __getattr__(name: str) -> Any:
        """What programs with a loop do without is imported when it is asked for."""
        if name not in _ON_DEMAND:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        value = globals()[name] = getattr(importlib.import_module(_ON_DEMAND[name]), name)
        return value


__all__ = [
    "Batch",
    "BlockingProducer",
    "ConnectionConfig",
    "Consumer",
    "ConsumerConfig",
    "FailureRule",
    "Message",
    "NSQError",
    "NsqHandler",
    "Producer",
    "ProducerConfig",
    "TlsConfig",
    "__version__",
    "errors",
    "publish",
]
