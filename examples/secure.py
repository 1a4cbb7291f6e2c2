"""TLS with an own authority, AUTH and compression; consumers and producers take the same ConnectionConfig."""

import asyncio
import os

from nsqgw import ConnectionConfig, Consumer, Producer, TlsConfig

NSQD = os.environ.get("NSQD_TCP_ADDRESS", "127.0.0.1:4150")

CONNECTION = ConnectionConfig(
    tls=TlsConfig(ca_file=os.environ.get("CA_FILE", "ca.pem")),  # verified, or there is no connection
    auth_secret=os.environ.get("NSQ_SECRET"),
    deflate=True,
)


async def main():
    async with Producer([NSQD], connection=CONNECTION) as producer:
        await producer.publish("secrets", b"for your eyes only")
    async with Consumer("secrets", "safe", nsqd_tcp_addresses=[NSQD], connection=CONNECTION) as consumer:
        async for message in consumer:
            print(message.body.decode())
            message.finish()
            break


asyncio.run(main())
