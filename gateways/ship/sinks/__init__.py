"""The sinks: one small file each, all of them `gateways.pipeline.sink.Sink`."""
