"""Messages to all sinks of a pipeline, or to those that a transform chose for them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateways.pipeline.answers import Answers
from gateways.pipeline.batch import BatchLimits
from gateways.pipeline.branch import Branch
from gateways.pipeline.burial import Burial
from gateways.pipeline.counters import Counters
from gateways.pipeline.delivery import DeliveryLimits
from gateways.pipeline.ends import BestEffort, Required
from gateways.pipeline.event import Event
from gateways.pipeline.retry import RetryPolicy
from gateways.pipeline.sink import Sink
from nsqgw.message import Message

logger = logging.getLogger(__name__)

Pair = tuple[Message, Message]
"""A message, and what transforms made of it."""


@dataclass(frozen=True, slots=True)
class Route:
    """One sink of a pipeline.

    name       how transforms, metrics and logs call it; empty for the sink's own name
    part_of    how transforms call it, where that is not its name: they choose all parts of a sink or none
    required   whether messages wait for it
    max_bytes  bytes that may wait for one that is not required; what comes above them is dropped and counted

    `batch`, `delivery` and `retry` stand in place of the pipeline's.
    """

    sink: Sink
    name: str = ""
    required: bool = True
    max_bytes: int = 16 * 1024 * 1024
    batch: BatchLimits | None = None
    delivery: DeliveryLimits | None = None
    retry: RetryPolicy | None = None
    part_of: str = ""


class FanOut:
    """The branches of a pipeline, in the order of their routes."""

    def __init__(
        self,
        routes: Sequence[Route],
        answers: Answers,
        counters: Counters,
        burial: Burial | None,
        *,
        batch: BatchLimits,
        delivery: DeliveryLimits,
        retry: RetryPolicy,
        on_change: Callable[[], None],
        on_gone: Callable[[Exception], None],
    ) -> None:
        self._answers = answers
        self._counters = counters
        self._best_effort: list[tuple[Branch, BestEffort, int]] = []
        self._lost: set[str] = set()
        self._chosen_as: dict[str, str] = {}
        self.required: list[Branch] = []
        self.branches: list[Branch] = []
        for route in routes:
            name = route.name or route.sink.name
            self._chosen_as[name] = route.part_of or name
            ends = Required(name, len(self.required), answers, burial) if route.required else BestEffort(name)
            branch = Branch(
                name,
                route.sink,
                ends,
                batch=route.batch or batch,
                delivery=route.delivery or delivery,
                retry=route.retry or retry,
                on_change=on_change,
                on_gone=on_gone if route.required else self._lose(name),
            )
            self.branches.append(branch)
            if isinstance(ends, BestEffort):
                branch.counters.dropped = ends.dropped
                self._best_effort.append((branch, ends, route.max_bytes))
            else:
                self.required.append(branch)

    def add(self, messages: Sequence[Message], views: Sequence[Message] | None = None) -> None:
        """Give messages to the sinks; `views`, if there are transforms, is what they made of them."""
        if views is None and not self._answers.compares:
            self._add_to_all(messages)
        else:
            self._add_each(list(zip(messages, views or messages, strict=True)))

    def _add_to_all(self, messages: Sequence[Message]) -> None:
        if self._answers.shared:
            everybody = (1 << len(self.required)) - 1
            for message in messages:
                self._answers.expect(message, everybody)
        for branch in self.required:
            branch.add(messages)
        for branch, ends, max_bytes in self._best_effort:
            self._offer(branch, ends, max_bytes, [(message, message) for message in messages])

    def _add_each(self, pairs: Sequence[Pair]) -> None:
        """Those that a sink has already, or is not to get, are left out for it."""
        chosen: list[list[Pair]] = [[] for _ in self.required]
        for message, view in pairs:
            routed = [
                number
                for number, branch in enumerate(self.required)
                if _is_for(self._chosen_as[branch.name], view)
            ]
            wanted = [number for number in routed if not self._answers.has(number, message)]
            for number in wanted:
                chosen[number].append((message, view))
            if routed and not wanted:
                self._counters.duplicates[message.topic, message.channel] += 1
            if self._answers.shared or not wanted:
                self._answers.expect(message, sum(1 << number for number in wanted))
        for branch, ends, max_bytes in self._best_effort:
            name = self._chosen_as[branch.name]
            self._offer(branch, ends, max_bytes, [pair for pair in pairs if _is_for(name, pair[1])])
        for branch, part in zip(self.required, chosen, strict=True):
            if part:
                branch.add([message for message, _ in part], [view for _, view in part])

    def _offer(self, branch: Branch, ends: BestEffort, max_bytes: int, pairs: Sequence[Pair]) -> None:
        """To a sink that nothing waits for."""
        if not pairs:
            return
        if branch.name in self._lost:
            ends.drop(len(pairs), "failed")
        elif branch.held_bytes >= max_bytes:
            ends.drop(len(pairs), "full")
        else:
            branch.add([message for message, _ in pairs], [view for _, view in pairs])

    def _lose(self, name: str) -> Callable[[Exception], None]:
        def lose(error: Exception) -> None:
            logger.error("%s is not required, the others go on without it: %s", name, error)
            self._lost.add(name)

        return lose


def _is_for(name: str, view: Message) -> bool:
    return not isinstance(view, Event) or view.sinks is None or name in view.sinks
