"""What `nsqgw push validate` tries to reach."""

from __future__ import annotations

from collections.abc import Iterable

from gateways.push.config import PushConfig
from gateways.service.probe import Try, nsq_tries


def tries(config: PushConfig) -> Iterable[Try]:
    """Everything that `config` names, once each."""
    yield from nsq_tries(config.nsqd_tcp_addresses, config.lookupd_http_addresses, config.access)
