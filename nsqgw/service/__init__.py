"""The skeleton of every long-running program: lifecycle, admin port, addresses and units, logs."""
