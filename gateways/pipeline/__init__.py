"""From consumers to a sink: batches, retries, and the one place where messages are finished or given back."""
