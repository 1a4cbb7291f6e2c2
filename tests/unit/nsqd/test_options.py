"""nsqd's settings: the original's defaults, refusals, and the keys of GET /config."""

from __future__ import annotations

from typing import Any

import pytest

from compat.nsqd.options import NsqdOptions, config_key, config_values, default_node_id, flag_name
from nsqgw.errors import ConfigError


def test_config_has_the_originals_keys_and_units() -> None:
    values = config_values(NsqdOptions(node_id=5, lookupd_tcp_addresses=("a:1",), log_level="WARN"))
    assert values["id"] == 5
    assert values["nsqlookupd_tcp_addresses"] == ["a:1"]
    assert values["auth_http_addresses"] == []
    assert values["enable_experiment"] == []
    assert values["e2e_processing_latency_percentiles"] == []
    assert values["msg_timeout"] == 60_000_000_000
    assert values["log_level"] == 3
    assert values["tls_required"] == 0
    assert values["tls_min_version"] == 769
    assert values["statsd_mem_stats"] is True
    assert "worker_id" not in values


def test_a_field_knows_its_flag_and_its_key() -> None:
    assert (flag_name("lookupd_tcp_addresses"), config_key("lookupd_tcp_addresses")) == (
        "lookupd-tcp-address",
        "nsqlookupd_tcp_addresses",
    )
    assert (flag_name("node_id"), config_key("node_id")) == ("node-id", "id")


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"max_deflate_level": 10}, "--max-deflate-level=10: must be 1 to 9"),
        ({"node_id": 1024}, "--node-id=1024: must be 0 to 1023"),
        ({"log_level": "loud"}, "--log-level=loud: must be one of debug, info, warn, error, fatal"),
        ({"mem_queue_size": -1}, "--mem-queue-size=-1: must not be negative"),
        ({"tls_min_version": "ssl3.0"}, "--tls-min-version=ssl3.0: must be one of tls1.0"),
        ({"tls_cert": "x.pem"}, "--tls-cert needs --tls-key"),
        ({"tls_required": "true"}, "cannot require TLS client connections without TLS key and cert"),
        ({"tls_required": "perhaps"}, "--tls-required=perhaps: must be true, false or tcp-https"),
        (
            {"tls_client_auth_policy": "request"},
            "--tls-client-auth-policy=request: must be one of empty, req",
        ),
        ({"tls_client_auth_policy": "require"}, "cannot require TLS client connections"),
        ({"auth_http_addresses": ("a:x",)}, "auth server address 'http://a:x/auth' is not valid"),
        ({"auth_http_request_method": "put"}, "--auth-http-request-method=put: must be get or post"),
        ({"statsd_address": "a"}, "address 'a' is not valid"),
        ({"statsd_address": "a:1", "statsd_interval": 0.0}, "--statsd-interval=0.0: must be above 0"),
        ({"e2e_processing_latency_percentiles": (99.0,)}, "percentile=99.0: must be above 0, up to 1"),
        ({"lookupd_tcp_addresses": "a:1"}, "lookupd_tcp_addresses must be a tuple of 'host:port' strings"),
        ({"tcp_address": 4150}, "tcp_address must be a 'host:port' string, not 4150"),
    ],
)
def test_what_cannot_be_honoured_is_refused(setting: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        NsqdOptions(**setting)
    assert text in str(refused.value)


def test_the_node_id_is_stable_for_a_host() -> None:
    assert default_node_id("example") == default_node_id("example")
    assert 0 <= default_node_id("example") < 1024


def test_clients_are_held_to_the_options() -> None:
    limits = NsqdOptions(max_msg_size=7, msg_timeout=2.0, snappy=False, max_rdy_count=3).limits
    assert (limits.max_msg_size, limits.msg_timeout, limits.snappy, limits.max_rdy_count) == (
        7,
        2.0,
        False,
        3,
    )


@pytest.mark.parametrize(("prefix", "told"), [("nsq.%s", "nsq.my_host_4151."), ("all.", "all."), ("", "")])
def test_c_nsqd_17_the_prefix_of_statsd_names_the_node(prefix: str, told: str) -> None:
    options = NsqdOptions(broadcast_address="my.host", broadcast_tcp_port=7, statsd_prefix=prefix)
    options = options.with_ports(4150, 4151)
    assert (options.broadcast_tcp_port, options.broadcast_http_port) == (7, 4151)
    assert options.statsd_prefix == told
