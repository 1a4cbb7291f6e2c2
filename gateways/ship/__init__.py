"""The log gateway: topics to files and log services, in batches, without losing an event."""
