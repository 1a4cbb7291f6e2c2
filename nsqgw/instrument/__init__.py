"""Facts about what happens in a client, and the hooks that make log lines, metrics and traces of them.

Consumers and producers take a hook as `on_fact`. `to_logging` is the default; `prometheus` and
`opentelemetry` in this package are imported by who uses them, and need the library of that name.
"""

from nsqgw.instrument.facts import (
    BackoffChanged,
    Connected,
    ConnectFailed,
    Disconnected,
    Fact,
    GivenUp,
    HandlerFailed,
    LookupFailed,
    OnFact,
    PublishingAgain,
    ServerRefused,
    TouchExhausted,
)
from nsqgw.instrument.hooks import guarded, tee
from nsqgw.instrument.logging import to_logging

__all__ = [
    "BackoffChanged",
    "ConnectFailed",
    "Connected",
    "Disconnected",
    "Fact",
    "GivenUp",
    "HandlerFailed",
    "LookupFailed",
    "OnFact",
    "PublishingAgain",
    "ServerRefused",
    "TouchExhausted",
    "guarded",
    "tee",
    "to_logging",
]
