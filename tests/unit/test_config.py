"""Settings: what is wrong is refused at once, with its name, its value and the remedy."""

from __future__ import annotations

import math
from typing import Any

import pytest

from nsqgw.config import ConnectionConfig, ConsumerConfig, ProducerConfig, configured
from nsqgw.errors import ConfigError

WRONG: list[tuple[type, dict[str, Any], str]] = [
    (ConnectionConfig, {"heartbeat_interval": 0.5}, "heartbeat_interval = 0.5 .* between 1 and"),
    (ConnectionConfig, {"heartbeat_interval": "30"}, "heartbeat_interval = '30'"),
    (ConnectionConfig, {"heartbeat_interval": None}, "heartbeat_interval = None"),
    (ConnectionConfig, {"heartbeat_interval": math.nan}, "heartbeat_interval = nan"),
    (ConnectionConfig, {"connect_timeout": 0}, "connect_timeout = 0"),
    (ConnectionConfig, {"connect_timeout": math.inf}, "connect_timeout = inf"),
    (ConnectionConfig, {"reply_timeout": -1}, "reply_timeout = -1"),
    (ConnectionConfig, {"output_buffer_size": 63}, "output_buffer_size = 63 .* at least 64, or -1"),
    (ConnectionConfig, {"output_buffer_size": 100.5}, "output_buffer_size = 100.5"),
    (ConnectionConfig, {"output_buffer_timeout": 0}, "output_buffer_timeout = 0"),
    (ConnectionConfig, {"msg_timeout": 0.999}, "msg_timeout = 0.999"),
    (ConnectionConfig, {"sample_rate": 100}, "sample_rate = 100 .* between 0 and 99"),
    (ConnectionConfig, {"sample_rate": 1.5}, "sample_rate = 1.5"),
    (ConnectionConfig, {"deflate_level": 0}, "deflate_level = 0"),
    (ConnectionConfig, {"deflate_level": True}, "deflate_level = True"),
    (ConnectionConfig, {"max_frame_size": 2**31}, "max_frame_size"),
    (ConnectionConfig, {"snappy": True, "deflate": True}, "snappy and deflate .* choose one"),
    (ConnectionConfig, {"snappy": "no"}, "snappy = 'no'"),
    (ConnectionConfig, {"client_id": b"me"}, "client_id = b'me'"),
    (ConnectionConfig, {"topology_zone": 5}, "topology_zone = 5"),
    (ConnectionConfig, {"auth_secret": 1234}, "auth_secret"),
    (ConsumerConfig, {"max_in_flight": -1}, "max_in_flight = -1"),
    (ConsumerConfig, {"max_in_flight": 2.5}, "max_in_flight = 2.5"),
    (ConsumerConfig, {"max_in_flight": "10"}, "max_in_flight = '10'"),
    (ConsumerConfig, {"concurrency": 0}, "concurrency = 0"),
    (ConsumerConfig, {"requeue_delay": 3601}, "requeue_delay = 3601"),
    (ConsumerConfig, {"auto_touch": "yes"}, "auto_touch = 'yes'"),
    (ConsumerConfig, {"max_backoff_duration": -1}, "max_backoff_duration = -1"),
    (ConsumerConfig, {"lookupd_poll_jitter": 1.1}, "lookupd_poll_jitter = 1.1 .* between 0 and 1"),
    (ConsumerConfig, {"reconnect_min_delay": 5.0}, "reconnect_max_delay = 4.0"),
    (ConsumerConfig, {"connection": {"snappy": True}}, "connection = .* ConnectionConfig"),
    (ProducerConfig, {"publish_timeout": 0}, "publish_timeout = 0"),
    (ProducerConfig, {"max_outstanding": 0}, "max_outstanding = 0"),
    (ProducerConfig, {"max_outstanding_bytes": 0}, "max_outstanding_bytes = 0 .* at least 1"),
    (ProducerConfig, {"max_message_size": 0}, "max_message_size = 0"),
    (
        ProducerConfig,
        {"max_batch_size": 2**20 + 7},
        "max_message_size = 1048576 does not fit into max_batch_size = 1048583: it must be at least 8 less",
    ),
    (ProducerConfig, {"lookupd_poll_jitter": 1.1}, "lookupd_poll_jitter = 1.1 .* between 0 and 1"),
    (ProducerConfig, {"max_delay": -1}, "max_delay = -1"),
    (ProducerConfig, {"connection": None}, "connection = None"),
]


@pytest.mark.parametrize(("kind", "settings", "text"), WRONG, ids=lambda value: str(value)[:40])
def test_what_is_wrong_is_named(kind: type, settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        kind(**settings)


def test_secrets_do_not_show() -> None:
    assert "hush" not in repr(ConnectionConfig(auth_secret="hush"))
    with pytest.raises(ConfigError) as caught:
        ConnectionConfig(auth_secret=["hush"])  # type: ignore[arg-type]
    assert "hush" not in str(caught.value)


def test_edges_pass() -> None:
    ConnectionConfig(heartbeat_interval=1, output_buffer_size=-1, output_buffer_timeout=-1, msg_timeout=1)
    ConnectionConfig(sample_rate=99, deflate_level=9, auth_secret=b"bytes")
    ConsumerConfig(max_in_flight=0, concurrency=1, requeue_delay=0, max_backoff_duration=0, drain_timeout=0)
    ProducerConfig(max_outstanding=1, max_outstanding_bytes=1, reconnect_max_delay=0.1, max_delay=0)
    ProducerConfig(max_message_size=2**20, max_batch_size=2**20 + 8)


def test_unknown_options_get_the_nearest_spelling() -> None:
    with pytest.raises(ConfigError, match="no option 'max_inflight': did you mean max_in_flight"):
        configured(ConsumerConfig, None, {"max_inflight": 5})
    with pytest.raises(ConfigError, match="no option 'zzz': known are connection, "):
        configured(ConsumerConfig, None, {"zzz": 5})


def test_options_change_a_config() -> None:
    base = ProducerConfig(max_outstanding=7)
    assert configured(ProducerConfig, base, {"publish_timeout": 5.0}) == ProducerConfig(
        max_outstanding=7, publish_timeout=5.0
    )
    assert configured(ProducerConfig, None, {}) == ProducerConfig()
    with pytest.raises(ConfigError, match=r"config = .* must be a ProducerConfig"):
        configured(ProducerConfig, ConsumerConfig(), {})  # type: ignore[type-var]
