"""Traces and metrics for OpenTelemetry, after its messaging conventions.

It needs opentelemetry-api (the extra `opentelemetry`). `traced` goes around handlers and `traced_publish`
around publishes: spans, and how long it took. How many messages there are is read from the clients' figures
(`observe_stats`) when a reader collects, so that they pay nothing for it. `count_facts` is a hook.

A topic is the conventions' destination, a channel its subscription. NSQ has no headers, so the context of a
publish does not travel with its message, and answers (FIN, REQ), which go out many at once, have no spans.
"""

from nsqgw.instrument.opentelemetry.metering import count_facts, observe_stats
from nsqgw.instrument.opentelemetry.tracing import CreationContext, traced, traced_publish

__all__ = ["CreationContext", "count_facts", "observe_stats", "traced", "traced_publish"]
