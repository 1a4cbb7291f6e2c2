"""The settings of the log gateway, as people see them."""

from __future__ import annotations

from gateways.ship.named_sink import NamedSink
from gateways.ship.settings import ShipSettings
from gateways.ship.sinks.file import FileSettings


def test_a_password_in_a_url_is_not_shown() -> None:
    settings = ShipSettings(
        topics=("events",),
        channel="archive",
        sinks=(NamedSink(to=FileSettings(path="out")),),
        lookupd_http_addresses=("http://me:secret@directory:4161/eu",),
    )
    assert settings.shown()["lookupd_http_addresses"] == ["http://directory:4161/eu"]
