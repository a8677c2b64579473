"""What users bring: a network, examples, a loss. Nothing of it is written to."""
