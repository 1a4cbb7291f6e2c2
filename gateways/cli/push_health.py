"""`nsqgw push health`: see gateways.cli.health."""

from __future__ import annotations

from gateways.cli.health import health_command
from gateways.cli.push_top import ADMIN_ADDRESS

command = health_command(ADMIN_ADDRESS, "an nsqd is connected for every topic")
