"""What is compared, and by how much nsqgw is to be ahead."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

CLIENTS = ("nsqgw", "pynsq")

BODY_SIZE = 200
LATENCY_RATE = 50


@dataclass(frozen=True)
class Scenario:
    """`counts` are messages a run per client: the slow one does fewer, figures are per 100,000.

    A client missing in `counts` cannot do it; then the peer of another scenario is what it is held against.
    """

    name: str
    counts: dict[str, int]
    filled: bool = False
    against: str | None = None
    target: float | None = None
    settings: dict[str, Any] = field(default_factory=dict)


SCENARIOS = (
    Scenario("consume, sync handler", {"nsqgw": 300_000, "pynsq": 50_000}, filled=True, target=15),
    Scenario("consume, async handler", {"nsqgw": 300_000, "pynsq": 50_000}, filled=True),
    Scenario("consume, batch handler", {"nsqgw": 300_000}, filled=True, against="consume, sync handler"),
    Scenario(
        "publish, 1000 outstanding", {"nsqgw": 300_000, "pynsq": 50_000}, target=10, settings={"window": 1000}
    ),
    Scenario(
        "publish, 1000 tasks",
        {"nsqgw": 300_000},
        against="publish, 1000 outstanding",
        settings={"window": 1000},
    ),
    Scenario("publish, batches of 100", {"nsqgw": 300_000, "pynsq": 300_000}, settings={"batch": 100}),
)

LATENCY = Scenario("latency", {"nsqgw": 250, "pynsq": 250})
