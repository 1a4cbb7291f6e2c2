"""The same faults to `nsqgw ship` and to what it replaces."""
