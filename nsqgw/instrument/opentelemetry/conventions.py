"""The words of OpenTelemetry's messaging conventions (version 1.44.0) that apply to NSQ.

`opentelemetry-semantic-conventions` has them as constants, but promises nothing for those of messaging yet.
"""

from __future__ import annotations

from opentelemetry.metrics import Meter, MeterProvider, get_meter
from opentelemetry.trace import Tracer, TracerProvider, get_tracer

from nsqgw.version import __version__

SYSTEM = "messaging.system"
OPERATION_NAME = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
DESTINATION = "messaging.destination.name"
SUBSCRIPTION = "messaging.destination.subscription.name"
MESSAGE_ID = "messaging.message.id"
DELIVERY_ATTEMPT = "messaging.nsq.message.delivery_attempt"
BATCH_MESSAGE_COUNT = "messaging.batch.message_count"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
ERROR_TYPE = "error.type"

SENT_MESSAGES = "messaging.client.sent.messages"
CONSUMED_MESSAGES = "messaging.client.consumed.messages"
OPERATION_DURATION = "messaging.client.operation.duration"
PROCESS_DURATION = "messaging.process.duration"
DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

Attributes = dict[str, "str | int"]

_SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"


def operation(name: str, kind: str) -> Attributes:
    """What describes an operation: NSQ's own name for it, and the kind the conventions know."""
    return {SYSTEM: "nsq", OPERATION_NAME: name, OPERATION_TYPE: kind}


def stream(topic: str, channel: str) -> Attributes:
    """What describes a topic and a channel; nothing for those that are empty."""
    return {name: value for name, value in ((DESTINATION, topic), (SUBSCRIPTION, channel)) if value}


def tracer(provider: TracerProvider | None) -> Tracer:
    """This library's tracer, of the global provider if none is given."""
    return get_tracer("nsqgw", __version__, provider, _SCHEMA_URL)


def meter(provider: MeterProvider | None) -> Meter:
    """This library's meter, of the global provider if none is given."""
    return get_meter("nsqgw", __version__, provider, _SCHEMA_URL)
