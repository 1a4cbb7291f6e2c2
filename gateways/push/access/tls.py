"""TLS of the port for browsers: 1.2 and up, by a certificate that can be renewed while the gateway runs."""

from __future__ import annotations

import ssl

from nsqgw.errors import ConfigError


class ServerTls:
    """The certificate chain in `cert` and its key in `key` (PEM; None where both are in one file)."""

    def __init__(self, cert: str, key: str | None) -> None:
        self._cert, self._key = cert, key
        self.context = self._load()
        """For new connections; those that are open keep what they began with."""

    def reload(self) -> None:
        """Take the files as they are now; ConfigError, with the old ones in force, where that fails."""
        self.context = self._load()

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._cert, self._key, password=_no_password)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
            raise ConfigError(
                f"--tls-cert {self._cert} and its key cannot be used: {why}; give a chain and its key in PEM"
            ) from None
        return context


def _no_password() -> str:
    raise ValueError("the key is encrypted")  # else OpenSSL would ask on the terminal
