"""What all gateways have in common as services: their config files, kinds of values, ways to be shown."""
