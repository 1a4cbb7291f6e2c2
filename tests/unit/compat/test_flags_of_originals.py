"""Flags given by name, as the originals are started with them."""

from __future__ import annotations

import pytest

from compat.testing.real import flag_arguments


@pytest.mark.parametrize(
    ("name", "value", "arguments"),
    [
        ("msg_timeout", 1.5, ["-msg-timeout=1.5s"]),
        ("max_msg_size", 7, ["-max-msg-size=7"]),
        ("snappy", False, ["-snappy=false"]),
        ("lookupd_tcp_addresses", ("a:1", "b:2"), ["-lookupd-tcp-address=a:1", "-lookupd-tcp-address=b:2"]),
        ("e2e_processing_latency_percentiles", (0.5,), ["-e2e-processing-latency-percentile=0.5"]),
        ("tombstone_lifetime", 2.0, ["-tombstone-lifetime=2.0s"]),
    ],
)
def test_flags_by_name(name: str, value: object, arguments: list[str]) -> None:
    assert flag_arguments({name: value}) == arguments
