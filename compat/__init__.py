"""What speaks to everybody else: the broker, the directory and what other languages' clients expect."""
