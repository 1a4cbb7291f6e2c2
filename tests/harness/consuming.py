"""A consumer under test: quick to try again, its facts kept."""

from __future__ import annotations

from typing import Any

from harness.scripted import QUICK, ScriptedNsqd
from nsqgw import Consumer
from nsqgw.instrument import Fact


class Subject(Consumer):
    """A consumer of topic `t`, channel `ch`, at the given nsqds; `facts` are those it reported."""

    def __init__(self, handler: Any, *nsqds: ScriptedNsqd | str, **options: Any) -> None:
        self.facts: list[Fact] = []
        addresses = [nsqd if isinstance(nsqd, str) else nsqd.address for nsqd in nsqds]
        options = QUICK | {"on_fact": self.facts.append, "nsqd_tcp_addresses": addresses} | options
        super().__init__("t", "ch", handler, **options)

    def told(self, kind: type) -> list[Any]:
        """The facts of this kind."""
        return [fact for fact in self.facts if isinstance(fact, kind)]
