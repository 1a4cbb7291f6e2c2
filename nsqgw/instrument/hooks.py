"""Hooks made of hooks."""

from __future__ import annotations

import logging

from nsqgw.instrument.facts import Fact, OnFact

logger = logging.getLogger("nsqgw")


def guarded(on_fact: OnFact) -> OnFact:
    """The same, except that what it raises is logged: who only listens must not stop the work."""

    def report(fact: Fact) -> None:
        try:
            on_fact(fact)
        except Exception:  # whatever the program's own code raises: it only looks on
            logger.exception("on_fact failed for %s", fact)

    return report


def tee(*hooks: OnFact) -> OnFact:
    """One hook out of many, called in order; when one raises, that is logged and the others still hear."""
    reports = tuple(guarded(hook) for hook in hooks)

    def report_all(fact: Fact) -> None:
        for report in reports:
            report(fact)

    return report_all
