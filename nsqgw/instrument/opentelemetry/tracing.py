"""Wrappers that make spans and durations of what handlers and publishes do."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache, wraps
from typing import Any, TypeVar, cast

from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Link, SpanKind, TracerProvider, get_current_span

from nsqgw.connection.address import TcpAddress, parse_address
from nsqgw.consumer.handlers import is_async
from nsqgw.errors import ConfigError
from nsqgw.instrument.opentelemetry import conventions
from nsqgw.instrument.opentelemetry.conventions import Attributes
from nsqgw.instrument.opentelemetry.operation import Operation
from nsqgw.message import Message

logger = logging.getLogger("nsqgw")

Call = TypeVar("Call", bound=Callable[..., Any])

CreationContext = Callable[[Message], "Context | None"]
"""From a message to the context it was published in, as `opentelemetry.propagate.extract` gives it."""


def traced(
    handler: Call,
    *,
    creation_context: CreationContext | None = None,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> Call:
    """The handler, sync or async, for messages or batches, with a span around each call.

    The span is `process TOPIC`, a trace of its own: connections outlive whatever was current when they were
    made. With `creation_context`, for bodies that carry a context, it links to that of each message; what
    that function raises is logged. The duration goes to `messaging.process.duration`. The providers are
    the global ones by default.
    """
    process = Operation(
        "process",
        "process",
        SpanKind.CONSUMER,
        conventions.PROCESS_DURATION,
        tracer_provider,
        meter_provider,
    )
    nowhere = Context()

    def processing(argument: Message | Sequence[Message]) -> AbstractContextManager[None]:
        messages: Sequence[Message]
        if isinstance(argument, Message):
            messages, of_span = (argument,), _identity(argument)
        else:
            messages, of_span = argument, {conventions.BATCH_MESSAGE_COUNT: len(argument)}
        links = [] if creation_context is None else _links(messages, creation_context)
        return process.once(_common(messages), of_span, links, nowhere)

    if is_async(handler):

        async def handle_async(argument: Message | Sequence[Message]) -> Any:
            with processing(argument):
                return await handler(argument)

        return cast(Call, wraps(handler, updated=())(handle_async))

    def handle(argument: Message | Sequence[Message]) -> Any:
        with processing(argument):
            return handler(argument)

    return cast(Call, wraps(handler, updated=())(handle))


def traced_publish(
    publish: Call,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> Call:
    """`publish` or `publish_many` of a producer, blocking or not, with a span around each call.

    The span is `publish TOPIC`, inside the current one, until nsqd has confirmed or the call has failed. The
    duration goes to `messaging.client.operation.duration`. The providers are the global ones by
    default. `publish_soon` and `publish_then` return before there is anything to tell and are refused with
    ConfigError.
    """
    signature = inspect.signature(publish)
    bodies = "bodies" in signature.parameters
    if (
        getattr(publish, "__name__", "") in ("publish_soon", "publish_then")
        or "topic" not in signature.parameters
    ):
        raise ConfigError(f"{publish!r} cannot be traced: give publish or publish_many of a producer")
    send = Operation(
        "publish",
        "send",
        SpanKind.CLIENT,  # PRODUCER is for those whose context the message carries
        conventions.OPERATION_DURATION,
        tracer_provider,
        meter_provider,
    )

    def bind(
        arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> tuple[inspect.BoundArguments, AbstractContextManager[None]]:
        call = signature.bind(*arguments, **options)
        of_span: Attributes = {}
        if bodies:
            call.arguments["bodies"] = messages = list(call.arguments["bodies"])
            of_span[conventions.BATCH_MESSAGE_COUNT] = len(messages)
        return call, send.once(conventions.stream(str(call.arguments["topic"]), ""), of_span)

    if is_async(publish):

        async def publish_async(*arguments: Any, **options: Any) -> Any:
            call, sending = bind(arguments, options)
            with sending:
                return await publish(*call.args, **call.kwargs)

        return cast(Call, wraps(publish)(publish_async))

    def publish_blocking(*arguments: Any, **options: Any) -> Any:
        call, sending = bind(arguments, options)
        with sending:
            return publish(*call.args, **call.kwargs)

    return cast(Call, wraps(publish)(publish_blocking))


def _common(messages: Sequence[Message]) -> Attributes:
    """What describes all of the messages: those of a batch may come from many places."""
    topic = _only(message.topic for message in messages)
    channel = _only(message.channel for message in messages)
    address = _only(message.nsqd_address for message in messages)
    return conventions.stream(topic, channel) | (_server(address) if address else {})


def _only(values: Iterable[str]) -> str:
    """The value if there is but one, else ""."""
    found = set(values)
    return found.pop() if len(found) == 1 else ""


@lru_cache(maxsize=1024)
def _server(address: str) -> Attributes:
    parsed = parse_address(address)
    if isinstance(parsed, TcpAddress):
        return {conventions.SERVER_ADDRESS: parsed.host, conventions.SERVER_PORT: parsed.port}
    return {conventions.SERVER_ADDRESS: parsed.path}


def _identity(message: Message) -> Attributes:
    return {
        conventions.MESSAGE_ID: message.id.decode("ascii", "backslashreplace"),
        conventions.DELIVERY_ATTEMPT: message.attempts,
    }


def _links(messages: Iterable[Message], creation_context: CreationContext) -> list[Link]:
    links = []
    for message in messages:
        try:
            context = creation_context(message)
        except Exception:  # whatever the program's own code raises: a span goes without this link
            logger.exception("creation_context failed for %r", message)
            continue
        origin = get_current_span(context).get_span_context() if context is not None else None
        if origin is not None and origin.is_valid:
            links.append(Link(origin, _identity(message)))
    return links
