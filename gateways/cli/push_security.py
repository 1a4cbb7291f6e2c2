"""The options of `nsqgw push` about who may come: tokens, signatures, proxies, limits, TLS."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import click

from gateways.cli.option_group import Flags, OptionGroup
from gateways.cli.options import DURATION
from gateways.push.access.security import Security
from gateways.push.access.throttle import ArrivalLimits

_LIMITS = ArrivalLimits()

_FLAGS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "--token-key",
        "Key of tokens (JWT), as alg=HS256,file=PATH or alg=RS256,env=NAME,kid=a,until=TIME; repeatable.",
        {"name": "token_keys", "multiple": True, "metavar": "KEY"},
    ),
    ("--token-jwks", "Path or URL of a JWK set with keys of tokens.", {"metavar": "PATH|URL"}),
    ("--token-audience", "What tokens have to name in aud.", {}),
    ("--token-issuer", "What tokens have to name in iss.", {}),
    ("--token-max-lifetime", "The longest life of a token.", {"type": DURATION, "default": "24h"}),
    ("--token-grace", "A connection lives on so long after its token.", {"type": DURATION, "default": "25s"}),
    ("--token-in-query", "Take tokens as ?token=, too, where they may come to logs.", {"is_flag": True}),
    (
        "--signed-url-secret",
        "Secret of signed URLs, file:PATH or env:NAME; repeatable for the one before.",
        {"name": "signed_url_secrets", "multiple": True, "metavar": "SECRET"},
    ),
    (
        "--secure-link-md5",
        "file:PATH or env:NAME with the expression of nginx's secure_link_md5.",
        {"metavar": "SECRET"},
    ),
    ("--auth-request", "URL of your backend to ask whether a request is let in.", {"metavar": "URL"}),
    ("--allow-anonymous", "Let those in who show nothing of these.", {"is_flag": True}),
    (
        "--trusted-proxy",
        "Address or network whose X-Forwarded-For is believed; repeatable.",
        {"name": "trusted_proxies", "multiple": True, "metavar": "NETWORK"},
    ),
    ("--proxy-protocol", "Trusted proxies begin connections with a PROXY header.", {"is_flag": True}),
    (
        "--max-connections-per-address",
        "From one IPv4 address or IPv6 /64; 0 for any number.",
        {"name": "connections_per_address", "default": _LIMITS.connections_per_address},
    ),
    (
        "--connect-rate",
        "New connections a second from one address; 0 for any number.",
        {"name": "connect_rate", "default": _LIMITS.connect_rate},
    ),
    (
        "--connect-burst",
        "New connections from one address at once.",
        {"name": "connect_burst", "default": _LIMITS.connect_burst, "type": click.IntRange(1)},
    ),
    (
        "--max-connections-per-user",
        "Of one user, as tokens name it; 0 for any number.",
        {"name": "connections_per_user", "default": _LIMITS.connections_per_user},
    ),
    ("--first-command-timeout", "For a token in the first frame.", {"type": DURATION, "default": "10s"}),
    ("--tls-cert", "Certificate chain (PEM) of the port for browsers.", {"metavar": "PATH"}),
    ("--tls-key", "Its key (PEM), when that is not in the same file.", {"metavar": "PATH"}),
)

_ARRIVALS = tuple(field.name for field in fields(ArrivalLimits))


def _option(flag: str, text: str, options: dict[str, Any]) -> Any:
    options = dict(options)
    name = options.pop("name", flag.removeprefix("--").replace("-", "_"))
    return click.option(flag, name, help=text, show_default="default" in options, **options)


def _take(flags: Flags) -> dict[str, object]:
    arrivals = ArrivalLimits(**{name: flags.pop(name) for name in _ARRIVALS})
    names = [field.name for field in fields(Security) if field.name != "arrivals"]
    return {"security": Security(arrivals=arrivals, **{name: flags.pop(name) for name in names})}


SECURITY = OptionGroup([_option(*flag) for flag in _FLAGS], _take)
