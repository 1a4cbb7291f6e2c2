"""Programs that bring NSQ to the world: log services (ship) and browsers (push)."""
