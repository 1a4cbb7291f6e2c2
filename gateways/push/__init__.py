"""The browser gateway: NSQ topics as WebSocket and server-sent event streams.

frame (encode once) < backlog, hub < session (websocket, sse) < front, routes < gateway.
"""
