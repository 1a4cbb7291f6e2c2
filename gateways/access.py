"""How nsqd and nsqlookupd let a gateway in: TLS and secrets, the same for all gateways."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from nsqgw.config import ConnectionConfig, ConsumerConfig, TlsConfig
from nsqgw.connection.tls import client_context
from nsqgw.service.settings import MASK


@dataclass(frozen=True)
class NsqAccess:
    """All as in ConsumerConfig; nothing is encrypted and nobody asks for a secret by default.

    tls                  for connections to nsqd; None speaks in the clear
    auth_secret          for nsqds that ask for AUTH
    lookupd_tls          for https:// addresses of nsqlookupd; None trusts the system's certificates
    lookupd_auth_secret  sent to nsqlookupd as `Authorization: Bearer ...`
    """

    tls: TlsConfig | None = None
    auth_secret: str | None = field(default=None, repr=False)
    lookupd_tls: TlsConfig | None = None
    lookupd_auth_secret: str | None = field(default=None, repr=False)

    def check(self) -> None:
        """ConfigError for a TLS file that cannot be used, or a secret that cannot be sent."""
        ConsumerConfig(**self.options())
        for tls in (self.tls, self.lookupd_tls):
            if tls is not None:
                client_context(tls)

    def connection(self) -> ConnectionConfig:
        """For a connection to nsqd."""
        return ConnectionConfig(tls=self.tls or False, auth_secret=self.auth_secret)

    def options(self) -> dict[str, Any]:
        """What a Consumer takes by keyword."""
        return {
            "connection": self.connection(),
            "lookupd_tls": self.lookupd_tls,
            "lookupd_auth_secret": self.lookupd_auth_secret,
        }

    def shown(self) -> dict[str, object]:
        """For /config: secrets masked."""
        masked = {name: MASK for name in ("auth_secret", "lookupd_auth_secret") if getattr(self, name)}
        return asdict(self) | masked
