"""One operation of a client: its span, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Link, SpanKind, StatusCode, TracerProvider, use_span

from nsqgw.instrument.opentelemetry import conventions
from nsqgw.instrument.opentelemetry.conventions import Attributes


class Operation:
    """A kind of operation, done many times."""

    def __init__(
        self,
        name: str,
        kind: str,
        span_kind: SpanKind,
        duration: str,
        tracer_provider: TracerProvider | None,
        meter_provider: MeterProvider | None,
    ) -> None:
        self._name = name
        self._attributes = conventions.operation(name, kind)
        self._span_kind = span_kind
        self._tracer = conventions.tracer(tracer_provider)
        self._duration = conventions.meter(meter_provider).create_histogram(
            duration,
            unit="s",
            description=f"How long it took to {name}.",
            explicit_bucket_boundaries_advisory=conventions.DURATION_BUCKETS,
        )

    @contextmanager
    def once(
        self,
        common: Attributes,
        of_span: Attributes,
        links: Sequence[Link] = (),
        parent: Context | None = None,
    ) -> Iterator[None]:
        """Do it: a span that is current inside, and one measurement of the same length.

        `common` describes both, `of_span` has too many values for a metric. Without `parent` that is the
        current span. What is raised inside makes it a failure, and is not logged here.
        """
        attributes = self._attributes | common
        topic = common.get(conventions.DESTINATION)
        # Told by a clock that never jumps, so that a span cannot end before it starts.
        started, clock = time.time_ns(), time.perf_counter_ns()
        span = self._tracer.start_span(
            self._name if topic is None else f"{self._name} {topic}",
            parent,
            self._span_kind,
            attributes | of_span,
            links,
            started,
        )
        failure: Attributes = {}
        with use_span(span, record_exception=False, set_status_on_exception=False):
            try:
                yield
            except BaseException as error:
                failure[conventions.ERROR_TYPE] = _class_name(error)
                span.set_attributes(failure)
                span.set_status(StatusCode.ERROR, str(error))
                raise
            finally:
                elapsed = time.perf_counter_ns() - clock
                self._duration.record(elapsed / 1e9, attributes | failure)
                span.end(started + elapsed)


def _class_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
