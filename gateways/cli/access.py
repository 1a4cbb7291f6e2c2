"""The flags of a gateway for TLS and secrets towards nsqd and nsqlookupd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from gateways.access import NsqAccess
from nsqgw.config import TlsConfig
from nsqgw.errors import ConfigError
from nsqgw.service.secret_text import read_secret

_FLAGS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("--tls", "Speak TLS with nsqd; what follows implies it.", {"is_flag": True}),
    ("--tls-ca-file", "Trust these certificates (PEM) in place of the system's.", {}),
    ("--tls-cert-file", "Our own certificate, for an nsqd that asks for one.", {}),
    ("--tls-key-file", "Its key, when that is not in the same file.", {}),
    ("--tls-server-name", "The name nsqd's certificate carries, when it is not the address.", {}),
    ("--tls-insecure", "Accept any certificate of nsqd.", {"is_flag": True}),
    ("--auth-secret", "For nsqds that ask for AUTH; file:PATH reads it from a file.", {}),
    ("--lookupd-tls-ca-file", "The same for https:// addresses of nsqlookupd.", {}),
    ("--lookupd-tls-cert-file", "Our own certificate for nsqlookupd.", {}),
    ("--lookupd-tls-key-file", "Its key.", {}),
    ("--lookupd-tls-insecure", "Accept any certificate of nsqlookupd.", {"is_flag": True}),
    ("--lookupd-auth-secret", "Sent to nsqlookupd as a bearer token; file:PATH reads it.", {}),
)


def access_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The flags; `taken_access` makes of them what they stand for."""
    for flag, text, options in reversed(_FLAGS):
        function = click.option(flag, help=text, **options)(function)
    return function


def taken_access(flags: dict[str, Any]) -> NsqAccess:
    """Take the flags out of `flags`. UsageError for a file that cannot be used or is of no use."""
    values = {flag: flags.pop(flag.removeprefix("--").replace("-", "_")) for flag, _, _ in _FLAGS}
    try:
        access = NsqAccess(
            _tls(values, "--tls", server_name=values["--tls-server-name"], wanted=values["--tls"]),
            _secret(values["--auth-secret"]),
            _tls(values, "--lookupd-tls"),
            _secret(values["--lookupd-auth-secret"]),
        )
        access.check()
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    return access


def _tls(
    values: dict[str, Any], prefix: str, *, server_name: str | None = None, wanted: bool = False
) -> TlsConfig | None:
    """None when no flag with this prefix was given."""
    ca_file, cert_file, key_file = (values[f"{prefix}-{name}-file"] for name in ("ca", "cert", "key"))
    insecure = values[f"{prefix}-insecure"]
    if not (wanted or ca_file or cert_file or key_file or server_name or insecure):
        return None
    return TlsConfig(ca_file, cert_file, key_file, server_name, verify=not insecure)


def _secret(text: str | None) -> str | None:
    return None if text is None else read_secret(text)
