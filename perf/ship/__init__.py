"""`nsqgw ship` next to the original tools, on the same nsqd in the same run."""
