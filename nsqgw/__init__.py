"""nsqgw: an NSQ suite for Python. The client library; see README.md."""

from typing import TYPE_CHECKING, Any

from nsqgw.version import __version__

if TYPE_CHECKING:
    from nsqgw import errors
    from nsqgw.config import ConnectionConfig, ConsumerConfig, ProducerConfig, TlsConfig
    from nsqgw.consumer import Batch, Consumer, FailureRule
    from nsqgw.errors import NSQError
    from nsqgw.log_handler import NsqHandler
    from nsqgw.message import Message
    from nsqgw.producer import Producer
    from nsqgw.producer.blocking import BlockingProducer
    from nsqgw.producer.shared import publish
else:
    _ON_DEMAND = {
        "Batch": "nsqgw.consumer",
        "BlockingProducer": "nsqgw.producer.blocking",
        "ConnectionConfig": "nsqgw.config",
        "Consumer": "nsqgw.consumer",
        "ConsumerConfig": "nsqgw.config",
        "FailureRule": "nsqgw.consumer",
        "Message": "nsqgw.message",
        "NSQError": "nsqgw.errors",
        "NsqHandler": "nsqgw.log_handler",
        "Producer": "nsqgw.producer",
        "ProducerConfig": "nsqgw.config",
        "TlsConfig": "nsqgw.config",
        "publish": "nsqgw.producer.shared",
    }

    def __getattr__(name: str) -> Any:
        """Imported when it is asked for: a program pays for what it uses, a daemon for no client."""
        import importlib

        if name == "errors":
            return importlib.import_module("nsqgw.errors")
        if name not in _ON_DEMAND:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
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
