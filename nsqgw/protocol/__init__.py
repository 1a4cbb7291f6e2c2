"""The NSQ wire protocol without I/O: bytes in, values out, and back; both sides of it.

Nothing in here awaits, opens a socket, reads a clock or calls back into its owner.
"""
