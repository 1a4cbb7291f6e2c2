"""`nsqgw ship health`: see gateways.cli.health."""

from __future__ import annotations

from gateways.cli.health import health_command
from gateways.cli.ship_top import ADMIN_ADDRESS

command = health_command(ADMIN_ADDRESS, "connected, and its sinks take events")
