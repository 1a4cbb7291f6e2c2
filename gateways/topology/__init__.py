"""The watcher: clusters of nsqlookupds that tell nothing by themselves, polled, and told as events."""
