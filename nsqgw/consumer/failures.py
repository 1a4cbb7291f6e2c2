"""What becomes of messages whose handler failed: given back by a rule for the exception, or given up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from nsqgw.consumer.arrival import arrival_of
from nsqgw.errors import ConfigError
from nsqgw.message import Message

ReportFailure = Callable[[BaseException, Sequence[Message]], None]
GiveUp = Callable[[list[Message]], None]


@dataclass(frozen=True, slots=True)
class FailureRule:
    """What an exception means for the message.

    delay    seconds until it comes again; None for `requeue_delay` times its attempts
    backoff  whether the consumer slows down because of it
    give_up  do not try again: the message goes where `max_attempts` would send it
    """

    delay: float | None = None
    backoff: bool = True
    give_up: bool = False


E = TypeVar("E", bound=BaseException)

FailureRules = Mapping[type[E], FailureRule]
"""Rules by class of exception."""


def check_rules(rules: FailureRules[E]) -> FailureRules[E]:
    """`rules` itself, or ConfigError when it is no mapping of exception classes to FailureRule."""
    for kind, rule in rules.items():
        if not (isinstance(kind, type) and issubclass(kind, BaseException) and isinstance(rule, FailureRule)):
            raise ConfigError(
                f"failure_rules: {kind!r}: {rule!r} must be an exception class and a FailureRule"
            )
    return rules


class Failures:
    """Carries out the rules; the one of the nearest base class of the exception counts."""

    def __init__(self, rules: FailureRules[Any], report: ReportFailure, give_up: GiveUp | None) -> None:
        self._rules = rules
        self._report = report
        self._give_up = give_up

    def failed(self, messages: Sequence[Message], error: BaseException) -> None:
        """A handler raised `error`; messages it answered, and those of a lost connection, are done."""
        self._report(error, messages)
        rule = self._rule_for(error)
        pending = [
            message for message in messages if not message.answered and not arrival_of(message).is_gone
        ]
        if rule.give_up and self._give_up is not None:
            self._give_up(pending)
            return
        for message in pending:
            message.requeue(rule.delay, backoff=rule.backoff)

    def _rule_for(self, error: BaseException) -> FailureRule:
        for kind in type(error).__mro__:
            if kind in self._rules:
                return self._rules[kind]
        return _DEFAULT


_DEFAULT = FailureRule()
