"""The URLs of nginx-push-stream-module, served by our own gateway: a site moves over as it is."""
