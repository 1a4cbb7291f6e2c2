"""A web application on tornado with live streams of NSQ topics under /live, on its own port.

Open http://127.0.0.1:8888/ and publish: curl -d hello 'http://127.0.0.1:4151/pub?topic=events'
"""

import asyncio
import os

import tornado.web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from gateways.push.config import PushConfig
from gateways.push.embed import PushHandler
from gateways.push.gateway import PushGateway

PAGE = """<!doctype html><title>Events</title><ul id=list></ul>
<script>
  new EventSource("/live/stream/events").onmessage = (event) => {
    const line = document.createElement("li");
    line.textContent = event.data;
    document.getElementById("list").prepend(line);
  };
</script>
"""


class Page(tornado.web.RequestHandler):
    def get(self) -> None:
        self.finish(PAGE)


async def main() -> None:
    gateway = PushGateway(
        PushConfig(
            topics=("events",),
            listen="",
            nsqd_tcp_addresses=(os.environ.get("NSQD_TCP_ADDRESS", "127.0.0.1:4150"),),
        )
    )
    application = tornado.web.Application([("/", Page), (r"/live(/.*)", PushHandler, {"gateway": gateway})])
    sockets = bind_sockets(int(os.environ.get("PORT", "8888")), "127.0.0.1")
    server = HTTPServer(application)
    server.add_sockets(sockets)
    await gateway.start()
    print(f"http://127.0.0.1:{sockets[0].getsockname()[1]}/", flush=True)
    try:
        await gateway.wait_closed()
    finally:
        server.stop()
        await gateway.stop()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("stopped")
