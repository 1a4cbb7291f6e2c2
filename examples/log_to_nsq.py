"""Log records as messages: never waiting for nsqd, and kept on disk while it is away."""

import logging
import logging.config
import os

logging.config.dictConfig(
    {
        "version": 1,
        "handlers": {
            "nsq": {
                "class": "nsqgw.NsqHandler",
                "topic": "logs",
                "nsqd_tcp_addresses": os.environ.get("NSQD_TCP_ADDRESS", "127.0.0.1:4150").split(","),
                "spool_dir": "spool",
            }
        },
        "root": {"level": "INFO", "handlers": ["nsq"]},
    }
)

logger = logging.getLogger("shop")
logger.info("order %d paid", 17, extra={"customer": "anna"})
try:
    1 / 0  # noqa: B018
except ZeroDivisionError:
    logger.exception("order %d failed", 18)
