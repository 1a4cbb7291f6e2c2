"""What importing a client costs: seconds in a fresh interpreter, and what it loads."""

from __future__ import annotations

import json
import subprocess
from typing import TypedDict

from perf.compare.peers import ROOT, Peer
from perf.compare.run import ClientFailed

FOREIGN_TO_LIBRARY = frozenset(
    ("click", "compat", "gateways", "orjson", "prometheus_client", "pydantic", "redis", "websockets")
)
"""Top-level modules that only the gateways need."""

_PROGRAM = """
import json, sys, time
before, started = set(sys.modules), time.perf_counter()
{statement}
seconds = time.perf_counter() - started
print(json.dumps(dict(seconds=seconds, modules=sorted(set(sys.modules) - before))))
"""


class ImportFigures(TypedDict):
    seconds: float
    modules: list[str]


def measure_import(peer: Peer) -> ImportFigures:
    """One import in a process of its own."""
    python = peer.prepare()[0]
    command = [python, "-W", "ignore", "-c", _PROGRAM.format(statement=peer.import_statement)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise ClientFailed(done.stderr.strip().splitlines()[-1])
    figures: ImportFigures = json.loads(done.stdout)
    return figures


def foreign(figures: ImportFigures) -> list[str]:
    """What was loaded though only the gateways need it."""
    return sorted(FOREIGN_TO_LIBRARY & {name.partition(".")[0] for name in figures["modules"]})
