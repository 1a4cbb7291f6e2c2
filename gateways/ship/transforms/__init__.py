"""The transforms: what may be done to an event between nsqd and a sink; one small file each."""
