"""One history for all gateway processes, in Redis."""
