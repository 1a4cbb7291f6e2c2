"""Dead letters: what a sink never takes or a transform cannot read, kept with the reason, and replayed."""
