"""The only place where a gateway answers messages: FIN for what a sink confirmed, REQ for what goes back."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gateways.pipeline.counters import Counters, Stream
from nsqgw.errors import FinFailed, ReqFailed, ServerError
from nsqgw.message import Message


def finish(messages: Iterable[Message], counters: Counters) -> None:
    """Finish messages that the sink has confirmed."""
    for message in messages:
        stream = (message.topic, message.channel)
        if message.finish():
            counters.finished[stream] += 1
        else:
            counters.late[stream] += 1


def requeue(
    messages: Iterable[Message], counters: Counters, *, reason: str, delay: Callable[[Message], float]
) -> None:
    """Give messages back to nsqd, to come again after `delay(message)` seconds.

    Without the consumer's backoff: the sink's endpoint has one of its own.
    """
    for message in messages:
        stream = (message.topic, message.channel)
        if message.requeue(delay(message), backoff=False):
            counters.requeued[stream, reason] += 1
        else:
            counters.late[stream] += 1


def note_refusal(stream: Stream, error: ServerError, counters: Counters) -> None:
    """Count an answer that nsqd refused after it was sent; refusals of other commands are let pass.

    A refused TOUCH tells the same of a message as the refused FIN or REQ that follows it.
    """
    if isinstance(error, FinFailed | ReqFailed):
        counters.late[stream] += 1
