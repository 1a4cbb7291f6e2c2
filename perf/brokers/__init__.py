"""Our nsqd next to the original, under the same load from the same driver: `make bench-brokers`."""
