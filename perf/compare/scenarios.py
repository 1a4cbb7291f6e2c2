"""What is compared, and by how much nsqgw is to be ahead."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

BODY_SIZE = 200
LATENCY_RATE = 50
MAX_IN_FLIGHT = 2500

FAST, SLOW = 300_000, 30_000
"""Messages a run: a slow client does fewer, figures are per 100,000."""


@dataclass(frozen=True)
class Scenario:
    """One kind of work. `counts` are messages a run per client.

    A client missing in `counts` has nothing like it; where it is in another scenario that serves the same
    purpose, `against`, its figures there are what nsqgw is held against.
    """

    name: str
    counts: dict[str, int]
    filled: bool = False
    against: str | None = None
    targets: dict[str, float] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


SYNC, WINDOW = "consume, sync handler", "publish, 1000 outstanding"

SCENARIOS = (
    Scenario(
        SYNC,
        {"nsqgw": FAST, "pynsq": SLOW, "gnsq": SLOW, "go-nsq": FAST},
        filled=True,
        targets={"pynsq": 25, "go-nsq": 5},
    ),
    Scenario(
        "consume, batch handler",
        {"nsqgw": FAST},
        filled=True,
        against=SYNC,
        targets={"pynsq": 25, "go-nsq": 5},
    ),
    Scenario(
        "consume, async handler",
        {"nsqgw": FAST, "pynsq": SLOW, "ansq": SLOW, "asyncnsq": SLOW},
        filled=True,
        targets={"pynsq": 20},
    ),
    Scenario(
        "consume, async handler that waits",
        {"nsqgw": 60_000, "pynsq": SLOW, "gnsq": SLOW, "ansq": SLOW, "asyncnsq": SLOW, "go-nsq": 60_000},
        filled=True,
        targets={"pynsq": 3},
        settings={"concurrency": 200, "wait": 0.001},
    ),
    Scenario(
        WINDOW,
        {"nsqgw": FAST, "pynsq": SLOW, "gnsq": SLOW, "go-nsq": FAST},
        targets={"pynsq": 20, "go-nsq": 5},
        settings={"window": 1000},
    ),
    Scenario("publish, 1000 futures outstanding", {"nsqgw": FAST}, against=WINDOW, settings={"window": 1000}),
    Scenario(
        "publish, 1000 tasks",
        {"nsqgw": FAST, "ansq": SLOW, "asyncnsq": SLOW, "go-nsq": FAST},
        against=WINDOW,
        settings={"window": 1000},
    ),
    Scenario(
        "publish, batches of 100",
        {"nsqgw": FAST, "pynsq": FAST, "gnsq": FAST, "ansq": FAST, "asyncnsq": FAST, "go-nsq": FAST},
        targets={"pynsq": 3},
        settings={"batch": 100},
    ),
    Scenario(
        "publish, batches of 100, 10 under way",
        {"nsqgw": FAST, "pynsq": FAST, "gnsq": FAST, "go-nsq": FAST},
        targets={"pynsq": 3},
        settings={"batch": 100, "window": 10},
    ),
)

LATENCY = Scenario(
    "latency",
    dict.fromkeys(("nsqgw", "pynsq", "gnsq", "ansq", "asyncnsq", "go-nsq"), 150),
)
LATENCY_TARGET = 0.020
"""Seconds from publish to handler, the median."""

IMPORT_TARGET = 0.25
"""Seconds for `import nsqgw`."""
