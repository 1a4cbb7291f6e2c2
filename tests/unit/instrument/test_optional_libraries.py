"""What the instruments need beyond the library is imported by who uses it, and by nobody else."""

from __future__ import annotations

import subprocess
import sys


def test_importing_the_library_brings_no_metrics_library() -> None:
    program = (
        "import sys, nsqgw, nsqgw.instrument\n"
        "nsqgw.BlockingProducer, nsqgw.NsqHandler, nsqgw.publish\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "print(sorted(loaded & {'prometheus_client', 'opentelemetry'}))"
    )
    arguments = [sys.executable, "-W", "error", "-c", program]
    run = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert run.stdout.strip() == "[]", run.stderr
