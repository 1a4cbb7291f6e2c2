"""What became of a batch whose events did not all fare the same."""

from __future__ import annotations

from collections.abc import Mapping

from gateways.pipeline.sink import CONFIRMED, Fate, Outcome

_GRAVITY = (Fate.CONFIRMED, Fate.REJECTED, Fate.TOO_LARGE, Fate.RETRY, Fate.BLOCKED)

Failure = tuple[Fate, str]
"""What became of an event that was not confirmed, and why."""


def outcome_of(count: int, failures: Mapping[int, Failure]) -> Outcome:
    """The outcome for `count` events, of which those at the indexes of `failures` failed.

    An event that the far side refuses says nothing of the far side's health: what holds it up weighs more.
    """
    if not failures:
        return CONFIRMED
    fate, reason = max(failures.values(), key=lambda failure: _GRAVITY.index(failure[0]))
    if len(failures) == count and all(failure == (fate, reason) for failure in failures.values()):
        return Outcome(fate, reason)
    per_event = [Fate.CONFIRMED] * count
    for index, (each, _) in failures.items():
        per_event[index] = each
    return Outcome(
        fate, reason, per_event=per_event, reasons={index: why for index, (_, why) in failures.items()}
    )
