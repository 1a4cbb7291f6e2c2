"""What a cluster looks like and how it changes, as values: nodes, topics, channels, and events with numbers.

Pure: no ports, no clock of its own. Who has news records them in a `Journal`; feeds carry its events over
HTTP or an NSQ topic, and whoever reads them has the same `Cluster` again. The schema is in docs/topology.md.
"""
