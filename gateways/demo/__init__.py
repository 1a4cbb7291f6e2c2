"""`nsqgw demo`: a cluster, both gateways and real input on one machine, in one event loop.

machine (figures from /proc), records (log records as messages) > brokers > demo (puts it together).
"""
